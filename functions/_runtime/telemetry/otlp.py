"""Steps as spans and metrics, sent by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/).

    span       ``<service> <event or route>``, with the ids that the log has; its parent is the step that announced it
    counter    ``polyglot.steps`` by function, event or route, and outcome; ``polyglot.dead_letters`` by event and code
    histogram  ``polyglot.step.duration`` in seconds, by the same as the counter
    gauges     whatever steps measured: ``polyglot.open_chains`` by state, ``polyglot.dead_letters.stored``

The span's attributes are those of the semantic conventions for CloudEvents and HTTP. Import this where OpenTelemetry is
wanted, and nowhere else.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from functions._backends.tracecontext import TraceContext
from functions._runtime.telemetry.redaction import redacted, secrets_of
from functions._runtime.telemetry.steps import NOTICE, OTHER, TIMER, Step
from functions.declaration import FUNCTIONS, OUTSIDE_PRODUCERS

TIMEOUT = 2
"""Seconds for one request to the collector, its retries included."""

BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Seconds: from a read to the longest step that a function may take."""

_SCOPE = "polyglot"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
log = logging.getLogger("polyglot.telemetry")


class Collector:
    """An OpenTelemetry collector, or anything that takes OTLP/HTTP."""

    def __init__(self, endpoint: str, values: Mapping[str, str] = os.environ) -> None:
        """``endpoint`` is the base address, ``http://collector:4318``; ``values`` are this process's settings."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it repeats itself; `_note` says it once
        self._values, self._base, self._secrets = values, endpoint.rstrip("/"), secrets_of(values)
        self._ids, self._ended, self._refusing = _Ids(), _Ended(), set[str]()
        self._spans = OTLPSpanExporter(endpoint=self._url("traces"), timeout=TIMEOUT)
        self._tracer = cache(self._new_tracer)
        exporter = _NotingExporter(self._note, endpoint=self._url("metrics"), timeout=TIMEOUT)
        self._reader = PeriodicExportingMetricReader(exporter, math.inf, TIMEOUT * 1000)
        service = values.get("K_SERVICE") or _SCOPE
        provider = MeterProvider([self._reader], resource=self._resource(service), shutdown_on_exit=False)
        self._instruments = _Instruments(provider)

    def send(self, steps: Sequence[Step]) -> None:
        """Send spans and metrics of some steps; what is not taken is lost."""
        for step in steps:
            self._record(step)
            self._instruments.count(step)
        spans = self._ended.taken()
        if spans and self._exports("TRACES"):
            self._note("spans", self._spans.export(spans) is SpanExportResult.SUCCESS)
        if self._exports("METRICS"):
            self._reader.collect(TIMEOUT * 1000)

    def _url(self, signal: str) -> str:
        return self._values.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT") or f"{self._base}/v1/{signal}"

    def _exports(self, signal: str) -> bool:
        return self._values.get(f"OTEL_{signal}_EXPORTER") != "none"

    def _note(self, what: str, is_taken: bool) -> None:
        """Say when a collector begins to refuse, and when it takes again; not each time."""
        if not is_taken and what not in self._refusing:
            log.warning("%s does not take %s by OTLP (http/protobuf); steps go on without", self._base, what)
            self._refusing.add(what)
        elif is_taken and what in self._refusing:
            log.info("%s takes %s again", self._base, what)
            self._refusing.remove(what)

    def _resource(self, service: str) -> Resource:
        """Who sends. The Service's own name holds against ``OTEL_SERVICE_NAME``, which a ConfigMap gives all alike."""
        found = {
            "service.name": service,
            "service.namespace": self._values.get("POLYGLOT_TENANT", ""),
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            "faas.version": self._values.get("K_REVISION", ""),
        }
        return Resource.create({name: value for name, value in found.items() if value})

    def _new_tracer(self, service: str) -> Tracer:
        provider = TracerProvider(
            resource=self._resource(service), id_generator=self._ids, shutdown_on_exit=False
        )  # the sampler is that of OTEL_TRACES_SAMPLER, which does what the parent did unless told otherwise
        provider.add_span_processor(self._ended)
        return provider.get_tracer(_SCOPE)

    def _record(self, step: Step) -> None:
        """Make a span of a step that has ended, with the ids that its log line and its events already have."""
        self._ids.context = step.context
        parent = Context()
        if step.parent:
            parent = set_span_in_context(NonRecordingSpan(_remote(step.parent)), parent)
        span = self._tracer(step.service).start_span(
            f"{step.service} {label(step)}", parent, SpanKind.SERVER, attributes_of(step), start_time=step.began
        )
        if step.outcome in ("failed", "unavailable"):
            span.set_status(Status(StatusCode.ERROR, redacted(step.why, self._secrets)[:1000]))
        span.end(step.began + int(step.seconds * 1e9))


class _Ids(IdGenerator):
    """Gives the ids of the step at hand; there is one thread."""

    context: TraceContext

    def generate_span_id(self) -> int:
        return int(self.context.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self.context.trace_id, 16)


class _Ended(SpanProcessor):
    """Gathers spans that have ended."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def taken(self) -> list[ReadableSpan]:
        found, self._spans = self._spans, []
        return found


class _NotingExporter(OTLPMetricExporter):
    """Tells whether metrics were taken, which the reader between us keeps to itself."""

    def __init__(self, note: Callable[[str, bool], None], endpoint: str, timeout: float) -> None:
        super().__init__(endpoint=endpoint, timeout=timeout)
        self._note = note

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        result = super().export(metrics_data, timeout_millis, **kwargs)
        self._note("metrics", result is MetricExportResult.SUCCESS)
        return result


class _Instruments:
    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(_SCOPE)
        self._steps = meter.create_counter("polyglot.steps", "{step}", "Events and requests that were answered")
        self._durations = meter.create_histogram(
            "polyglot.step.duration", "s", "From the request to its answer",
            explicit_bucket_boundaries_advisory=BOUNDARIES,
        )  # fmt: skip
        self._letters = meter.create_counter("polyglot.dead_letters", "{letter}", "Deliveries that were given up")
        self._gauge = cache(meter.create_gauge)

    def count(self, step: Step) -> None:
        """Count a step that has ended."""
        kind = "event" if step.event else "route"
        attributes = {"function": step.service, kind: label(step), "outcome": step.outcome}
        self._steps.add(1, attributes)
        self._durations.record(step.seconds, attributes)
        if step.dead_letter and step.status < 400:  # not yet where it is delivered again
            code = step.dead_letter if re.fullmatch(r"[1-5][0-9]{2}", step.dead_letter) else OTHER
            self._letters.add(1, {"event": label(step), "code": code})
        for one in step.measured:
            self._gauge(one.name, one.unit).set(one.value, dict(one.attributes))


def label(step: Step) -> str:
    """What a step was about, out of a list that nobody from outside can make longer."""
    if step.event:
        return step.event if step.event in _events() else OTHER
    return step.route or OTHER


@cache
def _events() -> frozenset[str]:
    consumed = {one.name for function in FUNCTIONS for one in function.consumes}
    produced = {name for function in FUNCTIONS for name in function.produces}
    return frozenset({*consumed, *produced, *OUTSIDE_PRODUCERS, TIMER, NOTICE})


def attributes_of(step: Step) -> dict[str, str | int]:
    """A span's attributes.

    https://opentelemetry.io/docs/specs/semconv/cloudevents/cloudevents-spans/ and …/http/http-spans/
    """
    found: dict[str, str | int] = {
        "http.request.method": step.method if step.method in _METHODS else "_OTHER",
        "http.response.status_code": step.status,
        "url.scheme": "http",
        "url.path": step.path,
        "http.route": step.route.partition(" ")[2],
        "cloudevents.event_id": step.event_id,
        "cloudevents.event_source": step.event_source,
        "cloudevents.event_spec_version": "1.0" if step.event_id else "",
        "cloudevents.event_subject": step.subject if step.event_id else "",
        "cloudevents.event_type": step.event_type,
        "error.type": step.error_type,
        "polyglot.asset": step.subject,
        "polyglot.outcome": step.outcome,
        "polyglot.request": step.request,
        "polyglot.tenant": step.tenant,
    }
    return {name: value for name, value in found.items() if value != ""}


def _remote(context: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([context.state])
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), True, flags, state)
