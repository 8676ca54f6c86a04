"""The program in a Service's container: what is being answered when it is stopped, is answered."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from functions._runtime.local import loopback
from functions._runtime.serve import options
from functions.declaration import FUNCTIONS, TOKEN_LIMIT
from tests.parts import alive, eventually

SLOW = """\
import time, functions_framework

@functions_framework.http
def deploy(request):
    open("asked", "a").close()
    time.sleep(float(request.args.get("seconds", 0)))
    return f"done after {request.args['seconds']} s"
"""


@contextmanager
def serving(folder: Path, source: str = SLOW, **environment: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    (folder / "main.py").write_text(source)
    port = loopback.free_port()
    given = {"FUNCTION_TARGET": "deploy", "FUNCTION_SOURCE": str(folder / "main.py"), "THREADS": "4", **environment}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "functions._runtime.serve"],
        env={
            **os.environ,
            **given,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def get(url: str) -> tuple[int, str]:
    with urllib3.PoolManager() as pool:  # each on a connection of its own: kept ones are still served for a moment
        answer = pool.request("GET", url, headers={"Connection": "close"}, retries=False, timeout=60)
        return answer.status, answer.data.decode()


def answers(url: str) -> bool:
    try:
        return get(f"{url}?seconds=0")[0] == 200
    except urllib3.exceptions.HTTPError:
        return False


def test_requests_in_flight_are_answered_after_sigterm(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url), ThreadPoolExecutor(3) as pool:
        assert eventually(lambda: answers(url), 30)
        (tmp_path / "asked").unlink()
        running = [pool.submit(get, f"{url}?seconds=3") for _ in range(3)]
        assert eventually((tmp_path / "asked").exists)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert [one.result() for one in running] == [(200, "done after 3 s")] * 3
        assert process.wait(10) == 0


def test_it_stops_at_once_where_nothing_is_in_flight(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url):
        assert eventually(lambda: answers(url), 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_it_stops_while_it_is_still_loading(tmp_path: Path) -> None:
    with serving(tmp_path, "open('asked', 'a').close(); import time; time.sleep(60)\n") as (process, _):
        assert eventually((tmp_path / "asked").exists, 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM


def test_a_target_that_nobody_declared_is_named(tmp_path: Path) -> None:
    with serving(tmp_path, FUNCTION_TARGET="nonsense") as (process, _):
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert "no function 'nonsense'; there are register, ingest" in process.stderr.read()


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_step_may_take_as_long_as_its_service_lets_it_also_while_its_pod_is_stopped(function: object) -> None:
    chosen = options(function, {})  # type: ignore[arg-type]
    assert chosen["timeout"] == 0
    assert chosen["graceful_timeout"] == function.timeout > 30  # type: ignore[attr-defined]
    assert chosen["threads"] > function.concurrency  # type: ignore[attr-defined]


def test_a_token_may_be_as_long_as_is_declared(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, url), urllib3.PoolManager() as pool:
        assert eventually(lambda: answers(url), 30)

        def status(length: int) -> int:
            headers = {"Authorization": f"Bearer {'x' * length}", "Connection": "close"}
            return pool.request("GET", f"{url}?seconds=0", headers=headers, retries=False, timeout=60).status

        assert (status(TOKEN_LIMIT), status(TOKEN_LIMIT + 2048)) == (200, 431)


@pytest.mark.slow
def test_a_step_of_more_than_gunicorns_30_seconds_is_finished(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url), ThreadPoolExecutor(1) as pool:
        assert eventually(lambda: answers(url), 30)
        (tmp_path / "asked").unlink()
        running = pool.submit(get, f"{url}?seconds=34")
        assert eventually((tmp_path / "asked").exists)
        process.send_signal(signal.SIGTERM)
        assert running.result() == (200, "done after 34 s")
        assert eventually(lambda: not alive(process.pid) or process.poll() is not None, 10)
