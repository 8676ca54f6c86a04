"""Steps: one delivered event or one HTTP request, and what came of it, told once, when it has ended.

>>> steps = Steps("ingest", "ingest", "acme")
>>> with steps.begin("POST", "/", {}) as step:
...     step.event, step.status = "asset.submitted", 204
>>> step.outcome
'done'
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from functions._backends import tracecontext
from functions._backends.tracecontext import TraceContext
from functions._domain.errors import UnavailableYet

if TYPE_CHECKING:
    from flask import Response

    from functions._backends.cloudevents import Incoming

TIMER, NOTICE, OTHER = "timer", "notice", "other"
"""What stands for an event's name where it is none of ours: the timer's, storage's, and one that could not be read."""

Outcome = Literal["done", "replied", "rejected", "unavailable", "failed"]
log = logging.getLogger("polyglot.steps")


@dataclass(frozen=True)
class Measured:
    """A number as it stands now, for a gauge; ``unit`` as in https://ucum.org, ``{chain}`` for things counted."""

    name: str
    value: float
    unit: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Step:
    """Filled in while it goes on, read when it has ended.

    Attributes:
        service: the Service that takes it, ``translate-torch`` where ``function`` is ``translate``.
        context: its span; ``parent`` is whose events or requests it comes from.
        began: nanoseconds since 1970.
        event: the middle of an event's type, or what stands for it; empty on HTTP.
        route: the declaration's method and path template; empty where none fits.
        subject: the asset that it is about.
        request: the accepted request that it drives, or made.
        dead_letter: of a dead letter, the status that its delivery ended with.
        error: why it was not done, until that is logged; ``error_type`` and ``why`` say it in words.
    """

    service: str
    function: str
    tenant: str
    context: TraceContext
    parent: TraceContext | None
    method: str
    path: str
    began: int
    event: str = ""
    event_type: str = ""
    event_id: str = ""
    event_source: str = ""
    route: str = ""
    subject: str = ""
    request: str = ""
    dead_letter: str = ""
    error: BaseException | None = None
    error_type: str = ""
    why: str = ""
    status: int = 500
    has_reply: bool = False
    seconds: float = 0.0
    measured: list[Measured] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """What came of it, as its answer says it."""
        if self.status < 400:
            return "replied" if self.has_reply else "done"
        if self.status < 500:
            return "rejected"
        return "unavailable" if self.status == 503 else "failed"

    @property
    def name(self) -> str:
        """What it was about, from a short list: an event's name or a route."""
        return self.event or self.route

    @property
    def is_read(self) -> bool:
        """Whether it is an HTTP request that changes nothing."""
        return not self.event and self.method in ("GET", "HEAD")

    def fails(self, error: BaseException) -> None:
        """Learn why it was not done."""
        self.error, self.error_type, self.why = error, type(error).__name__, str(error)

    def ends(self, answer: Response) -> Response:
        """Learn what is answered; returns it."""
        self.status, self.has_reply = answer.status_code, bool(self.event) and answer.status_code == 200
        return answer

    def carries(self, incoming: Incoming) -> None:
        """Learn what an event says. Its own trace goes before that of the request, whose hop may have a new one."""
        self.event, self.event_type = incoming.name or NOTICE, incoming.type
        self.event_id, self.event_source, self.subject = incoming.id, incoming.source, incoming.subject
        if isinstance(incoming.data, Mapping):
            self.request = str(incoming.data.get("request", ""))
        parent = tracecontext.arriving(incoming.attributes)
        if parent and parent != self.parent:
            self.parent, self.context = parent, parent.child()


_CURRENT: ContextVar[Step | None] = ContextVar("step", default=None)


def current() -> Step | None:
    """The step that this thread is at."""
    return _CURRENT.get()


def measure(measured: Measured) -> None:
    """Note a number; it is told with the step that this thread is at."""
    step = current()
    if step is not None:
        step.measured.append(measured)


class Sink(Protocol):
    """Whoever wants to know of steps besides the log."""

    def add(self, step: Step) -> None:
        """Take an ended step; returns at once, whatever becomes of it."""


class Steps:
    """Begins the steps of one Service, and tells what came of them."""

    def __init__(self, service: str, function: str, tenant: str, sink: Sink | None = None) -> None:
        self._service, self._function, self._tenant, self._sink = service, function, tenant, sink

    @contextmanager
    def begin(self, method: str, path: str, headers: Mapping[str, str]) -> Iterator[Step]:
        """A step, from here to the end of the block; its log line has whatever was learned of it by then."""
        parent = tracecontext.arriving(headers)
        context = parent.child() if parent else tracecontext.new()
        step = Step(self._service, self._function, self._tenant, context, parent, method, path, time.time_ns())
        token, started = _CURRENT.set(step), time.perf_counter()
        try:
            with tracecontext.use(context):
                yield step
        except BaseException as error:
            step.fails(error)
            raise
        finally:
            step.seconds = time.perf_counter() - started
            self._tell(step)
            _CURRENT.reset(token)

    def _tell(self, step: Step) -> None:
        failed = step.error if step.outcome == "failed" else None
        log.log(_level(step), "%s", _sentence(step), exc_info=failed, extra={"step": step})
        step.error = None  # its frames hold whatever the step held
        if self._sink is not None:
            self._sink.add(step)


def _level(step: Step) -> int:
    """A reader's mistake is nobody's worry; that something is still on its way is how a chain works."""
    match step.outcome:
        case "failed":
            return logging.ERROR
        case "unavailable":
            return logging.INFO if isinstance(step.error, UnavailableYet) else logging.WARNING
        case "rejected" if step.event:
            return logging.WARNING
        case _:
            return logging.DEBUG if step.is_read else logging.INFO


def _sentence(step: Step) -> str:
    about = f" of {step.subject}" if step.subject else ""
    why = f": {step.why}" if step.why else ""
    return f"{step.function} {step.outcome} {step.name or step.method}{about}{why}"
