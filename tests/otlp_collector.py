"""An OpenTelemetry collector for tests: OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/) on loopback."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class Span:
    """A span as it came, ids in hexadecimal."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    status: int
    said: str
    seconds: float
    attributes: Attributes
    resource: Attributes


@dataclass
class Collector:
    """What was sent; ``answer`` is the status that everything is answered with."""

    url: str = ""
    answer: int = 200
    spans: list[Span] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _metrics: dict[str, Any] = field(default_factory=dict)

    def points(self, name: str) -> list[tuple[Attributes, Any]]:
        """Attributes and values of a metric as last sent: a number, or a histogram's count and sum."""
        metric = self._metrics[name]
        kind = metric.WhichOneof("data")
        found = []
        for point in getattr(metric, kind).data_points:
            number = (point.count, point.sum) if kind == "histogram" else getattr(point, point.WhichOneof("value"))
            found.append((attributes(point.attributes), number))
        return found

    def unit(self, name: str) -> str:
        return str(self._metrics[name].unit)

    def wait(self, until: Callable[[], object], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, (self.requests, [span.name for span in self.spans])
            time.sleep(0.02)

    def take(self, path: str, body: bytes) -> None:
        self.requests.append(path)
        if self.answer != 200:
            return
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                who = attributes(resource.resource.attributes)
                self.spans += [_span(one, who) for scope in resource.scope_spans for one in scope.spans]
        elif path == "/v1/metrics":
            for sent in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self._metrics |= {one.name: one for scope in sent.scope_metrics for one in scope.metrics}


def attributes(pairs: Any) -> Attributes:
    """Key and value pairs of OTLP as a mapping."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _span(one: Any, who: Attributes) -> Span:
    return Span(
        one.name, one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex(), one.kind, one.status.code,
        one.status.message, (one.end_time_unix_nano - one.start_time_unix_nano) / 1e9, attributes(one.attributes), who,
    )  # fmt: skip


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(collector.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()
