"""Events that somebody forged, sent to the Broker or past it: what is done stays done, what runs goes on running.

Whoever can reach a tenant's Broker or a Service inside the cluster can send whatever they like: another tenant's pod,
for one. An event is a hint, so it can have a step looked at once more, and nothing else.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions._domain.identity import trained_model_id
from functions.declaration import FUNCTIONS, Subscription, subscriptions
from tests.platforms import Site, image_folder
from tests.strangers import NOBODY, event
from tests.training_lab import until

SUBSCRIPTIONS = subscriptions([one for one in FUNCTIONS if one.scope == "tenant"])
GLOBEX = {"ce-source": "/tenants/globex/functions/ingest"}
RETRIED = (404, 408, 409, 429)
WAITS = """\
import os, time
from pathlib import Path
for _ in range(600):
    if Path("{sign}").exists():
        break
    time.sleep(0.1)
(Path(os.environ["SM_MODEL_DIR"]) / "model.txt").write_bytes(b"tree\\nversion=v4\\n")
"""


def forged(one: Subscription, subject: str, **said: str) -> dict[str, str]:
    """An event that a Trigger of this Service would let through, from another tenant."""
    named = one.filter["type"].removeprefix("io.polyglot.").removesuffix(".v1")
    attributes = {name: value for name, value in one.filter.items() if name != "type"}
    return {**event(named, subject, **{"framework": "torch", **attributes, **said}), **GLOBEX}


def bodies(site: Site, asset: str, model: str) -> Iterator[bytes]:
    """What an event may say: nothing, another's request, a run of ours or of nobody's."""
    yield b"{}"
    requests = [key.split("/")[1].removesuffix(".json") for key in site.objects("requests") if key.count("/") == 1]
    for request in (requests[0], requests[-1], NOBODY):
        yield f'{{"schema":"x","request":"{request}"}}'.encode()
    for run in (f"train-{model}-1", "../../etc/passwd"):
        yield f'{{"run":"{run}","status":"Succeeded","request":"{NOBODY}"}}'.encode()


def kept(site: Site) -> Mapping[str, bytes]:
    """All that is stored, apart from what nobody but a forger has left."""
    return {
        key: data
        for key, data in site.objects("").items()
        if not key.startswith(("dead-letters/", "open/")) and ".upload" not in key
    }


@pytest.fixture(scope="module")
def chain(site: Site, torch_model: Path, quick_image: Path) -> dict[str, str]:
    """Everything that a chain makes, done; with a translation that was asked for, and every claim verified."""
    dataset = site.ok("dataset", "register", str(torch_model.parent), "--wait")
    model = site.ok("model", "register", "--dataset", dataset, "--image", str(quick_image), "--wait")
    shown = site.run("show", model, "--json").json
    site.ok("verify", shown["translation"], "--level", "equivalence")
    site.ok("verify", dataset)
    return {
        "dataset": dataset,
        "model": model,
        "trained-model": shown["trained_model"],
        "translation": shown["translation"],
    }


@pytest.mark.parametrize("one", SUBSCRIPTIONS, ids=lambda one: one.name)
def test_a_forged_event_changes_nothing_of_what_is_done(site: Site, chain: dict[str, str], one: Subscription) -> None:
    assert site.platform.broker.drain(30)
    before, states = kept(site), [site.status(asset) for asset in chain.values()]
    for asset in (*chain.values(), NOBODY):
        for body in bodies(site, asset, chain["model"]):
            status = site.announce(forged(one, asset), body, f"/functions/{one.service}")
            assert status < 500, (asset, body)
            assert status not in RETRIED
        assert site.announce(forged(one, asset), b"{}") == 202
    assert site.platform.broker.drain(60)
    assert kept(site) == before
    assert [site.status(asset) for asset in chain.values()] == states


@pytest.mark.parametrize("service", sorted({one.service for one in SUBSCRIPTIONS}))
def test_a_service_takes_what_its_triggers_let_through_and_nothing_else(
    site: Site, chain: dict[str, str], service: str
) -> None:
    own = [one.filter for one in SUBSCRIPTIONS if one.service == service]
    others = [dict(one.filter) for one in SUBSCRIPTIONS[::4] if one.filter not in own]
    for filters in others:
        name = filters.pop("type").removeprefix("io.polyglot.").removesuffix(".v1")
        headers = {**event(name, chain["translation"], **filters), **GLOBEX}
        assert site.announce(headers, b"{}", f"/functions/{service}") == 400
    assert len(others) > 5


def test_an_event_that_says_another_accelerator_than_the_record_translates_nothing(
    site: Site, chain: dict[str, str]
) -> None:
    headers = event("contract.deployed", chain["trained-model"], assetkind="trained-model", framework="torch")
    for accelerator, status in (("none", 204), ("nvidia", 400)):
        service = "translate-torch" if accelerator == "none" else "translate-torch-gpu"
        found = site.announce({**headers, "ce-accelerator": accelerator}, b"{}", f"/functions/{service}")
        assert found in ((200, 204) if status == 204 else (400,))


def test_a_training_that_runs_is_neither_ended_nor_failed_by_a_forger(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").write_text("1,2\n")
    dataset = site.ok("dataset", "register", str(tmp_path / "data"), "--wait")
    image = image_folder(tmp_path / "image", WAITS.format(sign=tmp_path / "go"))
    model = site.ok("model", "register", "--dataset", dataset, "--image", str(image))
    trained = str(trained_model_id(UUID(model), 1))
    until(lambda: site.status(model)["state"] == "running")
    for one in SUBSCRIPTIONS:
        for asset in (dataset, model, trained):
            for body in bodies(site, asset, model):
                site.announce(forged(one, asset), body, f"/functions/{one.service}")
    letter: dict[str, Any] = {**event("contract.deployed", model, assetkind="model"), **GLOBEX}
    site.announce({**letter, "ce-knativeerrorcode": "503"}, b"{}", "/functions/bury")
    assert site.platform.broker.drain(60)
    assert site.status(model)["state"] in ("running", "exhausted")
    (tmp_path / "go").touch()
    site.wait_for(model, ("complete", "rejected"))
    assert site.run("show", model, "--json").json["trained_model"] == trained


def test_a_forged_dead_letter_ends_nothing(site: Site, chain: dict[str, str]) -> None:
    before, states = kept(site), [site.status(asset) for asset in chain.values()]
    for asset in (*chain.values(), str(uuid4())):
        for one in SUBSCRIPTIONS:
            headers = {**forged(one, asset), "ce-knativeerrorcode": "503", "ce-knativeerrordest": "http://x"}
            assert site.announce(headers, b"{}", "/functions/bury") in (200, 204, 400)
    marks = {key for key in kept(site) if key not in before}
    assert all(key.endswith(".exhausted.json") for key in marks)  # the sweep looks, and finds that nothing is missing
    assert {key: data for key, data in kept(site).items() if key not in marks} == before
    assert [site.status(asset) for asset in chain.values()] == states
    assert site.http("POST", "/v1/reconcile?all=1")[0] == 200
    assert site.platform.broker.drain(60)
    assert [site.status(asset) for asset in chain.values()] == states
