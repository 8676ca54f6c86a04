"""I1: events ten times, in any order, at once, forged or too early, leave what they leave when each comes once."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions._backends.cloudevents import to_http, write
from functions._domain.events import Event, announce
from functions._domain.identity import trained_model_id
from functions._domain.intake import inbox_subject
from functions._domain.training import run_name
from functions.declaration import FUNCTIONS
from tests.customers import CHAIN, PASSED, Books, Customer, shape
from tests.platforms import Site, started

TIMES = 10
FINAL = frozenset({400, 401, 403, 413, 422})
"""What a Broker takes as an answer that no repetition will change."""

Posted = tuple[Mapping[str, str], bytes]


@dataclass
class Finished:
    """A chain that has ended, on a platform of its own, with all that was announced on its way."""

    site: Site
    customer: Customer
    events: list[tuple[str, Posted]]
    """To which Service, and what."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A platform on which nothing happens but what these tests do."""
    found = started(tmp_path_factory.mktemp("redelivery") / "data")
    yield found
    found.platform.stop()


@pytest.fixture(scope="module")
def finished(own: Site, torch_model: Path, quick_image: Path) -> Finished:
    customer = Customer(torch_model, quick_image, dict(own.settings))
    customer.register()
    customer.wait()
    for asset in customer.assets.values():
        customer.verify(asset)
    own.ok("translate", str(customer.asked), "--wait")
    settled(own)
    events = {
        (one.subscriber.service, one.event.get_attributes()["id"]): (one.subscriber.service, write(one.event))
        for one in own.deliveries
    }
    return Finished(own, customer, list(events.values()))


def settled(site: Site) -> None:
    """Nothing is on its way, and the sweep has put away what is complete."""
    assert site.platform.broker.drain(60)
    assert site.http("POST", "/v1/reconcile")[0] == 200
    assert site.platform.broker.drain(60)


def on_ledger(site: Site) -> tuple[Counter[UUID], Counter[tuple[str, ...]]]:
    books = Books.of(site.settings)
    return books.registered(), books.recorded()


def as_if_nothing(site: Site) -> tuple[object, ...]:
    """All that is stored, byte for byte, apart from letters about nothing; and all that is on the ledger."""
    objects = {key: data for key, data in site.objects("").items() if not key.startswith("dead-letters/")}
    return objects, *on_ledger(site)


def shuffled(found: Finished) -> list[tuple[str, Posted]]:
    events = found.events * TIMES
    random.Random(4).shuffle(events)
    return events


TAKEN_BACK = ("cancellation.requested", "revocation.requested", "revocation.authorized", "erasure.requested")
"""What no chain that goes well announces."""


def test_a_chain_announces_every_type_that_functions_consume_but_what_takes_back(finished: Finished) -> None:
    consumed = {one.type for function in FUNCTIONS for one in function.consumes}
    seen = {headers["ce-type"] for _, (headers, _) in finished.events}
    assert consumed - seen == {f"io.polyglot.{name}.v1" for name in TAKEN_BACK}


def test_every_event_ten_times_at_once_to_its_function_changes_nothing(finished: Finished) -> None:
    site, before = finished.site, as_if_nothing(finished.site)
    with ThreadPoolExecutor(TIMES) as pool:
        posts = [(headers, body, f"/functions/{service}") for service, (headers, body) in shuffled(finished)]
        answers = Counter(pool.map(lambda post: site.announce(*post), posts))
    assert set(answers) <= {200, 204}
    settled(site)
    assert as_if_nothing(site) == before
    assert {finished.customer.state(asset) for asset in finished.customer.assets.values()} == {"complete"}


def test_every_event_ten_times_through_the_broker_changes_nothing(finished: Finished) -> None:
    site, before = finished.site, as_if_nothing(finished.site)
    with ThreadPoolExecutor(TIMES) as pool:
        answers = set(pool.map(lambda event: site.announce(*event[1]), shuffled(finished)))
    assert answers == {202}
    settled(site)
    assert as_if_nothing(site) == before
    assert set(on_ledger(site)[0].values()) == set(on_ledger(site)[1].values()) == {1}


def posted(event: Event) -> Posted:
    return to_http(event, "/tenants/local/functions/nobody")


def said(name: str, subject: UUID, data: Mapping[str, object] | None = None, **attributes: str) -> Posted:
    return posted(announce(name, subject, str(uuid4()), data, **attributes))


def forged(assets: Mapping[str, UUID], requests: Mapping[str, UUID]) -> dict[str, tuple[str, Posted]]:
    """Events about assets that are there, each wrong in one thing; by what is wrong."""
    dataset, model, trained, translation = assets.values()
    torch = {"framework": "torch", "accelerator": "none"}
    translate, verify = "translation.requested", "verification.requested"
    elsewhere = f"assets/{dataset}/files/asset.json"
    return {
        "a framework that it is not of": ("translate-torch", said("contract.deployed", trained, framework="sklearn")),
        "no framework": ("translate-torch", said("contract.deployed", trained)),
        "a model to translate": ("translate-torch", said("contract.deployed", model, **torch)),
        "a dataset to translate": ("translate-torch", said("contract.deployed", dataset, **torch)),
        "a dataset to train": ("train", said("contract.deployed", dataset, assetkind="model")),
        "a trained model to train": ("train", said("contract.deployed", trained, assetkind="model")),
        "a translation to stop": ("train", said("cancellation.requested", translation)),
        "another model's run": ("collect", said("training.finished", trained, {"run": run_name(uuid4(), 1)})),
        "another attempt's run": ("collect", said("training.finished", trained, {"run": run_name(model, 2)})),
        "a run that is no name": ("collect", said("training.finished", trained, {"run": "../../keys"})),
        "no run": ("collect", said("training.finished", trained)),
        "a run of a dataset": (
            "collect",
            said("training.finished", trained_model_id(dataset, 1), {"run": run_name(dataset, 1)}),
        ),
        "a run of nothing": (
            "collect",
            said("training.finished", trained_model_id(requests["model"], 9), {"run": run_name(uuid4(), 9)}),
        ),
        "another asset's request": ("ingest", said("asset.submitted", dataset, {"request": str(requests["model"])})),
        "what nobody asked for": ("ingest", said("asset.submitted", trained)),
        "a request in the place of an asset": ("ingest", said("asset.submitted", requests["verification"])),
        "a key that is not of the inbox": (
            "ingest",
            said("asset.submitted", inbox_subject("local", elsewhere), {"key": elsewhere}),
        ),
        "a request that asks for something else": (
            "translate-torch",
            said(translate, trained, {"request": str(requests["verification"])}, **torch),
        ),
        "no request": ("translate-torch", said(translate, trained, **torch)),
        "a verification of another asset": (
            "verify",
            said(verify, dataset, {"request": str(requests["verification"])}, claim="integrity"),
        ),
        "a claim that nobody asked about": (
            "verify",
            said(verify, model, {"request": str(requests["verification"])}, claim="beauty"),
        ),
        "no verification": ("verify", said(verify, model, claim="integrity")),
        "another function's event": ("deploy", said("training.finished", trained)),
        "a verification in the place of a revocation": (
            "ingest",
            said("revocation.requested", model, {"request": str(requests["verification"])}),
        ),
        "no request to revoke": ("ingest", said("revocation.requested", model)),
        "a revocation that nobody authorized": ("deploy", said("revocation.authorized", model)),
        "a verification in the place of an erasure": (
            "erase",
            said("erasure.requested", model, {"request": str(requests["verification"])}),
        ),
        "no request to erase": ("erase", said("erasure.requested", dataset)),
        "a registration in the place of an erasure": (
            "erase",
            said("erasure.requested", model, {"request": str(requests["model"])}),
        ),
        "an unknown subject": ("deploy", said("asset.registered", uuid4(), assetkind="model")),
        "evidence of an unknown subject": ("deploy", said("evidence.authorized", uuid4())),
    }


@pytest.fixture(scope="module")
def forgeries(finished: Finished) -> dict[str, tuple[str, Posted]]:
    """Every forgery, about a finished chain, with requests that were really made."""
    asked = finished.customer.call(
        "POST", "/v1/verifications", {"asset": str(finished.customer.asked)}, key="forgeries"
    )
    settled(finished.site)
    requests = {"verification": UUID(asked["id"]), "model": finished.customer.assets["model"]}
    return forged(finished.customer.assets, requests)


def test_a_forged_event_is_refused_and_changes_nothing(
    finished: Finished, forgeries: dict[str, tuple[str, Posted]]
) -> None:
    site, before = finished.site, as_if_nothing(finished.site)
    answers = {what: site.announce(*event, to=f"/functions/{service}") for what, (service, event) in forgeries.items()}
    assert {what: status for what, status in answers.items() if status not in FINAL} == {}
    for _, event in forgeries.values():
        assert site.announce(*event) == 202
    settled(site)
    assert as_if_nothing(site) == before
    assert {finished.customer.state(asset) for asset in finished.customer.assets.values()} == {"complete"}


def test_a_refused_event_is_kept_as_a_letter_and_not_held_against_its_asset(finished: Finished) -> None:
    site, before = finished.site, as_if_nothing(finished.site)
    event = announce("contract.deployed", finished.customer.assets["dataset"], str(uuid4()), assetkind="model")
    assert site.announce(*posted(event)) == 202
    settled(site)
    assert f"dead-letters/{event.id}.json" in site.objects("dead-letters")
    assert as_if_nothing(site) == before


def too_early(assets: Mapping[str, UUID]) -> list[tuple[str, Posted]]:
    """Every event of a chain, as hints about assets that may not be there yet."""
    dataset, model, trained, translation = assets.values()
    torch = {"framework": "torch", "accelerator": "none"}
    kinds = [("dataset", dataset), ("model", model), ("trained-model", trained), ("translation", translation)]
    return [
        *(("ingest", said("asset.submitted", asset)) for asset in (dataset, model)),
        *(("deploy", said("asset.registered", asset, assetkind=kind)) for kind, asset in kinds),
        *(("deploy", said("evidence.authorized", asset)) for _, asset in kinds),
        ("train", said("contract.deployed", model, assetkind="model")),
        ("train", said("cancellation.requested", model)),
        ("collect", said("training.finished", trained, {"run": run_name(model, 1)})),
        ("translate-torch", said("contract.deployed", trained, assetkind="trained-model", **torch)),
    ]


def test_events_that_come_before_their_time_are_refused_and_stop_no_chain(
    own: Site, finished: Finished, torch_model: Path, quick_image: Path
) -> None:
    """Before an upload is registered, and from then on until the chain is complete, forgeries among them."""
    customer = Customer(torch_model, quick_image, dict(own.settings), key="early")
    upload = UUID(customer.open()["id"])
    early = dict(zip(finished.customer.assets, (upload, *(uuid4() for _ in range(3))), strict=True))
    settled(own)
    before = as_if_nothing(own)
    for service, event in too_early(early):
        assert own.announce(*event, to=f"/functions/{service}") in FINAL
    assert as_if_nothing(own) == before

    customer.register()
    with Storm(own, customer):
        customer.wait()
    settled(own)
    assert shape(own.bucket, customer.assets) == CHAIN
    registered, recorded = on_ledger(own)
    assert {registered[asset] for asset in customer.assets.values()} == {1}
    assert set(recorded.values()) == {1}
    for kind, asset in customer.assets.items():
        assert customer.verify(asset) == PASSED[kind]


class Storm:
    """While it lasts, every event of a chain and every forgery about it is delivered again and again, at once."""

    def __init__(self, site: Site, customer: Customer) -> None:
        self._site, self._customer, self._over = site, customer, threading.Event()
        self._pool = ThreadPoolExecutor(3)
        self._answers: set[int] = set()
        self._exporting = threading.Semaphore(1)  # each translation takes the machine's memory

    def __enter__(self) -> None:
        self._threads = [self._pool.submit(self._rage, seed) for seed in range(3)]

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.result()
        self._pool.shutdown()
        assert self._answers <= {200, 202, 204, 503, *FINAL}

    def _rage(self, seed: int) -> None:
        chosen = random.Random(seed)
        assets = self._customer.assets
        requests = {"model": assets["model"], "verification": uuid4()}
        while not self._over.is_set():
            events = [*too_early(assets), *forged(assets, requests).values()]
            chosen.shuffle(events)
            for service, event in events:
                if not self._over.is_set():
                    self._answers.add(self._deliver(service, event, through=chosen.random() < 0.2))

    def _deliver(self, service: str, event: Posted, through: bool) -> int:
        if through:
            return self._site.announce(*event)
        if not service.startswith("translate"):
            return self._site.announce(*event, to=f"/functions/{service}")
        with self._exporting:
            return self._site.announce(*event, to=f"/functions/{service}")
