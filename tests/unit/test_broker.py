"""The embedded broker's rules, each against real subscribers on loopback."""

import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._backends.cloudevents import CloudEvent, write, write_structured
from functions._runtime.local import broker as local
from functions._runtime.local import loopback
from functions._runtime.local.broker import Broker, Subscriber, matches
from functions._runtime.local.delivery import judge
from functions.declaration import subscriptions
from tests.broker_world import (
    ACKNOWLEDGED,
    PATIENCE,
    Answer,
    Received,
    acknowledge,
    always,
    event,
    failing_first,
    replying,
    world,
)

# Ingress


def test_an_event_reaches_its_subscriber_as_it_was() -> None:
    with world({"one": {"type": "a"}}, one=acknowledge) as here:
        sent = event(subject="x y", assetkind="model")
        here.send(sent)
        here.settle()
        (got,) = here.received["one"]
    assert got.event.get_attributes() == sent.get_attributes()
    assert got.event.get_data() == b'{"n": 1}'
    assert got.headers["prefer"] == "reply"


def test_structured_mode_is_taken_and_delivered_in_binary_mode() -> None:
    with world({"one": {"type": "a"}}, one=acknowledge) as here:
        assert here.post(*write_structured(event())).status == 202
        here.settle()
        (got,) = here.received["one"]
    assert got.headers["ce-type"] == "a"
    assert json.loads(got.event.get_data()) == {"n": 1}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(method: str) -> None:
    with world({}) as here:
        answer = here.post({}, b"", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({"content-type": "application/json"}, b'{"Records": []}'),
        ({"ce-specversion": "0.3", "ce-type": "a", "ce-source": "b", "ce-id": "c"}, b""),
        ({"ce-specversion": "1.0", "ce-type": "a", "ce-source": "b"}, b""),
        ({"ce-specversion": "1.0", "ce-type": "", "ce-source": "b", "ce-id": "c"}, b""),
        ({"ce-specversion": "1.0", "ce-type": "a", "ce-source": "b", "ce-id": "c", "ce-knativebrokerttl": "x"}, b""),
        ({"content-type": "application/cloudevents+json"}, b"{"),
        ({"content-type": "application/cloudevents+json"}, b"[]"),
        ({"content-type": "application/cloudevents+json"}, b'{"specversion": "1.0", "id": "a"}'),
        ({"content-type": "application/cloudevents+json"}, b'{"specversion": [], "id": "a"}'),
        ({"content-type": "application/cloudevents-batch+json"}, b"[]"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(headers: Mapping[str, str], body: bytes) -> None:
    with world({}) as here:
        answer = here.post(headers, body)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.json()["detail"]) > 20


def test_an_event_that_nobody_wants_is_accepted() -> None:
    with world({"one": {"type": "b"}}, one=acknowledge) as here:
        here.send(event("a"))
        here.settle()
        assert here.received["one"] == []


def test_the_producer_does_not_wait_for_subscribers() -> None:
    release = threading.Event()

    def slow(_got: Received) -> Answer:
        release.wait(PATIENCE)
        return ACKNOWLEDGED

    with world({"one": {"type": "a"}}, one=slow) as here:
        here.send(event())
        assert not here.broker.drain(0.05)
        release.set()
        here.settle()


# Filters


def test_filters_choose_by_exact_attributes() -> None:
    triggers = {"models": {"type": "a", "assetkind": "model"}, "data": {"type": "a", "assetkind": "dataset"}}
    with world(triggers, models=acknowledge, data=acknowledge) as here:
        here.send(event("a", assetkind="model"))
        here.send(event("a", assetkind="model2"))
        here.send(event("a"))
        here.settle()
        assert (len(here.received["models"]), len(here.received["data"])) == (1, 0)


def test_every_matching_subscriber_gets_its_own() -> None:
    with world({"one": {"type": "a"}, "two": {}}, one=always(422), two=acknowledge) as here:
        here.send(event())
        here.settle()
        assert (len(here.received["one"]), len(here.received["two"])) == (1, 1)


words = st.dictionaries(st.sampled_from(["type", "assetkind", "framework", "claim"]), st.sampled_from(["a", "b", "A"]))


@given(words, words)
def test_a_filter_matches_what_contains_it(filters: dict[str, str], attributes: dict[str, str]) -> None:
    assert matches(filters, attributes) == (filters.items() <= attributes.items())


@given(words, words)
def test_a_stricter_filter_never_matches_more(filters: dict[str, str], more: dict[str, str]) -> None:
    stricter = {**more, **filters}
    assert matches(filters, stricter)
    assert not matches(stricter, filters) or filters == stricter


# Replies


@pytest.mark.parametrize("encode", [write, write_structured])
def test_a_reply_is_an_event_again(encode: Callable[[CloudEvent], tuple[dict[str, str], bytes]]) -> None:
    def reply(_got: Received) -> Answer:
        headers, body = encode(event("b", id="caused"))
        return 200, headers, body

    with world({"one": {"type": "a"}, "two": {"type": "b"}}, one=reply, two=acknowledge) as here:
        here.send(event("a"))
        here.settle()
        (got,) = here.received["two"]
    assert got.event["id"] == "caused"
    assert json.loads(got.event.get_data()) == {"n": 1}


def test_a_reply_with_202_is_not_routed() -> None:
    with world({"one": {"type": "a"}, "two": {"type": "b"}}, one=replying(202), two=acknowledge) as here:
        here.send(event("a"))
        here.settle()
        assert here.received["two"] == []
        assert here.deliveries[0].answer.outcome == "acknowledged"


def test_a_circle_ends_when_its_ttl_is_used_up() -> None:
    def again(_got: Received) -> Answer:
        headers, body = write(event("a"))
        return 200, headers, body

    with world({"one": {"type": "a"}}, one=again) as here:
        here.send(event("a", knativebrokerttl="4"))
        here.settle()
        assert len(here.received["one"]) == 3
        assert not any("ce-knativebrokerttl" in got.headers for got in here.received["one"])


def test_a_circle_without_a_ttl_ends_after_255() -> None:
    def again(_got: Received) -> Answer:
        headers, body = write(event("a"))
        return 200, headers, body

    with world({"one": {"type": "a"}}, one=again) as here:
        here.send(event("a"))
        here.settle()
        assert len(here.received["one"]) == 255


def test_an_event_whose_ttl_is_used_up_is_refused() -> None:
    with world({}) as here:
        assert here.post(*write(event(knativebrokerttl="1"))).status == 400


# Retries


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_repeated(status: int) -> None:
    with world({"one": {"type": "a"}}, sink=acknowledge, one=failing_first(2, status)) as here:
        here.send(event())
        here.settle()
        assert [each.next for each in here.deliveries] == ["again", "again", "done"]
        assert len({got.event["id"] for got in here.received["one"]}) == 1
        assert here.received["sink"] == []


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 405, 410, 413, 422])
def test_a_final_answer_goes_to_the_dead_letter_sink_at_once(status: int) -> None:
    refuse = always(status, b"no", Location="/two")
    with world({"one": {"type": "a"}}, sink=acknowledge, one=refuse, two=acknowledge) as here:
        here.send(event())
        here.settle()
        assert (len(here.received["one"]), len(here.received["sink"]), here.received["two"]) == (1, 1, [])


def test_a_dead_letter_says_who_refused_it_and_how() -> None:
    with world({"one": {"type": "a"}}, sink=acknowledge, one=always(422, b"\xc3\xa9" * 1024)) as here:
        sent = event(subject="s", assetkind="model")
        here.send(sent)
        here.settle()
        (got,) = here.received["sink"]
        attributes = dict(got.event.get_attributes())
        assert attributes.pop("knativeerrordest") == f"{here.url}/one"
    assert attributes.pop("knativeerrorcode") == "422"
    assert base64.b64decode(attributes.pop("knativeerrordata")) == b"\xc3\xa9" * 512
    assert attributes == sent.get_attributes()
    assert got.event.get_data() == sent.get_data()


def test_when_attempts_are_used_up_it_is_a_dead_letter() -> None:
    with world({"one": {"type": "a"}}, sink=acknowledge, one=always(503)) as here:
        here.send(event())
        here.settle()
        assert (len(here.received["one"]), len(here.received["sink"])) == (3, 1)


def test_gaps_between_attempts_double() -> None:
    with world({"one": {"type": "a"}}, one=failing_first(3, 503), retry=3, backoff=0.05) as here:
        here.send(event())
        here.settle()
        times = [got.at for got in here.received["one"]]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert [gap >= least for gap, least in zip(gaps, [0.05, 0.1, 0.2], strict=True)] == [True] * 3
    assert gaps[2] > gaps[0]


def test_an_event_that_waits_holds_up_no_other() -> None:
    def fails_one(got: Received) -> Answer:
        return (503, {}, b"") if got.event["subject"] == "bad" else ACKNOWLEDGED

    with world({"one": {"type": "a"}}, one=fails_one, concurrency=1, retry=1, backoff=0.3) as here:
        here.send(event(subject="bad"))
        here.send(event(subject="good"))
        here.settle()
        assert [got.event["subject"] for got in here.received["one"]] == ["bad", "good", "bad"]


def test_nobody_there_is_repeated_and_then_a_dead_letter() -> None:
    with world({}, sink=acknowledge) as here:
        here.broker.close()
        nobody = Subscriber("one", f"http://127.0.0.1:{loopback.free_port()}", {"type": "a"})
        sink = Subscriber("sink", f"{here.url}/sink")
        here.broker = Broker([nobody], sink, retry=1, backoff=0.01, tap=here.deliveries.append)
        here.send(event())
        here.settle()
        assert [each.next for each in here.deliveries] == ["again", "dead letter", "done"]
        assert here.received["sink"][0].event["knativeerrorcode"] == "500"


def test_an_answer_that_takes_too_long_counts_as_none() -> None:
    late = threading.Event()

    def first_too_slow(_got: Received) -> Answer:
        if not late.is_set():
            late.set()
            time.sleep(0.4)
        return ACKNOWLEDGED

    with world({"one": {"type": "a"}}, one=first_too_slow, timeout=0.1) as here:
        here.send(event())
        here.settle()
        assert [each.next for each in here.deliveries] == ["again", "done"]


@pytest.mark.parametrize("body", [b"OK", b'{"specversion": "1.0"}'])
def test_a_body_that_is_no_event_is_a_failure(body: bytes) -> None:
    with world({"one": {"type": "a"}}, sink=acknowledge, one=always(200, body)) as here:
        here.send(event())
        here.settle()
        assert len(here.received["one"]) == 3
        assert here.received["sink"][0].event["knativeerrorcode"] == "502"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_an_empty_success_is_an_acknowledgement(status: int) -> None:
    assert judge(status, {}, b"").outcome == "acknowledged"


def test_a_broken_reply_is_a_failure() -> None:
    assert judge(200, {"ce-specversion": "1.0"}, b"").outcome == "failed"


def test_a_sink_that_fails_is_tried_again_and_then_the_event_is_dropped() -> None:
    with world({"one": {"type": "a"}}, sink=always(503), one=always(422)) as here:
        here.send(event())
        here.settle()
        assert [each.next for each in here.deliveries] == ["dead letter", "again", "again", "dropped"]


def test_a_reply_of_the_sink_is_not_routed() -> None:
    with world(
        {"one": {"type": "a"}, "two": {"type": "b"}}, sink=replying(200), one=always(400), two=acknowledge
    ) as here:
        here.send(event())
        here.settle()
        assert here.received["two"] == []


# Concurrency and closing


def test_no_subscriber_gets_more_at_once_than_it_takes() -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def count(_got: Received) -> Answer:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.03)
        with lock:
            busy -= 1
        return ACKNOWLEDGED

    with world({"one": {"type": "a"}}, one=count, concurrency=2) as here:
        for _ in range(8):
            here.send(event())
        here.settle()
        assert (len(here.received["one"]), most) == (8, 2)


def test_triggers_of_one_service_share_its_concurrency() -> None:
    made = [each for each in local.subscribers("http://x") if each.service == "translate-torch"]
    assert len(made) > 1
    assert {each.concurrency for each in made} == {1}
    broker = Broker(made)
    assert list(broker._lanes) == ["translate-torch"]
    broker.close()


def test_closing_is_prompt_and_drops_what_waits() -> None:
    release = threading.Event()

    def stuck(_got: Received) -> Answer:
        release.wait(PATIENCE)
        return ACKNOWLEDGED

    with world({"one": {"type": "a"}, "two": {"type": "b"}}, one=stuck, two=always(503), concurrency=1) as here:
        for _ in range(3):
            here.send(event("a"))
        here.send(event("b"))
        began = time.monotonic()
        here.broker.close()
        assert time.monotonic() - began < 0.5
        release.set()
        assert here.broker.drain(PATIENCE)
        assert len(here.received["one"]) <= 1


def test_the_declaration_gives_every_trigger_a_subscriber_and_the_sink() -> None:
    made = local.subscribers("http://x")
    assert [(each.service, dict(each.filter)) for each in made] == [
        (each.service, dict(each.filter)) for each in subscriptions()
    ]
    sink = local.dead_letter_sink("http://x")
    assert sink is not None
    assert sink.url == "http://x/functions/bury"
