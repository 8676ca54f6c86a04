"""The embedded platform with small functions in place of ours: it comes up, works, and leaves nothing behind."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from functions._runtime.local import chain, folder
from functions._runtime.local.platform import PART_DIED, Platform
from tests.parts import Hooks, alive, eventually, request


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
sys.path.insert(0, {root!r})
from tests.parts import Hooks
from functions._runtime.local.platform import Platform
platform = Platform(Path(sys.argv[1]), Hooks(), port=0, environ={{}}, say=lambda text: print(text, flush=True))
sys.exit(platform.run(ready=lambda: print("up", flush=True)))
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    program = UP.format(root=str(Path(__file__).parents[2]))
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
