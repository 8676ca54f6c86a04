"""Log lines: JSON objects for a cluster's log store, where ``POLYGLOT_LOG_FORMAT=json``; Python's own text elsewhere.

    {"time": "2026-01-02T03:04:05.678Z", "severity": "INFO", "message": "ingest replied asset.submitted of 6f1c…",
     "logger": "polyglot.steps", "service": "ingest", "trace_id": "0af7651916cd43dd8448eb211c80319c", …}

What a step has learned of itself is on every line that is written in it, by whatever library. ``POLYGLOT_LOG_LEVEL``
is of our own loggers only: others stay at WARNING, since what botocore and urllib3 say below that holds credentials.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType

from functions._runtime.telemetry import steps
from functions._runtime.telemetry.redaction import redacted, secrets_of

OURS = ("functions", "polyglot")
_SERVERS = ("gunicorn.error", "gunicorn.access")
_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_FIELD, _MESSAGE, _EXCEPTION = 300, 4_000, 6_000
"""Characters kept, as JSON writes them: container runtimes cut lines at 16 KiB, and half an object is none."""

log = logging.getLogger("polyglot.logs")


class JsonFormatter(logging.Formatter):
    """One record as one line, which is one JSON object."""

    def __init__(self, fields: Mapping[str, str] | None = None, secrets: Iterable[str] = ()) -> None:
        """``fields`` are on every line; ``secrets`` on none."""
        super().__init__()
        self._fields, self._secrets = dict(fields or {}), tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        told: steps.Step | None = getattr(record, "step", None)
        step = told or steps.current()
        described = {**self._fields, **(_about(step) if step else {})}
        found: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z",
            "severity": record.levelname,
            "message": self._clean(record.getMessage(), _MESSAGE),
            "logger": record.name,
            **{name: self._clean(value, _FIELD) for name, value in described.items()},
            **(_came_of(told) if told else {}),
        }
        if record.exc_info and record.exc_info[0]:
            # What is wrong stands at its end.
            found["exception"] = self._clean(self.formatException(record.exc_info), _EXCEPTION, from_end=True)
        return json.dumps({name: value for name, value in found.items() if value not in ("", {})})

    def _clean(self, text: str, limit: int, from_end: bool = False) -> str:
        """The beginning of a text, or its end, without credentials. One that is very long is not searched whole."""
        near = 8 * limit
        clean = redacted(text[-near:] if from_end else text[:near], self._secrets)
        kept = clean[-limit:] if from_end else clean[:limit]
        while len(json.dumps(kept)) > limit + 2:
            fewer = len(kept) * 3 // 4
            kept = kept[-fewer:] if from_end else kept[:fewer]
        if len(kept) == len(clean):
            return clean
        return f"…{kept}" if from_end else f"{kept}…"


def _about(step: steps.Step) -> dict[str, str]:
    return {
        "service": step.service,
        "tenant": step.tenant,
        "step": step.function,
        "event": step.event_type,
        "event_id": step.event_id,
        "route": step.route,
        "subject": step.subject,
        "request": step.request,
        "trace_id": step.context.trace_id,
        "span_id": step.context.span_id,
    }


def _came_of(step: steps.Step) -> dict[str, object]:
    return {
        "outcome": step.outcome,
        "status": step.status,
        "duration_ms": round(step.seconds * 1000, 1),
        "measured": {"/".join([one.name, *one.attributes.values()]): one.value for one in step.measured},
    }


def configure(values: Mapping[str, str], service: str) -> None:
    """Make this process log as its settings say; without any, whoever runs it has said how."""
    level = logging.getLevelNamesMapping().get(values.get("POLYGLOT_LOG_LEVEL", "").upper())
    if values.get("POLYGLOT_LOG_FORMAT") == "json":
        fields = {
            "service": values.get("K_SERVICE") or service,
            "revision": values.get("K_REVISION", ""),
            "tenant": values.get("POLYGLOT_TENANT", ""),
        }
        _take_over(JsonFormatter(fields, secrets_of(values)))
        level = level or logging.INFO
    elif level is not None:
        logging.basicConfig(format=_TEXT, level=logging.WARNING)
    if level is not None:
        for name in OURS:
            logging.getLogger(name).setLevel(level)


def _take_over(formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    _adopt_servers(formatter)
    sys.excepthook = _uncaught
    threading.excepthook = lambda found: _uncaught(found.exc_type, found.exc_value, found.exc_traceback)


def _adopt_servers(formatter: logging.Formatter) -> None:
    """Make gunicorn use a formatter: it gives its loggers handlers of its own, later, and lets nobody else say how."""

    class Adopted(logging.Logger):
        def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - the name is logging's
            hdlr.setFormatter(formatter)
            super().addHandler(hdlr)

    before = logging.getLoggerClass()
    logging.setLoggerClass(Adopted)
    for name in _SERVERS:
        for handler in logging.getLogger(name).handlers:  # where it was quicker
            handler.setFormatter(formatter)
    logging.setLoggerClass(before)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or not issubclass(kind, Exception):  # Ctrl-C, or an exit
        sys.__excepthook__(kind, error or kind(), trace)
        return
    log.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))
