"""Events that nobody should have sent: refused for good, or harmless; and a sweep that nothing stops."""

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from functions.declaration import EVENT_LIMIT
from tests.platforms import Site
from tests.strangers import NOBODY, event

CONSUMERS = [
    ("ingest", "asset.submitted"), ("deploy", "asset.registered"), ("deploy", "evidence.authorized"),
    ("train", "contract.deployed"), ("train", "cancellation.requested"), ("collect", "training.finished"),
    ("translate-torch", "contract.deployed"), ("translate-torch", "translation.requested"),
    ("verify", "verification.requested"), ("ingest", "revocation.requested"), ("deploy", "revocation.authorized"),
    ("erase", "erasure.requested"),
]  # fmt: skip


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("service", sorted({service for service, _ in CONSUMERS} - {"ingest"}))
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "application/json"}, b"{}"),
        ({}, b""),
        ({"ce-specversion": "0.3", "ce-id": "1", "ce-type": "a", "ce-source": "b"}, b""),
        ({"Content-Type": "application/cloudevents+json"}, b"not json"),
        ({"Content-Type": "application/cloudevents+json"}, b'{"specversion":"1.0"}'),
        (event("asset.registered", "not-a-uuid"), b"{}"),
        (event("asset.exploded", NOBODY), b"{}"),
        ({**event("asset.registered", NOBODY), "Content-Type": "application/json"}, b"["),
        ({**event("asset.registered", NOBODY), "Content-Type": "application/json"}, b"[1]"),
    ],
)
def test_what_is_no_event_of_its_own_is_refused_for_good(
    site: Site, service: str, headers: dict[str, str], body: bytes
) -> None:
    assert site.announce(headers, body, f"/functions/{service}") == 400


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("service", ["deploy", "ingest", "forward", "bury"])
def test_an_event_larger_than_any_of_ours_is_refused_unread(site: Site, service: str) -> None:
    headers = {**event("asset.registered", NOBODY), "Content-Type": "application/json"}
    assert site.announce(headers, b" " * (EVENT_LIMIT + 1), f"/functions/{service}") == 413


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(("service", "name"), CONSUMERS)
def test_an_event_about_nothing_is_refused_for_good_and_leaves_nothing(site: Site, service: str, name: str) -> None:
    for body in (
        b"{}",
        b"",
        b'{"request":7,"run":[],"key":{}}',
        f'{{"request":"{NOBODY}","run":"train-x-1"}}'.encode(),
    ):
        headers = event(name, NOBODY, framework="torch", claim="integrity", assetkind="model")
        status = site.announce(headers, body, f"/functions/{service}")
        assert 400 <= status < 500
        assert status not in (404, 408, 409, 429)


def test_an_event_about_nothing_ends_as_one_dead_letter(site: Site) -> None:
    identifier = f"unknown-{uuid4()}"
    assert site.announce(event("asset.submitted", NOBODY, identifier)) == 202
    assert site.platform.broker.drain(20)
    letters = [key for key in site.objects("dead-letters") if identifier in key]
    assert letters == [f"dead-letters/{identifier}.json"]
    assert json.loads(site.objects("dead-letters")[letters[0]])["subject"] == NOBODY
    assert not site.objects(f"assets/{NOBODY}")


def test_what_is_no_event_is_not_taken_by_the_broker(site: Site) -> None:
    assert site.announce({"Content-Type": "application/json"}) == 400


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("asset.submitted", {}),
        ("asset.registered", {"assetkind": "dataset"}),
        ("evidence.authorized", {}),
        ("contract.deployed", {"assetkind": "model"}),
        ("contract.deployed", {"assetkind": "trained-model", "framework": "torch", "accelerator": "none"}),
        ("training.finished", {}),
    ],
)
def test_an_event_that_comes_ten_times_at_once_changes_nothing_that_is_done(
    site: Site, dataset: str, name: str, attributes: dict[str, str]
) -> None:
    assert site.platform.broker.drain(20)
    before = site.objects(f"assets/{dataset}")
    contract = site.http("GET", f"/v1/assets/{dataset}/contract")[1]
    with ThreadPoolExecutor(10) as pool:
        sent = list(pool.map(lambda _: site.announce(event(name, dataset, **attributes)), range(10)))
    assert set(sent) == {202}
    assert site.platform.broker.drain(60)
    after = site.objects(f"assets/{dataset}")
    assert {key: data for key, data in after.items() if "/journal/" not in key} == {
        key: data for key, data in before.items() if "/journal/" not in key
    }
    assert site.http("GET", f"/v1/assets/{dataset}/contract")[1] == contract
    assert site.status(dataset)["state"] == "complete"


def test_stray_objects_do_not_stop_the_sweep(site: Site) -> None:
    stray = [
        *("open/stray", f"open/{NOBODY}/b", f"open/{NOBODY}/{NOBODY}", "assets/stray/x", "assets/.DS_Store"),
        *("inbox/stray", "inbox/dataset/stray", "inbox/dataset/x/rejected.json", "index/name/dataset/x/no-uuid"),
        *(f"index/parent/{NOBODY}/stray", "requests/stray.json", "tokens/stray.json"),
    ]
    for key in stray:
        place = site.bucket / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"{}")
    try:
        assert site.http("POST", "/v1/reconcile?all=1")[0] == 200
        assert site.http("GET", "/v1/assets")[0] == 200
    finally:
        for key in stray:
            (site.bucket / key).unlink(missing_ok=True)


def test_after_all_this_the_sweep_finds_nothing_to_do(site: Site) -> None:
    assert site.platform.broker.drain(60)
    for _ in range(2):
        site.http("POST", "/v1/reconcile?all=1")
        assert site.platform.broker.drain(60)
    assert [key for key in site.objects("open") if NOBODY not in key] == []
