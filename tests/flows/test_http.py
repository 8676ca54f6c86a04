"""The HTTP interface against its own document: what is promised is answered, and nothing else."""

import gzip
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import urllib3

from functions.declaration import FUNCTIONS, Route
from tests.platforms import Site
from tests.strangers import NOBODY, Upload, folder_of, problem

ROUTES = [route for function in FUNCTIONS for route in function.routes]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
DOCUMENT = "/v1/openapi.json"
EXAMPLES = """\
continue-on-failure = true
suppress-health-check = ["all"]
max-redirects = 0
headers = {{ Authorization = "Bearer {token}" }}

[parameters]
"path.id" = "{asset}"
"path.path" = "{path}"

[generation]
max-examples = {examples}
database = "none"

[phases.coverage]
enabled = {coverage}

[phases.stateful]
enabled = false

[checks]
positive_data_acceptance.enabled = false
"""
"""What our schemas allow may still be refused (422) by what is registered: that check alone is off."""


@pytest.fixture(scope="module")
def dataset(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = folder_of(
        tmp_path_factory.mktemp("data"), {"a b/é#?.csv": b"1,2\n", "big.bin": bytes(3 << 20), "empty": b""}
    )
    return site.ok("dataset", "register", str(place), "--name", "http", "--wait")


def filled(path: str, asset: str = NOBODY) -> str:
    return path.replace("{id}", asset).replace("{path}", "x")


@pytest.fixture(scope="module")
def document(site: Site) -> dict[str, Any]:
    status, found, headers = site.http("GET", DOCUMENT, token="")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert isinstance(found, dict)
    return found


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


def test_the_document_has_every_route_and_no_other(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in ROUTES} | {("GET", DOCUMENT)}


def test_every_operation_says_what_it_answers(document: dict[str, Any]) -> None:
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        good = [status for status in operation["responses"] if status < "400"]
        assert len(good) == 1
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_document_says_who_may_call_and_how_much_is_taken(document: dict[str, Any], route: Route) -> None:
    operation = document["paths"][route.path][route.method.lower()]
    assert operation["security"] == [{"token": [route.access]}]
    assert operation["description"].startswith(f"Needs the role {route.access}.")
    assert ("413" in operation["responses"]) == ("requestBody" in operation) == (route.body is not None)
    if route.body is not None:
        assert str(route.limit) in operation["responses"]["413"]["description"]


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=lambda route: route.path)
def test_a_body_of_the_size_that_is_declared_is_read_and_a_larger_one_is_not(site: Site, route: Route) -> None:
    path, room = filled(route.path), route.limit - len('{"nobody":""}')
    problem(site.http("POST", path, b'{"nobody":"%s"}' % (b"x" * room)), 400, "nobody")
    problem(site.http("POST", path, b'{"nobody":"%s"}' % (b"x" * (room + 1))), 413, str(route.limit))


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert used == set(document["components"]["schemas"])


def examples_pass(site: Site, folder: Path, examples: int, asset: str, path: str, coverage: bool) -> None:
    """Schemathesis finds nothing: no 5xx, nothing undocumented, no wrong data taken, no route without its token."""
    given = {"examples": examples, "asset": asset, "path": path, "coverage": str(coverage).lower()}
    config = EXAMPLES.format(token=site.settings["POLYGLOT_TOKEN"], **given)
    (folder / "schemathesis.toml").write_text(config)
    url = site.settings["POLYGLOT_URL"]
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    ran = subprocess.run(
        [sys.executable, "-c", program, "run", url + DOCUMENT, "--url", url, "--seed", "1", "--no-color"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-12_000:] + ran.stderr[-2000:]
    assert f"Tested: {len(ROUTES)}" in ran.stdout, ran.stdout


def test_whatever_is_sent_is_answered_as_documented(site: Site, tmp_path: Path) -> None:
    examples_pass(site, tmp_path, 2, NOBODY, "x", coverage=True)


def test_whatever_is_asked_of_an_asset_is_answered_as_documented(site: Site, tmp_path: Path) -> None:
    place = folder_of(tmp_path / "own", {"big.bin": bytes(3 << 20)})  # whatever is asked: it is revoked and erased too
    dataset = site.ok("dataset", "register", str(place), "--name", "fuzzed", "--wait")
    examples_pass(site, tmp_path, 6, dataset, "big.bin", coverage=False)


# --- methods, statuses, headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES} | {DOCUMENT}))
def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes(site: Site, path: str) -> None:
    taken = {route.method for route in ROUTES if route.path == path} or {"GET"}
    allowed = ", ".join(sorted(taken)).replace("GET", "GET, HEAD")
    for method in METHODS:
        if method not in taken:
            answer = site.http(method, filled(path))
            problem(answer, 405, f"not {method}")
            assert answer[2]["Allow"] == allowed


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_wants_a_token(site: Site, route: Route) -> None:
    for header, challenge in (("", "Bearer"), ("Bearer wrong", 'Bearer error="invalid_token"')):
        answer = site.http(route.method, filled(route.path), None, Authorization=header)
        problem(answer, 401)
        assert answer[2]["WWW-Authenticate"] == challenge


def test_the_document_wants_none(site: Site) -> None:
    assert site.http("GET", DOCUMENT, Authorization="")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/nothing", "/v2/assets", "/v1/assets/", "/robots.txt", "/v1/assets/%00/x/y"]
)
def test_what_is_nowhere_is_a_404_problem(site: Site, path: str) -> None:
    problem(site.http("GET", path), 404)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=lambda route: route.path)
def test_head_is_get_without_its_body(site: Site, dataset: str, route: Route) -> None:
    path = filled(route.path, dataset).replace("/x", "/big.bin")
    got = site.http("GET", path)
    head = urllib3.request(
        "HEAD", site.settings["POLYGLOT_URL"] + path, redirect=False, retries=False, timeout=60,
        headers={"Authorization": f"Bearer {site.settings['POLYGLOT_TOKEN']}"},
    )  # fmt: skip
    assert (head.status, head.data) == (got[0], b"")
    assert head.headers.get("Content-Type") == got[2].get("Content-Type")


def test_what_is_accepted_says_where_to_ask(site: Site, dataset: str) -> None:
    for route, body in (("/v1/uploads", {"kind": "dataset"}), ("/v1/verifications", {"asset": dataset})):
        status, answer, headers = site.http("POST", route, body)
        assert (status, headers["Location"]) == (202, f"/v1/requests/{answer['id']}")
        status, found, _ = site.http("GET", headers["Location"])
        assert (status, found["id"], found["asset"]) == (200, answer["id"], answer["asset"])
        for link in answer["links"].values():
            assert site.http("GET", link)[0] == 200


@pytest.mark.parametrize("route", [route for route in ROUTES if "{id}" in route.path], ids=lambda route: route.path)
def test_an_unknown_or_wrong_uuid_is_said_so(site: Site, route: Route) -> None:
    wrong = ("not-a-uuid", NOBODY.replace("-", ""), f"{{{NOBODY}}}", f"urn:uuid:{NOBODY}", "%2e%2e")
    for text in wrong:
        problem(site.http(route.method, filled(route.path, text), b"{}"), 400, "is not a UUID")
    if route.body is None:
        assert site.http(route.method, filled(route.path))[0] == 404


def test_a_uuid_may_be_in_capitals(site: Site, dataset: str) -> None:
    assert site.http("GET", f"/v1/assets/{dataset.upper()}")[1]["id"] == dataset


@pytest.mark.parametrize(
    ("query", "status"),
    [
        *(("kind=dataset", 200), ("kind=", 200), ("name=http", 200), ("name=a%2Fb", 200), ("name=%00", 200)),
        *(("kind=banana", 400), ("kind=../..", 400), ("kind=dataset/http", 400)),
    ],
)
def test_a_list_takes_kinds_and_names(site: Site, dataset: str, query: str, status: int) -> None:
    found, answer, _ = site.http("GET", f"/v1/assets?{query}")
    assert found == status
    if status == 200:
        listed = {one["id"] for one in answer["assets"]}
        assert (dataset in listed) == (query in ("kind=dataset", "kind=", "name=http"))


# --- files ------------------------------------------------------------------------------------------------------------


def redirected(site: Site, path: str) -> Iterator[bytes]:
    """The bytes behind a redirect, without the token, as they come."""
    status, body, headers = site.http("GET", path)
    assert (status, body) == (307, b"")
    answer = urllib3.request("GET", headers["Location"], preload_content=False, retries=False, timeout=60)
    assert answer.status == 200
    yield from answer.stream(1 << 16)


def test_a_file_streams_from_the_store_by_a_redirect(site: Site, dataset: str) -> None:
    chunks = list(redirected(site, f"/v1/assets/{dataset}/files/big.bin"))
    assert len(chunks) > 1
    assert b"".join(chunks) == bytes(3 << 20)


def test_a_files_name_may_have_anything_that_a_url_escapes(site: Site, dataset: str) -> None:
    assert b"".join(redirected(site, f"/v1/assets/{dataset}/files/a%20b/%C3%A9%23%3F.csv")) == b"1,2\n"
    assert b"".join(redirected(site, f"/v1/assets/{dataset}/files/empty")) == b""


def test_without_a_path_it_is_the_inventory_that_the_ledger_has(site: Site, dataset: str) -> None:
    inventory = b"".join(redirected(site, f"/v1/assets/{dataset}/files/"))
    contract = site.http("GET", f"/v1/assets/{dataset}/contract")[1]
    assert contract["inventory_digest"] == f"sha256:{hashlib.sha256(inventory).hexdigest()}"


@pytest.mark.parametrize(
    "path", ["../record.json", "..%2Frecord.json", "%2e%2e/%2e%2e/%2e%2e/tokens/x", "a//b", "%00", "a%5Cb", "./big.bin"]
)
def test_a_path_that_leaves_an_assets_files_is_refused(site: Site, dataset: str, path: str) -> None:
    url = f"{site.settings['POLYGLOT_URL']}/v1/assets/{dataset}/files/{path}"
    pool = urllib3.connection_from_url(url)
    answer = pool.urlopen(
        "GET", url.removeprefix(site.settings["POLYGLOT_URL"]), redirect=False, retries=False, timeout=60,
        headers={"Authorization": f"Bearer {site.settings['POLYGLOT_TOKEN']}"},
    )  # fmt: skip
    assert answer.status in (400, 404)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_file_that_is_not_there_is_a_404_problem(site: Site, dataset: str) -> None:
    problem(site.http("GET", f"/v1/assets/{dataset}/files/nothing.csv"), 404, "'nothing.csv'")
    problem(site.http("GET", f"/v1/assets/{NOBODY}/files/"), 404)
    problem(site.http("GET", f"/v1/assets/{Upload(site).id}/files/"), 404, "not sealed yet")


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", ""])
def test_a_body_is_json_whatever_it_is_called(site: Site, content_type: str) -> None:
    assert site.http("POST", "/v1/uploads", {"kind": "dataset"}, **{"Content-Type": content_type})[0] == 202


def test_a_compressed_body_is_not_understood(site: Site) -> None:
    body = gzip.compress(b'{"kind":"dataset"}')
    problem(site.http("POST", "/v1/uploads", body, **{"Content-Encoding": "gzip"}), 400)


def test_a_chunked_body_is_taken_and_a_chunked_one_without_end_is_not(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.settings['POLYGLOT_TOKEN']}", "Transfer-Encoding": "chunked"}
    url = site.settings["POLYGLOT_URL"] + "/v1/uploads"
    sent = urllib3.request(
        "POST", url, body=iter([b'{"kind":', b'"dataset"}']), headers=headers, retries=False, timeout=60
    )
    assert sent.status == 202
    large = urllib3.request(
        "POST", url, body=(b" " * (1 << 10) for _ in range(65)), headers=headers, retries=False, timeout=60
    )
    assert (large.status, large.headers["Content-Type"]) == (413, "application/problem+json")
