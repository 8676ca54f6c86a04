"""Cold starts: from starting a Service's process to its first answer, beside a bare function with one boto3 GET.

Both are started the way ``polyglot up --processes`` starts a Service: ``functions._runtime.local.service_process`` on a
socket that listens already. The bare function is also started by ``python -m functions_framework``, as others do.
"""

import http.client
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.site import Site, running
from benchmarks.sizes import Sizes
from benchmarks.table import Pair, Row
from functions._runtime.embedded import MAIN
from functions._runtime.local import child, loopback

BARE = Path(__file__).with_name("bare") / "main.py"
OBJECT = "benchmark/object"
MOST = 1.3


@dataclass(frozen=True)
class Question:
    """The first request to a Service, and the answer that counts."""

    service: str
    method: str
    path: str
    status: int
    body: str = ""


def rows(sizes: Sizes, scratch: Path) -> list[Row]:
    """The first write of ``register``, two first reads of ``retrieve``."""
    with running(scratch / "cold") as site:
        sample = scratch / "sample.txt"
        sample.write_text("a dataset\n")
        asset = site.register(sample)
        site.wait_for_contract(asset)
        site.s3().put_object(Bucket=site.settings["POLYGLOT_BUCKET"], Key=OBJECT, Body=b"an object")
        questions = [
            Question("register", "POST", "/v1/uploads", 202, '{"kind": "dataset"}'),
            Question("retrieve", "GET", f"/v1/assets/{asset}/files/sample.txt", 307),
            Question("retrieve", "GET", f"/v1/assets/{asset}", 200),
        ]
        bare = Question("bare", "GET", "/", 200)
        start = _Start(site, scratch / "logs")
        times: dict[str, list[float]] = {"": [], "framework": [], **{one.path: [] for one in questions}}
        for _ in range(sizes.starts):
            times[""].append(start.as_a_service(bare, BARE))
            times["framework"].append(start.by_the_framework(bare))
            for one in questions:
                times[one.path].append(start.as_a_service(one, MAIN))
    usual = statistics.median(times["framework"])
    names = [path.replace(asset, "{id}").replace("sample.txt", "{path}") for path in (one.path for one in questions)]
    return [
        Pair(times[one.path], times[""]).row(
            f"cold start of {one.service} to its first answer, {one.method} {name}, against a bare function",
            most=MOST,
            note=f"medians of {sizes.starts} in turns; the bare function by python -m functions_framework "
            f"{usual * 1000:.0f} ms (ratio {statistics.median(times[one.path]) / usual:.2f})",
        )
        for one, name in zip(questions, names, strict=True)
    ]


class _Start:
    def __init__(self, site: Site, logs: Path) -> None:
        self._logs = logs
        self._settings = {**child.plain_environment(), **site.settings, "OBJECT": OBJECT}
        self._token = self._settings.pop("POLYGLOT_TOKEN")

    def as_a_service(self, question: Question, source: Path) -> float:
        """Seconds to the first answer of a process that serves on an inherited socket."""
        with loopback.listen() as listening:
            program = [sys.executable, "-I", "-m", "functions._runtime.local.service_process", question.service]
            argv = [*program, str(source), str(listening.fileno()), "8"]
            log = self._logs / f"{question.service}.log"
            started = time.perf_counter()
            process = child.start(question.service, argv, log, self._settings, [listening.fileno()])
            address = loopback.address(listening)
        try:
            self._ask(question, address)
            return time.perf_counter() - started
        finally:
            process.stop()

    def by_the_framework(self, question: Question) -> float:
        """Seconds to the first answer of ``python -m functions_framework``, asked for until it listens."""
        port = loopback.free_port()
        argv = [sys.executable, "-m", "functions_framework", "--target", question.service, "--source", str(BARE)]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*argv, "--host", loopback.HOST, "--port", str(port)],
            env=self._settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while process.poll() is None:
                with suppress(ConnectionRefusedError):
                    self._ask(question, f"http://{loopback.HOST}:{port}")
                    return time.perf_counter() - started
                time.sleep(0.005)
            raise RuntimeError(f"python -m functions_framework ended with {process.returncode}")
        finally:
            process.terminate()
            process.wait()

    def _ask(self, question: Question, address: str) -> None:
        headers: Mapping[str, str] = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        try:
            connection.request(question.method, question.path, question.body or None, dict(headers))
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != question.status:
            raise RuntimeError(f"{question.method} {question.path}: {answer.status} {said[:500]!r}")
