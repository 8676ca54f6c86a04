"""Which trace this piece of work belongs to: W3C Trace Context, https://www.w3.org/TR/trace-context/.

It travels in two HTTP headers, ``traceparent`` and ``tracestate``; in an event as two extension attributes of the same
names (https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md); and into a process
in the environment variable ``TRACEPARENT``. Ids are made here, so that a trace can be followed through the logs where
nothing exports spans.

    >>> with use(parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")):
    ...     current_traceparent()
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

VARIABLE = "TRACEPARENT"
ATTRIBUTES = ("traceparent", "tracestate")
"""What the headers and the events' extension attributes are called."""

_PARENT = re.compile(r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_KEY = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"({_KEY})=({_VALUE})")
_SAMPLED = 0x01
_MOST_MEMBERS = 32
_STATE_LIMIT = 4096
"""Characters of a ``tracestate`` that are passed on; the standard asks for 512."""


@dataclass(frozen=True)
class TraceContext:
    """One span of a trace.

    Attributes:
        trace_id: 32 hexadecimal digits, the same in the whole trace.
        span_id: 16 hexadecimal digits; the parent of whatever this span causes.
        sampled: whether somebody further up may have recorded it, and spans are worth exporting.
        state: what others' tracers pass along, as it came.
    """

    trace_id: str
    span_id: str
    sampled: bool = True
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED if self.sampled else 0:02x}"

    @property
    def attributes(self) -> dict[str, str]:
        """The headers, or an event's extension attributes."""
        found = {"traceparent": self.traceparent, "tracestate": self.state}
        return {name: value for name, value in found.items() if value}

    def child(self) -> "TraceContext":
        """A new span of the same trace."""
        return TraceContext(self.trace_id, _random(8), self.sampled, self.state)


def new() -> TraceContext:
    """The first span of a new trace."""
    return TraceContext(_random(16), _random(8))


def parse(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """What two headers say; None where the first is malformed, and no state where the second is.

    A later version may add fields after the ones known here (section 3.2.4 of the standard).
    """
    match = _PARENT.match(traceparent)
    if match is None or match["version"] == "ff" or not int(match["trace"], 16) or not int(match["span"], 16):
        return None
    rest = traceparent[match.end() :]
    if rest and (match["version"] == "00" or not rest.startswith("-")):
        return None
    sampled = bool(int(match["flags"], 16) & _SAMPLED)
    return TraceContext(match["trace"], match["span"], sampled, _state(tracestate))


def _state(text: str) -> str:
    """A list of members without the blanks between them; empty where it is malformed, as the standard has it."""
    members = [stripped for member in text.split(",") if (stripped := member.strip(" \t"))]
    keys = {match[1] for member in members if (match := _MEMBER.fullmatch(member))}
    found = ",".join(members)
    return found if len(keys) == len(members) <= _MOST_MEMBERS and len(found) <= _STATE_LIMIT else ""


def arriving(carrier: Mapping[str, str]) -> TraceContext | None:
    """What a request's headers, or an event's attributes, say of the trace; an event's own attribute before the header.

    A hop in between may write the header anew, for its own span; the event's attribute is what its producer said.
    """
    lowered = {name.lower(): value for name, value in carrier.items()}
    for prefix in ("ce-", ""):
        found = parse(*(lowered.get(f"{prefix}{name}", "") for name in ATTRIBUTES))
        if found is not None:
            return found
    return None


def from_environment(values: Mapping[str, str] = os.environ) -> TraceContext | None:
    """The trace that started this process said so in ``TRACEPARENT``; None where it did not."""
    return parse(values.get(VARIABLE, ""), values.get("TRACESTATE", ""))


_CURRENT: ContextVar[TraceContext | None] = ContextVar("trace context", default=None)


def current() -> TraceContext | None:
    """The span that is at work in this thread."""
    return _CURRENT.get()


def current_traceparent() -> str:
    """The same as a ``traceparent``, for whatever is started on its behalf; empty where there is none."""
    found = current()
    return found.traceparent if found else ""


@contextmanager
def use(context: TraceContext | None) -> Iterator[None]:
    """What is announced inside belongs to this span."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _random(size: int) -> str:
    """Not all zero, which the standard calls invalid."""
    while not any(found := os.urandom(size)):
        pass
    return found.hex()
