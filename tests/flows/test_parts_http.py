"""The embedded platform's HTTP server, and functions behind it as processes of their own."""

import http.client
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from functions._runtime.local import loopback
from functions._runtime.local.processes import Processes
from functions._runtime.local.routing import Owners, compose
from functions._runtime.local.server import Server
from functions.declaration import FUNCTIONS
from tests.parts import alive, echo, eventually, request

MAIN = """
import os, time
import flask, functions_framework

@functions_framework.http
def retrieve(request):
    if request.path == "/die":
        os._exit(1)
    if request.path == "/half":
        def half():
            yield b"x" * 100_000
            os._exit(1)
        return flask.Response(half(), headers={"Content-Length": "200000"})
    if request.path == "/large":
        return flask.Response((b"x" * 100_000 for _ in range(10)))
    shown = {key: os.environ.get(key) for key in ("SECRET", "LEAK")}
    return {"pid": os.getpid(), "path": request.path, "query": request.query_string.decode(),
            "body": request.get_data(as_text=True), "header": request.headers.get("X-A"), **shown}, 201, {"X-B": "2"}

bury = retrieve
functions_framework.http(bury)
"""


@pytest.fixture
def served() -> Iterator[Server]:
    apps = {service: echo(service) for function in FUNCTIONS for service in function.services}
    server = Server(loopback.listen(), compose(apps, echo("the broker")), threads=4, body_limit=1000)
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("method", "path", "service", "seen"),
    [
        ("GET", "/v1/assets", "retrieve", "/v1/assets"),
        ("GET", "/v1/assets/7/files/a/b%20c.bin", "retrieve", "/v1/assets/7/files/a/b c.bin"),
        ("GET", "/v1/openapi.json", "retrieve", "/v1/openapi.json"),
        ("POST", "/v1/datasets", "register", "/v1/datasets"),
        ("DELETE", "/v1/datasets", "register", "/v1/datasets"),
        ("POST", "/v1/assets/7/retry", "register", "/v1/assets/7/retry"),
        ("POST", "/v1/reconcile", "reconcile", "/v1/reconcile"),
        ("POST", "/functions/translate-torch", "translate-torch", "/"),
        ("POST", "/functions/deploy/x", "deploy", "/x"),
        ("POST", "/broker", "the broker", "/broker"),
    ],
)
def test_a_path_reaches_its_owner(served: Server, method: str, path: str, service: str, seen: str) -> None:
    answer = request(method, f"{served.url}{path}?a=1").json()
    assert (answer["service"], answer["path"], answer["method"], answer["query"]) == (service, seen, method, "a=1")


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nothing", "/v1/assetsx", "/functions/", "/functions/nobody", "/v2/x"]
)
def test_an_unknown_path_is_a_problem(served: Server, path: str) -> None:
    answer = request("GET", f"{served.url}{path}")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 404


def test_a_body_too_large_is_a_problem(served: Server) -> None:
    answer = request("POST", f"{served.url}/v1/datasets", b"x" * 1000)
    assert answer.status == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert request("POST", f"{served.url}/v1/datasets", b"x" * 999).status == 200


def test_a_small_answer_comes_in_one_packet(served: Server) -> None:
    for _ in range(200):
        with socket.create_connection((loopback.HOST, urlsplit(served.url).port or 0)) as raw:
            raw.sendall(b"GET /v1/assets HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.recv(65536).endswith(b"}")


def test_every_route_of_the_declaration_has_its_owner() -> None:
    owners = Owners(FUNCTIONS)
    for function in FUNCTIONS:
        for route in function.routes:
            assert owners.find(route.method, route.path.replace("{id}", "7").replace("{path}", "a/b")) == function.name


def test_a_port_that_is_taken_is_replaced() -> None:
    with loopback.listen() as first, loopback.listen(first.getsockname()[1]) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


# Processes


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    monkeypatch.setenv("LEAK", "1")
    (tmp_path / "main.py").write_text(MAIN)
    made = Processes(tmp_path / "main.py", lambda name: {"SECRET": name}, tmp_path / "logs", idle=0.3)
    yield made
    made.close()


@pytest.fixture
def through(processes: Processes) -> Iterator[str]:
    server = Server(loopback.listen(), compose(processes, echo("the broker")), threads=4)
    yield f"{server.url}/functions/retrieve"
    server.stop()


def test_a_request_passes_through_a_process(processes: Processes, through: str) -> None:
    assert processes["retrieve"].pid is None
    answer = request("PUT", f"{through}/a%20b/c?q=1&r=%2F", b"body", **{"X-A": "1"})
    shown = answer.json()
    assert (answer.status, answer.headers["X-B"]) == (201, "2")
    assert (shown["path"], shown["query"], shown["body"], shown["header"]) == ("/a b/c", "q=1&r=%2F", "body", "1")
    assert (shown["SECRET"], shown["LEAK"]) == ("retrieve", None)
    assert shown["pid"] == processes["retrieve"].pid
    assert len(request("GET", f"{through}/large").data) == 1_000_000
    assert request("HEAD", f"{through}/x").status == 201


def test_an_idle_process_is_stopped_and_started_again(processes: Processes, through: str) -> None:
    first = request("GET", through).json()["pid"]
    assert eventually(lambda: not alive(first))
    assert processes["retrieve"].pid is None
    assert request("GET", through).json()["pid"] != first


def test_a_process_that_dies_answers_503_and_is_replaced(processes: Processes, through: str) -> None:
    first = request("GET", through).json()["pid"]
    died = request("GET", f"{through}/die")
    assert died.status == 503
    assert died.headers["Content-Type"] == "application/problem+json"
    assert eventually(lambda: not alive(first))
    second = request("GET", through).json()["pid"]
    os.kill(second, signal.SIGKILL)
    assert eventually(lambda: not alive(second))
    assert request("GET", through).json()["pid"] not in (first, second)


def test_an_answer_cut_off_is_seen_to_be_cut_off(through: str) -> None:
    with pytest.raises((urllib3.exceptions.ProtocolError, http.client.IncompleteRead)):
        request("GET", f"{through}/half")
