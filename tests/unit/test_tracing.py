"""Trace context: parsing, where it comes from, where it goes, and that events are the same with and without."""

import json
import string
import threading
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from functions_framework import create_app
from hypothesis import given
from hypothesis import strategies as st

from functions._backends import tracecontext
from functions._backends.argo import pod
from functions._backends.broker import HttpBroker
from functions._backends.cloudevents import from_http, is_event, read, to_http, write_structured
from functions._backends.tracecontext import TraceContext, arriving, from_environment, parse, use
from functions._domain.events import Event
from functions._domain.ports import Run
from functions._runtime import main, settings
from tests.broker_world import Answer, Received, acknowledge, always, world
from tests.functions_server import NOWHERE, SETTINGS

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
OTHER = f"00-{'1' * 32}-{'2' * 16}-01"
EVENT = Event("asset.registered", UUID(int=7), "1", {"assetkind": "model"}, {"schema": "s"})
TYPE = "io.polyglot.asset.registered.v1"


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


keys = st.from_regex(r"[a-z][a-z0-9_*/-]{0,20}|[a-z0-9][a-z0-9_*/-]{0,20}@[a-z][a-z0-9_*/-]{0,13}", fullmatch=True)
values = st.text([chr(code) for code in range(0x21, 0x7F) if chr(code) not in ",="], min_size=1, max_size=20)
states = st.dictionaries(keys, values, max_size=32).map(
    lambda members: ",".join(f"{key}={value}" for key, value in members.items())
)
contexts = st.builds(TraceContext, hexadecimal(32), hexadecimal(16), st.booleans(), states)

# Parsing


@given(contexts)
def test_a_context_comes_back_from_its_headers_as_it_went(context: TraceContext) -> None:
    assert parse(context.traceparent, context.state) == context
    assert arriving({name.title(): value for name, value in context.attributes.items()}) == context


@given(st.text() | st.from_regex(r"[0-9a-fA-F]{2}-[0-9a-fA-F]{32}-[0-9a-fA-F]{16}-[0-9a-fA-F]{2}.?"))
def test_whatever_is_accepted_was_written_as_the_standard_says(text: str) -> None:
    found = parse(text)
    if found is not None:
        assert set(text[:55]) <= set(string.digits + "abcdef-")
        assert text[3:53] == f"{found.trace_id}-{found.span_id}-"
        assert found.sampled is bool(int(text[53:55], 16) & 1)
        assert len(text) == 55 or (text[:2] != "00" and text[55] == "-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{PARENT}-more",
        f"{PARENT}\n",
        f" {PARENT}",
        f"01-{TRACE}-{SPAN}-01more",
        PARENT[:-1],
    ],
)
def test_a_malformed_parent_is_none(text: str) -> None:
    assert parse(text, "a=1") is None


def test_a_later_version_may_say_more() -> None:
    found = parse(f"cc-{TRACE}-{SPAN}-01-what-is-to-come")
    assert found == TraceContext(TRACE, SPAN)
    assert found.traceparent == PARENT


@pytest.mark.parametrize(
    ("given_state", "kept"),
    [
        ("a=1, b@c=2 ,,\td=3", "a=1,b@c=2,d=3"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a", ""),
        ("a=", ""),
        ("a=1\r\nx: y", ""),
        (",".join(f"k{number}=1" for number in range(33)), ""),
        (",".join(f"k{number}={'v' * 200}" for number in range(30)), ""),
    ],
)
def test_a_malformed_state_is_dropped_and_the_parent_kept(given_state: str, kept: str) -> None:
    assert parse(PARENT, given_state) == TraceContext(TRACE, SPAN, True, kept)


# Spans


@given(contexts)
def test_a_child_is_another_span_of_the_same_trace(context: TraceContext) -> None:
    child = context.child()
    assert (child.trace_id, child.sampled, child.state) == (context.trace_id, context.sampled, context.state)
    assert child.span_id != context.span_id
    assert parse(child.traceparent) is not None


def test_each_new_trace_is_another_one() -> None:
    made = [tracecontext.new() for _ in range(50)]
    assert len({context.trace_id for context in made}) == 50
    assert all(parse(context.traceparent) == context for context in made)


def test_a_context_is_its_own_threads_and_ends_with_its_block() -> None:
    seen: list[str] = []
    with use(parse(PARENT)):
        with use(parse(OTHER)):
            assert tracecontext.current_traceparent() == OTHER
        assert tracecontext.current_traceparent() == PARENT
        thread = threading.Thread(target=lambda: seen.append(tracecontext.current_traceparent()))
        thread.start()
        thread.join()
    assert seen == [""]
    assert tracecontext.current() is None


def test_a_process_is_told_its_trace_by_a_variable() -> None:
    assert from_environment({"TRACEPARENT": PARENT, "TRACESTATE": "a=1"}) == TraceContext(TRACE, SPAN, True, "a=1")
    assert from_environment({"TRACEPARENT": "nonsense"}) is None
    assert from_environment({}) is None


# Where it comes from


def test_an_events_own_attribute_goes_before_the_header_of_the_last_hop() -> None:
    found = arriving({"Ce-Traceparent": PARENT, "Traceparent": OTHER, "Ce-Tracestate": "a=1", "Tracestate": "b=2"})
    assert found == TraceContext(TRACE, SPAN, True, "a=1")
    assert arriving({"ce-traceparent": "nonsense", "traceparent": PARENT}) == TraceContext(TRACE, SPAN)
    assert arriving({"ce-traceparent": "nonsense"}) is None


# Where it goes


@given(contexts)
def test_an_event_carries_its_trace_as_attributes_and_as_headers(context: TraceContext) -> None:
    with use(context):
        headers, body = to_http(EVENT, "/s")
    assert headers["traceparent"] == context.traceparent
    assert headers.get("tracestate", "") == context.state
    assert arriving(from_http(headers, body).attributes) == context
    assert arriving(from_http(*write_structured(read(headers, body))).attributes) == context


@given(contexts)
def test_an_event_is_the_same_with_and_without_a_trace(context: TraceContext) -> None:
    with use(context):
        traced = to_http(EVENT, "/s")
    assert from_http(*traced).event == from_http(*to_http(EVENT, "/s")).event == EVENT
    assert from_http(*traced).id == EVENT.id


def test_an_event_outside_any_trace_has_none() -> None:
    headers, _ = to_http(EVENT, "/s")
    assert is_event(headers)
    assert not {"traceparent", "ce-traceparent", "tracestate", "ce-tracestate"} & set(headers)


def test_a_trace_cannot_take_the_place_of_what_an_event_says() -> None:
    forged = Event("asset.registered", UUID(int=7), "1", {"traceparent": OTHER})
    with use(parse(PARENT)):
        headers, body = to_http(forged, "/s")
    assert json.loads(body) == {}
    assert headers["ce-traceparent"] == headers["traceparent"] == PARENT


def test_an_announcement_says_its_trace_to_the_broker() -> None:
    with world({"one": {"type": TYPE}}, one=acknowledge) as here:
        client = HttpBroker(f"{here.url}/broker", "acme", "ingest")
        with use(parse(PARENT, "a=1")):
            client.announce(EVENT)
        client.close()
        here.settle()
        (got,) = here.received["one"]
    assert (got.event["traceparent"], got.event["tracestate"]) == (PARENT, "a=1")


def test_the_embedded_broker_passes_traces_on_in_events_replies_and_dead_letters() -> None:
    def reply(got: Received) -> Answer:
        parent = arriving(got.headers)
        assert parent is not None
        with use(parent.child()):
            return 200, *to_http(Event("contract.deployed", UUID(int=7), "2"), "/s")

    triggers = {"one": {"type": TYPE}, "two": {"type": "io.polyglot.contract.deployed.v1"}}
    with world(triggers, sink=acknowledge, one=reply, two=always(400)) as here:
        with use(parse(PARENT)):
            client = HttpBroker(f"{here.url}/broker", "acme", "ingest")
            client.announce(EVENT)
            client.close()
        here.settle()
        replied, buried = here.received["two"][0].event, here.received["sink"][0].event
    assert replied["traceparent"] == buried["traceparent"]
    assert replied["traceparent"].startswith(f"00-{TRACE}-")
    assert replied["traceparent"] != PARENT


def test_the_end_of_a_run_on_a_cluster_has_the_trace_of_its_submission() -> None:
    run = Run("run-1", UUID(int=7), UUID(int=8), 1, f"trainer@sha256:{'0' * 64}", ("train",), {}, (), 1, 1 << 30, 0, 60)
    with world({"one": {"type": "io.polyglot.training.finished.v1"}}, one=acknowledge) as here:
        settings = {"POLYGLOT_BROKER_URL": f"{here.url}/broker", "POLYGLOT_TENANT": "acme", "TRACEPARENT": PARENT}
        pod.announce(run, "execution", settings)
        pod.announce(run, "execution", {**settings, "TRACEPARENT": ""})
        here.settle()
        traces = [got.event.get_attributes().get("traceparent") for got in here.received["one"]]
    assert sorted(traces, key=str) == [PARENT, None]


# Functions


@pytest.fixture(scope="module")
def bury() -> FlaskClient:
    """A function whose store does not answer."""
    with settings.bound({**SETTINGS, "POLYGLOT_S3_URL": NOWHERE}):
        app: Flask = create_app("bury", str(Path(main.__file__)))
    return app.test_client()


def delivery(mode: str) -> tuple[dict[str, str], bytes]:
    """An event whose own trace differs from that of the request that brings it."""
    with use(parse(PARENT)):
        headers, body = to_http(EVENT, "/s")
    if mode == "structured":
        headers, body = write_structured(read(headers, body))
    return {**headers, "traceparent": OTHER}, body


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_a_fault_of_ours_can_be_found_by_the_trace_of_its_event(
    bury: FlaskClient, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers, body = delivery(mode)
    answer = bury.post("/", headers=headers, data=body)
    assert (answer.status_code, answer.get_json()["trace_id"]) == (503, TRACE)
    (step,) = [record.step for record in caplog.records if record.name == "polyglot.steps"]  # type: ignore[attr-defined]
    assert (step.context.trace_id, step.parent.span_id, step.event) == (TRACE, SPAN, "asset.registered")


def test_a_fault_of_the_client_needs_no_trace(bury: FlaskClient) -> None:
    answer = bury.post("/", data=b"no event")
    assert (answer.status_code, "trace_id" in answer.get_json()) == (400, False)
