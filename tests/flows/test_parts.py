"""The parts of the embedded platform, run for real: child processes, the bucket, the chain."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import localbucket
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions._runtime.local import bucket, chain, child, loopback
from functions._runtime.local.bucket_server import first_after, page
from tests.parts import alive, eventually, request

SECOND_AND_A_BIT = 1.4

# Children


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
