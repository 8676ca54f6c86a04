"""Hands ended steps to whoever exports them, in a thread of its own, so that no step ever waits for a collector.

Why not before each answer: then an answer would be as slow, and as broken, as the collector. And there is no need. A
Knative pod is neither frozen nor killed when it has answered: it lives on for the scale-down window (a minute), then
gets SIGTERM and its grace period. So steps are gathered for two seconds and sent; ``close``, at the end of the process
(gunicorn's worker ends by ``sys.exit``), sends the rest. Only SIGKILL loses anything: those two seconds.

The first thing that the thread does is to import OpenTelemetry, 0.4 s, when the first answer has long been given.

    >>> exports = Exports(lambda: Collector())  # doctest: +SKIP
    >>> exports.add(step)                       # doctest: +SKIP
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from functions._runtime.telemetry.steps import Step

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PERIOD, PATIENCE = 2.0, 2.0
"""Seconds for which steps are gathered, and that the end of the process waits at most."""

MOST = 2048
"""Steps that wait at most; where more come, the oldest are forgotten, as OpenTelemetry's own queue has it."""

log = logging.getLogger("polyglot.telemetry")


class Exporter(Protocol):
    """Sends steps somewhere. Only ever called by one thread."""

    def send(self, steps: Sequence[Step]) -> None:
        """Send what ended since the last time; what cannot be sent is lost."""


class Exports:
    """The thread, and what waits for it."""

    def __init__(
        self, make: Callable[[], Exporter], period: float = PERIOD, patience: float = PATIENCE, most: int = MOST
    ) -> None:
        """``make`` is called in the thread, when there is something to send."""
        self._make, self._period, self._patience = make, period, patience
        self._waiting: deque[Step] = deque(maxlen=most)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._arrived, self._ending = threading.Event(), threading.Event()

    def add(self, step: Step) -> None:
        """Leave a step to the thread, which the first one starts: after gunicorn's fork, for threads are not copied."""
        self._waiting.append(step)
        if self._thread is None:
            self._start()
        self._arrived.set()

    def close(self) -> None:
        """Send what waits, or give up after ``patience`` seconds."""
        self._ending.set()
        self._arrived.set()
        if self._thread is not None:
            self._thread.join(self._patience)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
                thread.start()
                self._thread = thread
                atexit.register(self.close)

    def _run(self) -> None:
        try:
            exporter: Exporter | None = None
            while self._wait():
                exporter = exporter or self._make()
                exporter.send([self._waiting.popleft() for _ in range(len(self._waiting))])
        except Exception:
            log.exception("steps are not exported any more")

    def _wait(self) -> bool:
        """Until there is something to send, and a little longer; False at the end."""
        self._arrived.wait()
        self._ending.wait(self._period)
        self._arrived.clear()
        if self._ending.is_set():
            self._arrived.set()
            return bool(self._waiting)
        return True


@cache
def configured() -> Exports | None:
    """Where this process exports to, if anywhere, by OpenTelemetry's own variables."""
    endpoint = os.environ.get(ENDPOINT, "")
    if not endpoint or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if not _is_installed():
        log.warning("%s is set, and the extra `telemetry` is not installed: nothing is exported", ENDPOINT)
        return None

    def make() -> Exporter:
        from functions._runtime.telemetry.otlp import Collector

        return Collector(endpoint, os.environ)

    return Exports(make)


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # one of the packages around it
        return False
