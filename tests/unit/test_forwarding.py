"""Notifications as stores send them, and whom they concern. Anybody may send one, of any shape."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._domain.errors import Unavailable
from functions._domain.events import Event
from functions._domain.forwarding import MOST, destinations, forward, hints
from functions._domain.intake import inbox_subject
from functions._domain.notices import Written, notified_inboxes, written
from functions._domain.ports import Recipient


class Collecting:
    """A broker that keeps what it is told, or does not answer."""

    def __init__(self, answers: bool = True) -> None:
        self.answers, self.asked = answers, 0
        self.events: list[Event] = []

    def announce(self, event: Event) -> None:
        self.asked += 1
        if not self.answers:
            raise Unavailable("gone")
        self.events.append(event)


def record(key: str, bucket: str = "b", name: str = "s3:ObjectCreated:Put") -> dict[str, Any]:
    return {"eventName": name, "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 0}}}


def keys(*records: object) -> list[str]:
    return [one.key for one in written({"Records": list(records)})]


def test_a_key_is_read_as_it_is_and_decoded() -> None:
    assert keys(record("inbox/dataset/a+b%2Fc/asset.json")) == [
        "inbox/dataset/a+b%2Fc/asset.json",
        "inbox/dataset/a b/c/asset.json",
    ]
    assert keys(record("plain")) == ["plain"]


def test_what_was_removed_or_tagged_is_no_upload() -> None:
    assert keys(record("a", name="ObjectRemoved:Delete"), record("b", name="s3:ObjectTagging:Put")) == []


def test_a_record_without_an_event_name_is_taken_as_one_of_an_upload() -> None:
    bare = {"s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}
    assert keys(bare) == ["k"]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["Records", "s3", "bucket", "object", "key", "name", "eventName"]), inner),
))  # fmt: skip
def test_whatever_somebody_sends_is_read_without_harm(document: object) -> None:
    for one in [*written(document), *written({"Records": [document, {"s3": document}]})]:
        assert isinstance(one.bucket, str)
        assert isinstance(one.key, str)


def test_a_file_of_a_folder_concerns_its_asset_json() -> None:
    found = notified_inboxes(["inbox/dataset/a/deep/x", "inbox/dataset/a/asset.json", "inbox/a/b", "assets/1/files/2"])
    assert list(found) == ["inbox/dataset/a/asset.json"]


def test_what_we_write_in_an_inbox_ourselves_is_no_upload() -> None:
    """Or a refusal would be looked at again because it was written, be written again, and so on."""
    assert not list(notified_inboxes(["inbox/dataset/a/rejected.json", "inbox/dataset/a/receipt.json"]))
    deeper = ["inbox/dataset/a/data/receipt.json"]
    assert list(notified_inboxes(deeper)) == ["inbox/dataset/a/asset.json"]


def test_destinations_are_lines_or_separated_by_commas() -> None:
    found = destinations("a-1=acme@http://x/acme/polyglot,\n\n b-2=bee@https://y/bee/polyglot \n")
    assert [(one.bucket, one.tenant, one.broker_url) for one in found] == [
        ("a-1", "acme", "http://x/acme/polyglot"),
        ("b-2", "bee", "https://y/bee/polyglot"),
    ]
    assert destinations("") == ()


@pytest.mark.parametrize("text", ["a", "a=b", "a=b@", "=b@http://x", "a=b c@http://x", "a=x@u,a=y@v"])
def test_a_wrong_line_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"not bucket=tenant@broker-url|named twice"):
        destinations(text)


def test_each_tenant_is_told_of_its_own_bucket_only() -> None:
    acme, bee = Collecting(), Collecting()
    recipients = {"a": Recipient("acme", acme), "b": Recipient("bee", bee)}
    key = "inbox/dataset/x/asset.json"
    forward([Written("a", key), Written("nobodys", key), Written("", key)], recipients, "cause")
    assert bee.events == []
    (event,) = acme.events
    assert (event.name, event.subject) == ("asset.submitted", inbox_subject("acme", key))
    assert event.data["key"] == key


def test_the_same_notification_again_is_the_same_event() -> None:
    recipients = {"a": Recipient("acme", Collecting())}
    first, again = (list(hints([Written("a", "inbox/dataset/x/1")], recipients, "cause")) for _ in range(2))
    assert [event.id for _, event in first] == [event.id for _, event in again]


def test_a_broker_that_is_gone_is_asked_once_and_keeps_nobody_waiting() -> None:
    gone, there = Collecting(answers=False), Collecting()
    recipients = {"a": Recipient("acme", gone), "b": Recipient("bee", there)}
    notices = [Written(bucket, f"inbox/dataset/{name}/1") for bucket in "ab" for name in range(3)]
    forward(notices, recipients, "cause")
    assert gone.asked == 1
    assert len(there.events) == 3


def test_one_notification_points_at_a_bounded_number_of_folders() -> None:
    broker = Collecting()
    document = {"Records": [record(f"inbox/dataset/{number}/1", "a") for number in range(MOST + 50)]}
    forward(list(written(json.loads(json.dumps(document)))), {"a": Recipient("acme", broker)}, "cause")
    assert len(broker.events) == MOST
