"""Events over HTTP, in and out, and the port that announces them."""

from collections.abc import Mapping
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._backends import cloudevents
from functions._backends.broker import HttpBroker
from functions._backends.cloudevents import CloudEvent, from_http, read, to_http, write, write_structured
from functions._domain.errors import RejectedRequest, Unavailable
from functions._domain.events import Event
from functions._runtime.local import loopback
from tests.broker_world import acknowledge, always, world

# HttpBroker


def test_an_announcement_reaches_the_broker() -> None:
    with world({"one": {"type": "io.polyglot.asset.registered.v1"}}, one=acknowledge) as here:
        client = HttpBroker(f"{here.url}/broker", "acme", "ingest")
        client.announce(Event("asset.registered", UUID(int=7), "1", {"assetkind": "model"}, {"schema": "s"}))
        client.close()
        here.settle()
        (got,) = here.received["one"]
    assert got.event["source"] == "/tenants/acme/functions/ingest"
    assert got.event["assetkind"] == "model"
    assert got.event["subject"] == str(UUID(int=7))


def test_an_announcement_that_is_not_taken_is_an_error() -> None:
    client = HttpBroker(f"http://127.0.0.1:{loopback.free_port()}/broker", "acme", "ingest", retries=1)
    with pytest.raises(Unavailable, match="not announced"):
        client.announce(Event("asset.registered", UUID(int=7), "1"))
    client.close()


@pytest.mark.parametrize(("status", "attempts"), [(503, 3), (400, 1), (302, 1)])
def test_an_announcement_is_repeated_where_that_may_help(status: int, attempts: int) -> None:
    with world({}, one=always(status, b"sorry")) as here:
        client = HttpBroker(f"{here.url}/one", "acme", "ingest", retries=2)
        with pytest.raises(Unavailable, match=f"{status}.*sorry"):
            client.announce(Event("asset.registered", UUID(int=7), "1"))
        client.close()
        assert len(here.received["one"]) == attempts


# Events over HTTP

names = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}", fullmatch=True)
attributes = st.dictionaries(st.sampled_from(["assetkind", "framework", "claim"]), st.text(min_size=1))
documents = st.dictionaries(st.text(), st.integers() | st.text() | st.none())


@given(st.builds(Event, names, st.uuids(), st.uuids().map(str), attributes, documents))
def test_an_event_comes_back_from_http_as_it_went(sent: Event) -> None:
    headers, body = to_http(sent, "/tenants/acme/functions/ingest")
    assert all(value.isascii() and value.isprintable() and " " not in value for value in headers.values())
    assert from_http(headers, body).event == sent
    assert from_http(*write_structured(read(headers, body))).event == sent


def test_a_foreign_event_is_kept_as_it_is() -> None:
    headers = {
        "Ce-Specversion": "1.0",
        "Ce-Type": "com.amazonaws.s3:ObjectCreated:Put",
        "Ce-Source": "ceph:s3.zone.bucket",
        "Ce-Id": "1",
        "Ce-Subject": "inbox/dataset/a%20b/asset.json",
        "Content-Type": "application/json",
    }
    got = from_http(headers, b'{"s3": {}}')
    assert (got.name, got.subject, got.data) == (None, "inbox/dataset/a b/asset.json", {"s3": {}})
    with pytest.raises(RejectedRequest, match=r"com\.amazonaws"):
        _ = got.event


def test_an_unknown_event_of_ours_is_kept() -> None:
    headers, body = to_http(Event("something.new", UUID(int=1), "1"), "/s")
    assert from_http(headers, body).name == "something.new"


@pytest.mark.parametrize(
    ("change", "body"),
    [({"ce-subject": "not-a-uuid"}, b"{}"), ({"ce-subject": ""}, b"{}"), ({}, b"{"), ({}, b"[1]")],
)
def test_an_event_of_ours_with_a_wrong_shape_is_refused(change: Mapping[str, str], body: bytes) -> None:
    headers, _ = to_http(Event("asset.registered", UUID(int=1), "1"), "/s")
    with pytest.raises(RejectedRequest):
        _ = from_http({**headers, **change}, body).event


def test_binary_data_and_no_data_pass() -> None:
    for data in (b"\x00\xff", None):
        bare = CloudEvent({"type": "t", "source": "s", "id": "i"}, data)
        assert read(*write(bare)).get_data() == data
        assert read(*cloudevents.write_structured(bare)).get_data() == data
