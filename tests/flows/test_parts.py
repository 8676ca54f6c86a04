"""The parts of the embedded platform, run for real: bucket, chain, HTTP server, processes, and the platform of them."""

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import localbucket
import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from functions._runtime.local import bucket, chain, child, folder, loopback
from functions._runtime.local.bucket_server import first_after, page
from functions._runtime.local.platform import PART_DIED, Addresses, Platform
from functions._runtime.local.processes import Processes
from functions._runtime.local.routing import Owners, compose
from functions._runtime.local.server import Server
from functions.declaration import FUNCTIONS

SECOND_AND_A_BIT = 1.4


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def request(method: str, url: str, body: bytes = b"", **headers: str) -> urllib3.BaseHTTPResponse:
    with urllib3.PoolManager() as pool:
        return pool.request(method, url, body=body, headers=headers, retries=False, redirect=False, timeout=10)


# Children

sleeper = [sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(60)"]


def test_a_child_that_will_not_end_is_ended(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    started = child.start("stubborn", [sys.executable, "-I", "-S", "-c", stubborn], tmp_path / "log", {})
    assert eventually(lambda: started.tail() == "up")
    started.stop(patience=0.2)
    assert not started.alive


def test_a_child_that_died_says_why(tmp_path: Path) -> None:
    started = child.start(
        "liar", [sys.executable, "-I", "-S", "-c", "print('no!'); raise SystemExit(7)"], tmp_path / "log", {}
    )
    assert eventually(lambda: not started.alive)
    assert "liar ended with status 7" in str(started.failure())
    assert "no!" in str(started.failure())


def test_a_child_gets_the_environment_it_is_given_only(tmp_path: Path) -> None:
    show = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    started = child.start("shy", [sys.executable, "-I", "-S", "-c", show], tmp_path / "log", {"A": "1"})
    assert eventually(lambda: not started.alive)
    assert started.tail() == "['A']"


PARENT = """
import os, sys, time
from pathlib import Path
from functions._runtime.local import bucket, chain
data = Path(sys.argv[1])
parts = bucket.start(data / "bucket", data / "logs"), chain.start(data / "chain", data / "logs", print)
print(*(part.child.pid for part in parts), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_no_child_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        parent.kill()
        parent.wait()
        assert eventually(lambda: not any(map(alive, pids)))


# Bucket


def test_a_bucket_keeps_objects_over_a_kill(tmp_path: Path) -> None:
    first = bucket.start(tmp_path / "bucket", tmp_path / "logs")
    assert request("PUT", f"{first.url}/polyglot/assets/7/files/a.bin", b"abc").status == 200
    os.kill(first.child.pid, signal.SIGKILL)
    first.stop()
    assert (tmp_path / "bucket/polyglot/assets/7/files/a.bin").read_bytes() == b"abc"
    again = bucket.start(tmp_path / "bucket", tmp_path / "logs")
    try:
        assert request("GET", f"{again.url}/polyglot/assets/7/files/a.bin").data == b"abc"
        refused = request("PUT", f"{again.url}/polyglot/assets/7/files/a.bin", b"x", **{"If-None-Match": "*"})
        assert refused.status == 412
    finally:
        again.stop()


def test_buckets_side_by_side_share_nothing(tmp_path: Path) -> None:
    one, two = (bucket.start(tmp_path / name, tmp_path / "logs") for name in ("one", "two"))
    try:
        assert request("PUT", f"{one.url}/polyglot/a", b"abc").status == 200
        assert request("GET", f"{two.url}/polyglot/a").status == 404
    finally:
        one.stop()
        two.stop()


def test_a_small_object_comes_in_one_packet(tmp_path: Path) -> None:
    served = bucket.start(tmp_path / "bucket", tmp_path / "logs")
    try:
        request("PUT", f"{served.url}/polyglot/a", b"abc")
        with socket.create_connection((loopback.HOST, urlsplit(served.url).port or 0)) as raw:
            raw.sendall(b"GET /polyglot/a HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = raw.recv(65536)
    finally:
        served.stop()
    assert answer.endswith(b"\r\n\r\nabc")


def test_a_client_that_waits_for_100_continue_gets_it_at_once(tmp_path: Path) -> None:
    served = bucket.start(tmp_path / "bucket", tmp_path / "logs")
    try:
        with socket.create_connection((loopback.HOST, urlsplit(served.url).port or 0), timeout=2) as raw:
            raw.sendall(b"PUT /polyglot/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            assert raw.recv(65536).startswith(b"HTTP/1.1 100 ")
            raw.sendall(b"abc")
            assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        served.stop()


segments = st.text(alphabet="a.-0é", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
keys = st.lists(segments, min_size=1, max_size=4).map("/".join)
prefixes = st.just("") | keys | keys.map(lambda key: key + "/")


@settings(deadline=None, max_examples=150)
@given(st.sets(keys, max_size=12), prefixes, st.sampled_from(["", "/"]), prefixes, st.booleans(), st.integers(0, 5))
def test_a_listing_is_what_localbucket_itself_lists(
    tmp_path_factory: pytest.TempPathFactory,
    objects: set[str],
    prefix: str,
    delimiter: str,
    marker: str,
    whole: bool,
    size: int,
) -> None:
    root = tmp_path_factory.mktemp("bucket")
    for key in sorted(objects):
        with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):  # "a" and "a/b" exclude each other here
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(b"")
    whole_prefix = whole and bool(marker)
    handler = localbucket.S3Handler.__new__(localbucket.S3Handler)
    expected = handler._list_entries(root, prefix, delimiter, marker, whole_prefix, size)
    # localbucket skips the marker itself too where it stands for its whole prefix
    assert page(root, prefix, delimiter, first_after(marker, whole_prefix), size) == expected


# Chain


@pytest.fixture
def said() -> list[str]:
    return []


def deposit(node: chain.Chain, wei: int) -> None:
    chain.ask(node.url, "anvil_setBalance", "0x" + "11" * 20, hex(wei))
    chain.ask(node.url, "evm_mine")


def balance(node: chain.Chain) -> int:
    return int(str(chain.ask(node.url, "eth_getBalance", "0x" + "11" * 20, "latest")), 16)


def test_a_chain_keeps_its_state_over_a_kill(tmp_path: Path, said: list[str]) -> None:
    first = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    deposit(first, 5)
    time.sleep(SECOND_AND_A_BIT)
    os.kill(first.child.pid, signal.SIGKILL)
    first.stop()
    again = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    try:
        assert (balance(again), again.chain_id, said) == (5, first.chain_id, [])
    finally:
        again.stop()


def test_logs_and_receipts_of_old_blocks_are_there_after_a_restart(tmp_path: Path, said: list[str]) -> None:
    first = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    sender = "0x" + "22" * 20
    chain.ask(first.url, "anvil_impersonateAccount", sender)
    logs_once = {"from": sender, "data": "0x60006000a000", "gas": "0x100000", "gasPrice": "0x0"}
    transaction = chain.ask(first.url, "eth_sendTransaction", logs_once)
    assert eventually(lambda: chain.ask(first.url, "eth_getTransactionReceipt", transaction) is not None)
    chain.ask(first.url, "anvil_mine", "0x64")
    first.stop()
    again = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    try:
        found = chain.ask(again.url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
        assert isinstance(found, list)
        assert [entry["transactionHash"] for entry in found] == [transaction]
        assert chain.ask(again.url, "eth_getTransactionReceipt", transaction)
        assert chain.ask(again.url, "eth_getProof", found[0]["address"], [], "latest")
    finally:
        again.stop()


def test_a_chain_that_is_stopped_loses_nothing(tmp_path: Path, said: list[str]) -> None:
    first = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    deposit(first, 5)
    first.stop()
    again = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    try:
        assert balance(again) == 5
    finally:
        again.stop()


def test_chains_side_by_side_are_different_chains(tmp_path: Path, said: list[str]) -> None:
    one, two = (chain.start(tmp_path / name, tmp_path / "logs", said.append) for name in ("one", "two"))
    try:
        deposit(one, 5)
        assert balance(two) == 0
        assert one.chain_id != two.chain_id
    finally:
        one.stop()
        two.stop()


def test_gas_is_free_and_stays_free(tmp_path: Path, said: list[str]) -> None:
    node = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    try:
        assert chain.ask(node.url, "eth_gasPrice") == "0x0"
        block = chain.ask(node.url, "eth_getBlockByNumber", "latest", False)
        assert isinstance(block, dict)
        assert block["baseFeePerGas"] == "0x0"
        assert int(block["gasLimit"], 16) > 2**50
    finally:
        node.stop()


@pytest.mark.parametrize("cut", [0, 10, 600])
def test_a_state_cut_off_in_the_middle_falls_back_to_the_kept_one(tmp_path: Path, said: list[str], cut: int) -> None:
    first = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    deposit(first, 5)
    first.stop()
    state = tmp_path / "chain/state.json"
    state.write_bytes(state.read_bytes()[:cut])
    again = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    try:
        assert balance(again) == 5
        assert len(said) == 1
        assert "older copy" in said[0]
    finally:
        again.stop()


def test_without_any_whole_state_the_chain_starts_empty_with_its_old_id(tmp_path: Path, said: list[str]) -> None:
    first = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    deposit(first, 5)
    first.stop()
    for name in ("state.json", "state.kept.json"):
        (tmp_path / "chain" / name).write_text('{"block":')
    again = chain.start(tmp_path / "chain", tmp_path / "logs", said.append)
    try:
        assert (balance(again), again.chain_id) == (0, first.chain_id)
        assert "empty chain" in said[0]
    finally:
        again.stop()


def test_a_missing_anvil_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGLOT_ANVIL", str(tmp_path / "none"))
    with pytest.raises(chain.UnavailableAnvil, match="POLYGLOT_ANVIL"):
        chain.start(tmp_path / "chain", tmp_path / "logs", print)


# HTTP


def echo(name: str) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        shown = {
            "service": name,
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": environ["QUERY_STRING"],
            "body": body.decode(),
        }
        answer = json.dumps(shown).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return [answer]

    return application


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
    assert eventually(lambda: processes["retrieve"].pid is None)
    assert not alive(first)
    assert request("GET", through).json()["pid"] != first


def test_a_process_that_dies_answers_503_and_is_replaced(processes: Processes, through: str) -> None:
    died = request("GET", f"{through}/die")
    assert died.status == 503
    assert died.headers["Content-Type"] == "application/problem+json"
    first = request("GET", through).json()["pid"]
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not alive(first))
    assert request("GET", through).json()["pid"] != first


def test_an_answer_cut_off_is_seen_to_be_cut_off(through: str) -> None:
    with pytest.raises((urllib3.exceptions.ProtocolError, http.client.IncompleteRead)):
        request("GET", f"{through}/half")


# Platform


class Hooks:
    """Functions that echo, and a diary of what was called."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.fail = False

    def prepare(self, addresses: Addresses) -> Mapping[str, str]:
        assert chain.ask(addresses.rpc_url, "eth_chainId")
        assert request("HEAD", f"{addresses.s3_url}/{addresses.bucket}").status == 200
        self.diary.append("prepare")
        if self.fail:
            raise RuntimeError("no ledger today")
        return {"POLYGLOT_TOKEN": "it's secret", "POLYGLOT_LEDGER": "0x1"}

    def make_apps(self, settings: Mapping[str, str]) -> Mapping[str, WSGIApplication]:
        assert settings["POLYGLOT_BROKER_URL"].endswith("/broker")
        self.diary.append("make_apps")
        return {service: self.take for function in FUNCTIONS for service in function.services}

    def take(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.diary.append(environ["SCRIPT_NAME"] or environ["PATH_INFO"])
        start_response("204 No Content", [])
        return []

    def recover(self) -> None:
        self.diary.append("recover")

    def sweep(self) -> None:
        self.diary.append("sweep")
        raise RuntimeError("a sweep that fails is tried again")


def test_a_platform_comes_up_works_and_leaves_nothing_behind(tmp_path: Path) -> None:
    hooks = Hooks()
    (tmp_path / "env").write_text("stale")
    with Platform(tmp_path, hooks, port=0, environ={}, sweep_every=0.2) as platform:
        assert hooks.diary[:3] == ["prepare", "make_apps", "recover"]
        env = tmp_path / "env"
        assert stat.S_IMODE(env.stat().st_mode) == 0o600
        sourced = subprocess.run(["sh", "-c", f". {env}; env"], capture_output=True, text=True, check=True).stdout
        assert "POLYGLOT_TOKEN=it's secret" in sourced
        assert f"POLYGLOT_URL={platform.addresses.url}" in sourced
        assert request("GET", f"{platform.addresses.url}/v1/assets").status == 204
        event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "io.polyglot.asset.submitted.v1"}
        assert request("POST", platform.addresses.broker_url, b"", **event).status == 202
        assert platform.broker.drain(5)
        assert "/functions/ingest" in hooks.diary
        assert eventually(lambda: hooks.diary.count("sweep") > 1)
        with pytest.raises(folder.UnavailableFolder, match=f"process {os.getpid()}"):
            Platform(tmp_path, hooks, port=0, environ={}).start()
        assert env.exists()
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not env.exists()
    with pytest.raises(urllib3.exceptions.HTTPError):
        request("GET", platform.addresses.url)
    with pytest.raises(OSError, match=r".+"):
        chain.ask(platform.addresses.rpc_url, "eth_chainId")


def test_a_platform_that_fails_to_start_stops_what_it_started(tmp_path: Path) -> None:
    hooks = Hooks()
    hooks.fail = True
    platform = Platform(tmp_path, hooks, port=0, environ={})
    with pytest.raises(RuntimeError, match="no ledger"):
        platform.start()
    with pytest.raises(OSError, match=r".+"):
        chain.ask(platform.addresses.rpc_url, "eth_chainId")
    with folder.locked(tmp_path):
        assert not (tmp_path / "env").exists()


UP = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_parts import Hooks
from functions._runtime.local.platform import Platform
platform = Platform(Path(sys.argv[1]), Hooks(), port=0, environ={{}}, say=lambda text: print(text, flush=True))
sys.exit(platform.run(ready=lambda: print("up", flush=True)))
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    program = UP.format(tests=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_platform_and_its_children(
    tmp_path: Path, up: subprocess.Popen[str], number: signal.Signals
) -> None:
    pids = children_of(up.pid)
    assert len(pids) == 2
    up.send_signal(number)
    assert up.wait(5) == 0
    assert not any(map(alive, pids))
    assert not (tmp_path / "env").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_part_that_dies_ends_the_platform_with_a_reason(tmp_path: Path, up: subprocess.Popen[str]) -> None:
    pids = children_of(up.pid)
    os.kill(pids[0], signal.SIGKILL)
    assert up.wait(5) == PART_DIED
    assert up.stdout
    assert "the bucket ended with status -9" in up.stdout.read()
    assert not any(map(alive, pids))
