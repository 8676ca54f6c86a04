"""Tokens: none, wrong ones, and those that may do less than what is asked."""

from uuid import uuid4

import pytest

from functions._domain.tokens import EARLIER, SCHEMA
from tests.platforms import Site
from tests.strangers import NOBODY, Upload, make_token, problem, refused, sha


@pytest.fixture(scope="module")
def reader(site: Site) -> str:
    return make_token(site, "reader", None, "reader")


@pytest.fixture(scope="module")
def publisher(site: Site) -> str:
    return make_token(site, "publisher", None, "publisher")


@pytest.mark.parametrize("route", ["/v1/assets", f"/v1/assets/{NOBODY}", f"/v1/assets/{NOBODY}/files/x"])
def test_without_a_token_or_with_a_wrong_one_nothing_is_answered(site: Site, route: str) -> None:
    for header in ("", "Bearer", "Bearer ", "Basic YTpi", f"Token {site.settings['POLYGLOT_TOKEN']}"):
        answer = site.http("GET", route, Authorization=header)
        problem(answer, 401)
        assert answer[2]["WWW-Authenticate"] == "Bearer"
    for wrong in ("wrong", f"{site.settings['POLYGLOT_TOKEN']}x", "a" * 16_385, "ä", "a.b.c"):
        answer = site.http("GET", route, Authorization=f"Bearer {wrong}".encode().decode("latin-1"))
        assert wrong not in problem(answer, 401)["detail"]
        assert answer[2]["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"schema": SCHEMA},
        {"schema": "polyglot/badge/v9", "subject": "x", "roles": ["operator"]},
        *(
            {"schema": SCHEMA, "subject": subject, "roles": ["operator"], "expires": expires}
            for subject, expires in [
                *(("x", "soon"), ("x", 7), ("x", "2999-01-01T00:00:00"), ("x", "2001-01-01T00:00:00Z")),
                *(("oidc:alice", None), ("OIDC:alice", None)),
            ]
        ),
    ],
)
def test_a_token_whose_document_cannot_be_read_opens_nothing(site: Site, document: object) -> None:
    problem(site.http("GET", "/v1/assets", None, token=make_token(site, "x", document)), 401)


def test_a_token_that_a_newer_platform_made_opens_nothing_yet(site: Site) -> None:
    newer = {"schema": SCHEMA.replace("v2", "v9"), "subject": "x", "roles": ["operator"]}
    problem(site.http("GET", "/v1/assets", None, token=make_token(site, "x", newer)), 503, "upgrade this one")


def test_a_token_that_an_earlier_platform_made_opens_what_it_did(site: Site) -> None:
    earlier = {"schema": EARLIER, "subject": "x", "roles": ["reader"]}
    assert site.http("GET", "/v1/assets", None, token=make_token(site, "x", earlier))[0] == 200


def test_a_command_with_a_wrong_token_says_where_the_token_comes_from(site: Site) -> None:
    refused(site.run("list", POLYGLOT_TOKEN="wrong"), "POLYGLOT_TOKEN", "not known here")
    refused(site.run("list", POLYGLOT_TOKEN=""), "POLYGLOT_TOKEN")


@pytest.mark.usefixtures("leaves_nothing")
def test_a_reader_reads_and_publishes_nothing(site: Site, reader: str, dataset: str) -> None:
    assert site.http("GET", f"/v1/assets/{dataset}", token=reader)[0] == 200
    problem(site.http("POST", "/v1/uploads", {"kind": "dataset"}, token=reader), 403, "publisher", "reader")
    problem(site.http("POST", f"/v1/assets/{dataset}/retry", token=reader), 403, "publisher")
    problem(site.http("POST", "/v1/reconcile", token=reader), 403, "operator")
    refused(site.run("reconcile", POLYGLOT_TOKEN=reader), "operator")


def test_a_reader_may_have_claims_verified(site: Site, reader: str, dataset: str) -> None:
    assert site.run("verify", dataset, POLYGLOT_TOKEN=reader).status == 0


def test_a_publisher_touches_only_its_own(site: Site, publisher: str) -> None:
    upload = Upload(site)
    entry = {"path": "a", "size": 1, "sha256": sha(b"1")}
    answer = site.http("POST", f"/v1/uploads/{upload.id}/files", {"page": 0, "files": [entry]}, token=publisher)
    problem(answer, 403, "'admin'", "operator")
    upload.send({"a.csv": b"1"})
    problem(site.http("POST", "/v1/datasets", {"upload": upload.id}, token=publisher), 403, "'admin'")
    problem(site.http("POST", "/v1/reconcile", token=publisher), 403, "operator")
    assert not site.objects(f"requests/{upload.id}/submitted.json")


def test_two_people_may_use_the_same_idempotency_key(site: Site, publisher: str) -> None:
    key = {"Idempotency-Key": f"shared-{uuid4()}"}
    mine = site.http("POST", "/v1/uploads", {"kind": "dataset"}, **key)[1]
    theirs = site.http("POST", "/v1/uploads", {"kind": "trained-model"}, token=publisher, **key)
    assert theirs[0] == 202
    assert theirs[1]["id"] != mine["id"]


def test_a_platform_that_is_not_there_is_said_so(site: Site) -> None:
    ran = site.run("list", POLYGLOT_URL="http://127.0.0.1:9")
    refused(ran, "does not answer", "polyglot up", status=3)
