"""One webhook of a store for all buckets: what is uploaded to a tenant's inbox is told to that tenant's Broker."""

import json
import time
from urllib.parse import quote_plus
from uuid import UUID

import pytest

from functions._domain.intake import inbox_subject
from tests.flows.test_inbox import Inbox, inbox, records
from tests.platforms import Site

__all__ = ["inbox"]

JSON = {"Content-Type": "application/json; charset=utf-8"}
FORWARD = "/functions/forward"
FORWARDED = "/tenants/local/functions/forward"
SOON = 5
"""Seconds: half the time after which the sweep would find an upload."""


def wait_for_receipt(inbox: Inbox) -> UUID:
    started = time.monotonic()
    asset = UUID(inbox.wait_for("receipt.json", SOON)["asset"])
    assert time.monotonic() - started < SOON
    return asset


def sources(site: Site, subject: str, since: int) -> list[str]:
    """Who announced events about a subject to `ingest`, delivered after the first ``since``."""
    said = [one.event.get_attributes() for one in site.deliveries[since:] if one.subscriber.service == "ingest"]
    return [attributes["source"] for attributes in said if attributes["subject"] == subject]


def test_an_upload_is_registered_long_before_the_sweep_would_find_it(site: Site, inbox: Inbox) -> None:
    inbox.put("x.csv", b"1,2")
    asset = inbox.asset_json(files=[{"path": "x.csv"}], name="forwarded")
    assert site.announce(JSON, records([f"{inbox.prefix}asset.json"]), FORWARD) == 204
    assert wait_for_receipt(inbox) == asset
    site.wait_for(str(asset))
    assert site.http("GET", f"/v1/assets/{asset}")[1]["name"] == "forwarded"


@pytest.mark.parametrize("encoded", [True, False], ids=["as AWS writes keys", "as versitygw writes keys"])
def test_a_key_with_a_plus_a_percent_and_a_blank_is_found_in_either_spelling(site: Site, encoded: bool) -> None:
    inbox = Inbox(site, f"a+b 100%25 {'aws' if encoded else 'vgw'}")
    inbox.put("x.csv", b"1")
    asset = inbox.asset_json(files=[{"path": "x.csv"}], name="an odd folder")
    key = f"{inbox.prefix}asset.json"
    assert site.announce(JSON, records([quote_plus(key, safe="/") if encoded else key]), FORWARD) == 204
    assert wait_for_receipt(inbox) == asset
    inbox.client.delete_object(Bucket="polyglot", Key=f"{inbox.prefix}receipt.json")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Service": "S3", "Event": "s3:TestEvent", "Bucket": "polyglot"}).encode(),
        json.dumps({"anything": ["else"]}).encode(),
        b"[]",
        b"null",
        b'{"Records": 7}',
    ],
)
def test_what_says_nothing_of_an_upload_is_taken_and_does_nothing(site: Site, body: bytes) -> None:
    before = len(site.deliveries)
    assert site.announce(JSON, body, FORWARD) == 204
    assert site.platform.broker.drain(10)
    assert FORWARDED not in [one.event.get_attributes()["source"] for one in site.deliveries[before:]]


@pytest.mark.parametrize("body", [b"", b"not json", b"Records=1"])
def test_what_is_no_json_at_all_is_refused(site: Site, body: bytes) -> None:
    assert site.announce(JSON, body, FORWARD) == 400


def test_another_tenants_bucket_is_told_to_nobody(site: Site, inbox: Inbox) -> None:
    inbox.put("x.csv", b"1")
    inbox.asset_json(files=[{"path": "x.csv"}, {"path": "never there"}])
    key, before = f"{inbox.prefix}asset.json", len(site.deliveries)
    subject = str(inbox_subject("local", key))
    for bucket, told in (("somebody-elses", 0), ("polyglot", 1)):
        assert site.announce(JSON, records([key], bucket), FORWARD) == 204
        assert site.platform.broker.drain(10)
        assert sources(site, subject, before).count(FORWARDED) == told


def test_an_event_of_cephs_is_taken_by_its_records(site: Site, inbox: Inbox) -> None:
    inbox.put("x.csv", b"1")
    asset = inbox.asset_json(files=[{"path": "x.csv"}])
    headers = {
        **JSON,
        "ce-specversion": "1.0",
        "ce-type": "com.amazonaws.ObjectCreated:Put",
        "ce-id": "request.id2",
        "ce-source": "ceph:s3.default.polyglot",
        "ce-subject": f"{inbox.prefix}asset.json",
    }
    assert site.announce(headers, records([f"{inbox.prefix}asset.json"]), FORWARD) == 204
    assert wait_for_receipt(inbox) == asset


def test_it_takes_posts_only(site: Site) -> None:
    assert site.http("GET", FORWARD)[0] == 405
