"""Spans and metrics: what a collector gets, and that nobody waits for one."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from functions._backends.cloudevents import CloudEvent, from_http, read, to_http, write
from functions._domain.errors import RejectedContent, Unavailable
from functions._domain.events import Event, announce
from functions._runtime.telemetry import otlp
from functions._runtime.telemetry.exports import Exporter, Exports
from functions._runtime.telemetry.otlp import Collector as Target
from functions._runtime.telemetry.steps import Measured, Step, Steps, measure
from functions._runtime.wiring import WiredPorts
from functions.declaration import by_name
from functions.reconcile.handler import swept
from tests.fakes import FolderStorage
from tests.functions_server import NOWHERE, SETTINGS, serving
from tests.otlp_collector import Collector, collecting

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
EVENT = announce("asset.submitted", UUID(int=7), "cause", {"request": str(UUID(int=9))})
SERVER, ERROR = 2, 2
PERIOD = 0.01


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture
def target(collector: Collector) -> Target:
    """What sends to the collector."""
    return Target(collector.url, {"K_SERVICE": "ingest", "K_REVISION": "ingest-00001", "POLYGLOT_TENANT": "acme"})


class Kept:
    """Keeps steps, where a test sends them itself."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, step: Step) -> None:
        self.steps.append(step)


def handled(
    event: Event = EVENT, status: int = 204, error: Exception | None = None, service: str = "ingest", **headers: str
) -> Step:
    """A step that handled an event."""
    kept, incoming = Kept(), from_http(*to_http(event, "/s"))
    with Steps(service, service, "acme", kept).begin("POST", "/", headers or PARENT) as step:
        step.carries(incoming)
        step.status, step.has_reply = status, status == 200
        if error:
            step.fails(error)
    return kept.steps[0]


def requested(route: str = "GET /v1/assets/{id}", method: str = "GET", status: int = 200) -> Step:
    """A step that answered an HTTP request."""
    kept = Kept()
    with Steps("retrieve", "retrieve", "acme", kept).begin(method, "/v1/assets/7", PARENT) as step:
        step.route, step.subject, step.status = route, str(UUID(int=7)), status
    return kept.steps[0]


# Spans


def test_an_event_is_a_server_span_below_whoever_announced_it(collector: Collector, target: Target) -> None:
    step = handled(status=200)
    target.send([step])
    (span,) = collector.spans
    assert (span.name, span.kind, span.status) == ("ingest asset.submitted", SERVER, 0)
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE, step.context.span_id, SPAN)
    assert span.seconds == pytest.approx(step.seconds, abs=1e-6)
    expected = {
        "cloudevents.event_id": EVENT.id, "cloudevents.event_type": "io.polyglot.asset.submitted.v1",
        "cloudevents.event_source": "/s", "cloudevents.event_spec_version": "1.0",
        "cloudevents.event_subject": str(UUID(int=7)), "http.request.method": "POST",
        "http.response.status_code": 200, "polyglot.outcome": "replied", "polyglot.request": str(UUID(int=9)),
    }  # fmt: skip
    assert expected.items() <= span.attributes.items()
    who = {"service.name": "ingest", "service.namespace": "acme", "faas.version": "ingest-00001"}
    assert who.items() <= span.resource.items()
    assert span.resource["service.instance.id"]


def test_a_request_is_a_span_named_by_its_route(collector: Collector, target: Target) -> None:
    target.send([requested()])
    (span,) = collector.spans
    assert (span.name, span.resource["service.name"]) == ("retrieve GET /v1/assets/{id}", "retrieve")
    expected = {"http.route": "/v1/assets/{id}", "url.path": "/v1/assets/7", "polyglot.asset": str(UUID(int=7))}
    assert expected.items() <= span.attributes.items()
    assert not [name for name in span.attributes if name.startswith("cloudevents.")]


def test_a_step_without_a_parent_begins_a_trace(collector: Collector, target: Target) -> None:
    step = handled(traceparent="nonsense")
    target.send([step])
    (span,) = collector.spans
    assert (span.trace_id, span.parent_id) == (step.context.trace_id, "")


@pytest.mark.parametrize(
    ("status", "error", "is_error"),
    [(422, RejectedContent("no"), False), (503, Unavailable("no"), True), (500, KeyError("no"), True)],
)
def test_a_span_says_what_was_our_fault(
    collector: Collector, target: Target, status: int, error: Exception, is_error: bool
) -> None:
    target.send([handled(status=status, error=error)])
    (span,) = collector.spans
    assert (span.status == ERROR, bool(span.said)) == (is_error, is_error)
    assert span.attributes["error.type"] == type(error).__name__


def test_a_span_tells_no_secret(collector: Collector, target: Target) -> None:
    target.send([handled(status=503, error=Unavailable("GET http://s3/k?X-Amz-Signature=5e0f3c failed"))])
    assert "5e0f3c" not in str(collector.spans)
    assert collector.spans[0].said


def test_what_nobody_records_is_counted_and_not_traced(collector: Collector, target: Target) -> None:
    target.send([handled(traceparent=f"00-{TRACE}-{SPAN}-00")])
    assert collector.spans == []
    assert [value for _, value in collector.points("polyglot.steps")] == [1]


# Metrics


def test_steps_are_counted_and_timed_by_function_event_and_outcome(collector: Collector, target: Target) -> None:
    target.send([handled(status=200), handled(status=200)])
    target.send([handled(status=503, error=Unavailable("x")), requested()])
    expected = {
        ("ingest", "asset.submitted", "replied"): 2,
        ("ingest", "asset.submitted", "unavailable"): 1,
        ("retrieve", "GET /v1/assets/{id}", "done"): 1,
    }
    counted = {
        (at["function"], at.get("event") or at["route"], at["outcome"]): number
        for at, number in collector.points("polyglot.steps")
    }
    timed = {
        (at["function"], at.get("event") or at["route"], at["outcome"]): number[0]
        for at, number in collector.points("polyglot.step.duration")
    }
    assert counted == timed == expected
    assert (collector.unit("polyglot.steps"), collector.unit("polyglot.step.duration")) == ("{step}", "s")


def test_nobody_from_outside_can_make_more_kinds_of_steps(collector: Collector, target: Target) -> None:
    steps = [handled(Event(f"made.up{number}", UUID(int=7), "1")) for number in range(5)]
    steps += [requested("", method, 405) for method in ("BREW", "FETCH")]
    target.send(steps)
    kinds = {at.get("event") or at["route"] for at, _ in collector.points("polyglot.steps")}
    assert kinds == {"other"}
    assert {span.attributes["http.request.method"] for span in collector.spans} == {"POST", "_OTHER"}


def test_a_dead_letter_is_counted_once_by_its_event_and_code(collector: Collector, target: Target) -> None:
    def buried(code: str, status: int) -> Step:
        step = handled(service="bury", status=status)
        step.dead_letter = code
        return step

    target.send([buried("503", 503), buried("503", 204), buried("whatever", 204)])
    found = {(at["event"], at["code"]): number for at, number in collector.points("polyglot.dead_letters")}
    assert found == {("asset.submitted", "503"): 1, ("asset.submitted", "other"): 1}


class Swept(WiredPorts):
    """The ports of `reconcile` over a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(by_name("reconcile"), SETTINGS)
        self.storage = FolderStorage(folder)  # type: ignore[assignment]


def test_a_sweep_measures_open_chains_and_dead_letters(collector: Collector, target: Target, tmp_path: Path) -> None:
    ports, kept = Swept(tmp_path / "bucket"), Kept()
    for number in range(3):
        ports.storage.create(f"dead-letters/{number}.json", b"{}")
    ports.storage.create(f"open/{UUID(int=1)}/no-request", b"")
    with Steps("reconcile", "reconcile", "acme", kept).begin("POST", "/", {}) as step:
        assert swept(ports, everything=False).looked_at == 1
        step.event, step.status = "timer", 204
    target.send(kept.steps)
    chains = {at["state"]: number for at, number in collector.points("polyglot.open_chains")}
    assert chains == {"waiting": 0, "running": 0, "exhausted": 0, "unreadable": 1}
    assert collector.points("polyglot.dead_letters.stored") == [({}, 3)]
    assert collector.unit("polyglot.open_chains") == "{chain}"


def test_a_gauge_says_what_was_measured_last(collector: Collector, target: Target) -> None:
    for number in (5, 2):
        kept = Kept()
        with Steps("reconcile", "reconcile", "acme", kept).begin("POST", "/", {}):
            measure(Measured("polyglot.open_chains", number, "{chain}", {"state": "waiting"}))
        target.send(kept.steps)
    assert collector.points("polyglot.open_chains") == [({"state": "waiting"}, 2)]


def test_either_signal_can_be_turned_off(collector: Collector) -> None:
    Target(collector.url, {"OTEL_METRICS_EXPORTER": "none"}).send([handled()])
    Target(collector.url, {"OTEL_TRACES_EXPORTER": "none"}).send([handled()])
    assert collector.requests == ["/v1/traces", "/v1/metrics"]


# Nobody waits


class Slow(Exporter):
    """Takes its time."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.go_on = threading.Event()

    def send(self, steps: Sequence[Step]) -> None:
        self.go_on.wait(30)
        self.sent.append(len(steps))


def test_a_step_is_left_to_a_thread_at_once() -> None:
    slow, step = Slow(), handled()
    exports = Exports(lambda: slow, period=PERIOD, patience=0.2, most=100)
    begun = time.perf_counter()
    for _ in range(10_000):
        exports.add(step)
    assert time.perf_counter() - begun < 2
    begun = time.perf_counter()
    exports.close()
    assert time.perf_counter() - begun < 2
    slow.go_on.set()
    exports.close()
    assert sum(slow.sent) <= 200, "the oldest are forgotten where more wait than are allowed"


def test_the_end_of_the_process_sends_what_waits() -> None:
    slow = Slow()
    slow.go_on.set()
    exports = Exports(lambda: slow, period=60)
    for _ in range(3):
        exports.add(handled())
    exports.close()
    assert slow.sent == [3]


def test_an_exporter_that_cannot_be_made_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Exporter:
        raise RuntimeError("no certificate")

    exports = Exports(broken, period=PERIOD)
    with caplog.at_level(logging.ERROR, "polyglot.telemetry"):
        exports.add(handled())
        exports.close()
        exports.add(handled())
    assert [record.message for record in caplog.records] == ["steps are not exported any more"]


def test_a_collector_that_refuses_is_named_once_and_again_when_it_takes(
    collector: Collector, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for collector.answer in (400, 400, 200):
            target.send([handled()])
    said = [record for record in caplog.records if record.name == "polyglot.telemetry"]
    assert [record.levelname for record in said] == ["WARNING", "WARNING", "INFO", "INFO"]
    assert all(collector.url in record.message for record in said)
    assert len(collector.spans) == 1, "what was refused is lost"


def test_a_collector_that_does_not_answer_is_given_up_soon(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        target = Target(f"http://127.0.0.1:{deaf.getsockname()[1]}", {})
        begun = time.perf_counter()
        target.send([handled()])
        assert time.perf_counter() - begun < 2 * otlp.TIMEOUT + 2
    assert len(caplog.records) == 2


# The process

IMPORTED = """\
import json, sys
from functions._runtime.entry import service
from functions_framework import create_app
app = create_app("bury", sys.argv[1])
answer = app.test_client().post("/", data=b"no event")
print(json.dumps([answer.status_code, sorted(m for m in sys.modules if m.startswith("opentelemetry"))]))
"""


def imported(prelude: str = "", **environment: str) -> tuple[int, list[str], str]:
    """The answer of a function in a process of its own, what it imported of OpenTelemetry by then, and its log."""
    main = Path(otlp.__file__).parents[1] / "main.py"
    ended = subprocess.run(
        [sys.executable, "-c", prelude + IMPORTED, str(main)],
        env={**SETTINGS, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    status, modules = json.loads(ended.stdout)
    return status, modules, ended.stderr


def test_nothing_of_opentelemetry_is_imported_where_no_endpoint_is_set() -> None:
    assert imported()[:2] == (400, [])
    assert imported(OTEL_EXPORTER_OTLP_ENDPOINT=NOWHERE, OTEL_SDK_DISABLED="true")[:2] == (400, [])


def test_no_first_answer_waits_for_the_import() -> None:
    status, modules, _ = imported(OTEL_EXPORTER_OTLP_ENDPOINT=NOWHERE)
    assert status == 400
    assert not [name for name in modules if name.startswith("opentelemetry.sdk")]


def test_an_image_without_the_extra_says_so_and_works() -> None:
    hidden = "import sys; sys.modules['opentelemetry'] = None\n"
    status, _, said = imported(hidden, OTEL_EXPORTER_OTLP_ENDPOINT=NOWHERE)
    assert status == 400
    assert "extra `telemetry` is not installed" in said


def test_a_function_that_is_told_to_end_sends_its_last_step(collector: Collector) -> None:
    with serving("bury", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, K_SERVICE="bury") as here:
        letter = CloudEvent({**read(*to_http(EVENT, "/s")).get_attributes(), "knativeerrorcode": "503"}, b"{}")
        headers, body = write(letter)
        assert here.post({**headers, **PARENT}, body) == 503  # there is no store
        assert here.stop() < 10
    (span,) = [span for span in collector.spans if span.name == "bury asset.submitted"]
    assert (span.trace_id, span.parent_id, span.status) == (TRACE, SPAN, ERROR)
    counted = {at.get("event"): number for at, number in collector.points("polyglot.steps")}
    assert counted["asset.submitted"] == 1


def test_a_function_whose_collector_is_away_answers_as_quickly() -> None:
    with serving("bury", OTEL_EXPORTER_OTLP_ENDPOINT=NOWHERE) as here:
        took = []
        for _ in range(20):
            begun = time.perf_counter()
            assert here.post({}, b"no event") == 400
            took.append(time.perf_counter() - begun)
            time.sleep(0.1)  # long enough that the thread fails meanwhile
        assert sorted(took)[len(took) // 2] < 0.5, "whoever waits for this collector waits for a second"
        assert here.stop() < 10
    assert here.printed.count("does not take spans") == 1
