"""API tokens through the real interface: made, listed, expired, revoked, and what each role may do on every route."""

import json
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from functions._domain.digests import digest_of
from functions._domain.paths import token_key, token_revocation_key
from functions._domain.tokens import PREFIX
from functions._runtime.tokens import RANKS
from functions.declaration import FUNCTIONS, Route
from tests.platforms import Site
from tests.strangers import NOBODY, make_token, problem, refused

ROUTES = [route for function in FUNCTIONS for route in function.routes]
ROLES = ("reader", "publisher", "operator")


def created(site: Site, role: str = "reader", **more: object) -> dict[str, str]:
    status, answer, headers = site.http("POST", "/v1/tokens", {"subject": "someone", "role": role, **more})
    assert status == 201
    assert headers["Cache-Control"] == "no-store"
    return dict(answer)


def test_an_operator_makes_a_token_that_opens_what_it_may(site: Site) -> None:
    made = created(site)
    assert made["token"].startswith(PREFIX)
    assert (made["subject"], made["role"], made["by"]) == ("someone", "reader", "admin")
    assert site.http("GET", "/v1/assets", token=made["token"])[0] == 200
    lasts = datetime.fromisoformat(made["expires"]) - datetime.now(UTC)
    assert timedelta(days=89) < lasts <= timedelta(days=90)


def test_a_token_is_listed_without_itself(site: Site) -> None:
    made = created(site, "publisher", expires_in=None)
    status, listed, _ = site.http("GET", "/v1/tokens")
    assert status == 200
    (found,) = [one for one in listed["tokens"] if one["id"] == made["id"]]
    assert found == {name: value for name, value in made.items() if name != "token"}
    assert made["token"] not in json.dumps(listed)
    assert digest_of(made["token"].encode()).removeprefix("sha256:") not in json.dumps(listed)


def test_a_token_that_is_not_known_to_a_function_yet_ends_at_once_where_it_is_revoked(site: Site) -> None:
    made = created(site)
    status, answer, _ = site.http("POST", f"/v1/tokens/{made['id']}/revoke")
    assert (status, answer["revoked"]["by"]) == (200, "admin")
    assert site.http("POST", f"/v1/tokens/{made['id']}/revoke")[1] == answer
    problem(site.http("GET", "/v1/assets", token=made["token"]), 401, "revoked")
    digest = digest_of(made["token"].encode())
    assert (site.bucket / token_key(digest)).exists()
    assert (site.bucket / token_revocation_key(digest)).exists()


def test_a_token_that_expires_while_it_is_used_ends(site: Site) -> None:
    made = created(site, expires_in=2)
    statuses, end = set(), time.monotonic() + 30
    while 401 not in statuses and time.monotonic() < end:
        statuses.add(site.http("GET", "/v1/assets", token=made["token"])[0])
    assert statuses == {200, 401}


def test_an_answer_that_was_lost_is_not_given_again(site: Site) -> None:
    key = {"Idempotency-Key": f"once-{uuid4()}"}
    body = {"subject": "someone", "role": "reader"}
    made = site.http("POST", "/v1/tokens", body, **key)
    assert made[0] == 201
    problem(site.http("POST", "/v1/tokens", body, **key), 422, made[1]["id"], "polyglot token revoke")


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    "body",
    [
        {"subject": "oidc:alice", "role": "reader"},
        {"subject": "", "role": "reader"},
        {"subject": "alice", "role": "admin"},
        {"subject": "alice", "role": ["operator"]},
        {"subject": "alice", "role": "reader", "expires_in": 0},
        {"subject": "alice", "role": "reader", "expires_in": "90d"},
        {"subject": "alice"},
    ],
)
def test_a_token_that_cannot_be_meant_is_not_made(site: Site, body: object) -> None:
    problem(site.http("POST", "/v1/tokens", body), 400)


def test_the_command_makes_lists_and_revokes(site: Site) -> None:
    ran = site.run("token", "create", "--role", "reader", "--subject", "gateway-7", "--expires", "2h")
    assert ran.status == 0
    assert ran.out not in ran.err
    assert "gateway-7 is reader with this token until" in ran.err
    assert site.run("list", POLYGLOT_TOKEN=ran.out).status == 0
    (found,) = [one for one in site.run("token", "list", "--json").json if one["subject"] == "gateway-7"]
    assert found["id"] in ran.err
    (line,) = [line for line in site.ok("token", "list").splitlines() if found["id"] in line]
    assert line.split() == [found["id"], "reader", "until", found["expires"], "gateway-7"]
    revoked = site.run("token", "revoke", found["id"])
    assert revoked.status == 0
    assert "10 s" in revoked.err
    assert "warning" not in revoked.err
    assert revoked.out.startswith(f"revoked {found['id']}, reader gateway-7, at ")
    (line,) = [line for line in site.ok("token", "list").splitlines() if found["id"] in line]
    assert "revoked" in line


def test_the_command_says_what_is_wrong(site: Site) -> None:
    make = ("token", "create", "--role", "reader", "--subject")
    refused(site.run(*make, "oidc:alice"), "issuer names")
    refused(site.run(*make, "alice", "--expires", "soon"), "never")
    refused(site.run("token", "revoke", NOBODY), "no token", "polyglot token list")
    nowhere = {"POLYGLOT_URL": "", "POLYGLOT_TOKEN": "", "POLYGLOT_BUCKET": ""}
    refused(site.run(*make, "alice", **nowhere), "POLYGLOT_BUCKET", "--namespace", "POLYGLOT_URL")
    reader = make_token(site, "reader", None, "reader")
    refused(site.run(*make, "alice", POLYGLOT_TOKEN=reader), "operator")
    refused(site.run("token", "list", POLYGLOT_TOKEN=reader), "operator")


def test_who_opens_the_bucket_makes_a_token_without_one(site: Site) -> None:
    names = ("POLYGLOT_S3_URL", "POLYGLOT_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    bucket = {name: site.settings[name] for name in names}
    make = ("token", "create", "--role", "operator", "--subject", "first@example.org")
    ran = site.run(*make, "--expires", "never", POLYGLOT_URL="", POLYGLOT_TOKEN="", **bucket)
    assert ran.status == 0, ran.err
    assert "for ever" in ran.err
    (found,) = [one for one in site.run("token", "list", "--json", POLYGLOT_TOKEN=ran.out).json if one["id"] in ran.err]
    assert (found["subject"], found["role"], found["expires"], found["by"]) == (
        "first@example.org",
        "operator",
        None,
        "",
    )


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_takes_the_roles_that_it_is_declared_for_and_no_other(
    site: Site, bearers: dict[str, str], route: Route
) -> None:
    path = route.path.replace("{id}", NOBODY).replace("{path}", "x")
    for name, token in bearers.items():
        answer = site.http(route.method, path, b'{"nobody":1}' if route.body else None, token=token)
        if name not in ROLES:
            problem(answer, 401)
        elif RANKS[name] < RANKS[route.access]:
            problem(answer, 403, f"needs role {route.access}", f"has {name}")
            assert answer[2]["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{route.access}"'
        else:
            assert answer[0] in (200, 202, 400, 404, 422), answer


@pytest.fixture(scope="module")
def bearers(site: Site) -> dict[str, str]:
    """A token of each sort."""
    past = {"schema": "polyglot/token/v2", "subject": "x", "roles": ["operator"], "expires": "2001-01-01T00:00:00Z"}
    revoked = created(site, "operator")
    site.http("POST", f"/v1/tokens/{revoked['id']}/revoke")
    return {
        "none": "",
        "unknown": f"{PREFIX}{'x' * 43}",
        "expired": make_token(site, "x", past),
        "revoked": revoked["token"],
        **{role: created(site, role)["token"] for role in ROLES},
    }
