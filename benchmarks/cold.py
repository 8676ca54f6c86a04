"""Cold starts: from starting a Service's process to its first answer, beside a bare function with one boto3 GET.

Both are started the way ``polyglot up --processes`` starts a Service: ``functions._runtime.local.service_process`` on a
socket that listens already. The bare function is also started by ``python -m functions_framework``, as others do.
"""

import http.client
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
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
        start, bare = _Start(site, scratch / "logs"), Question("bare", "GET", "/", 200)
        by_framework: list[float] = []
        theirs, ours = _Times(), {one: _Times() for one in questions}
        for one in questions:
            start.as_a_service(one, MAIN)  # uncounted: Python compiles what it has not seen before
        for _ in range(sizes.starts):
            theirs.add(*start.as_a_service(bare, BARE))
            by_framework.append(start.by_the_framework(bare))
            for one, times in ours.items():
                times.add(*start.as_a_service(one, MAIN))
    usual = statistics.median(by_framework)
    return [
        Pair(times.elapsed, theirs.elapsed).row(
            f"cold start of {one.service} to its first answer, {one.method} "
            f"{one.path.replace(asset, '{id}').replace('sample.txt', '{path}')}, against a bare function",
            most=MOST,
            note=f"medians of {sizes.starts} in turns; processor time, which others' load does not stretch as much, "
            f"{times.used:.2f} s against {theirs.used:.2f} s (ratio {times.used / theirs.used:.2f}); the bare function "
            f"by python -m functions_framework {usual:.2f} s (ratio {statistics.median(times.elapsed) / usual:.2f})",
        )
        for one, times in ours.items()
    ]


@dataclass(frozen=True)
class _Times:
    """Seconds of each start: elapsed, and of the processor."""

    elapsed: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def add(self, elapsed: float, processor: float) -> None:
        self.elapsed.append(elapsed)
        self.processor.append(processor)

    @property
    def used(self) -> float:
        return statistics.median(self.processor)


class _Start:
    def __init__(self, site: Site, logs: Path) -> None:
        self._logs = logs
        self._settings = {**child.plain_environment(), **site.settings, "OBJECT": OBJECT}
        self._token = self._settings.pop("POLYGLOT_TOKEN")

    def as_a_service(self, question: Question, source: Path) -> tuple[float, float]:
        """Seconds to the first answer of a process that serves on an inherited socket, elapsed and of the processor."""
        with loopback.listen() as listening:
            program = [sys.executable, "-I", "-m", "functions._runtime.local.service_process", question.service]
            argv = [*program, str(source), str(listening.fileno()), "8"]
            log = self._logs / f"{question.service}.log"
            used, started = _processor_time(), time.perf_counter()
            process = child.start(question.service, argv, log, self._settings, [listening.fileno()])
            address = loopback.address(listening)
        try:
            self._ask(question, address)
            elapsed = time.perf_counter() - started
        finally:
            process.stop()
        return elapsed, _processor_time() - used

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


def _processor_time() -> float:
    """Seconds that ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
