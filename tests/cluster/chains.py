"""Chains on a cluster: how they are asked for, and what must be found of one that went well, whatever happened."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from functions._domain.identity import trained_model_id, translation_id
from tests.cluster.tenants import Tenant
from tests.customers import CHAIN, Books, shape_of
from tests.platforms import COPY_MODEL

BUSY = (502, 503, 504)
"""Answers of a cluster whose parts are being killed, or started."""


def ask(tenant: Tenant, dataset: str, image: str, script: str = COPY_MODEL, *options: str, name: str = "chain") -> str:
    """Register a model that a Python script trains, in an image that has Python; returns its UUID at once."""
    command = [part for word in ("python", "-c", script) for part in ("--command", word)]
    return tenant.ok(
        "model", "register", "--dataset", dataset, "--image", image, *_joined(command), "--name", name, *options
    )


def _joined(words: Sequence[str]) -> list[str]:
    """``--command=WORD``: a word that begins with a dash would be taken for an option."""
    return [f"{words[place]}={words[place + 1]}" for place in range(0, len(words), 2)]


def dataset_of(tenant: Tenant, folder: Path, name: str = "chain") -> str:
    """Register a folder as a dataset and wait for its contract."""
    return tenant.ok("dataset", "register", str(folder), "--name", name, "--wait")


def status(tenant: Tenant, asset: str) -> Any:
    """What ``retrieve`` says of an asset; an empty document where it cannot answer now."""
    answered, found = tenant.http("retrieve", "GET", f"/v1/assets/{asset}/status")
    return {} if answered in BUSY else found


def wait_for(tenant: Tenant, asset: str, states: Sequence[str] = ("complete",), seconds: float = 300) -> Any:
    """Wait until an asset's chain is in one of some states."""
    end = time.monotonic() + seconds
    while True:
        found = status(tenant, asset)
        if found.get("state") in states:
            return found
        assert time.monotonic() < end, f"{asset} is {found} after {seconds} s, expected {states}"
        time.sleep(1)


def reconcile(tenant: Tenant, everything: bool = True) -> Any:
    """Sweep now, as an operator would."""
    return json.loads(tenant.ok("reconcile", *(["--all"] if everything else []), "--json"))


def assets_of(dataset: str, model: str) -> Mapping[str, UUID]:
    """A chain's assets by kind; their UUIDs follow from the model's."""
    trained = trained_model_id(UUID(model), 1)
    made = {"model": UUID(model), "trained-model": trained, "translation": translation_id(trained)}
    return {"dataset": UUID(dataset), **made}


def assert_finished_once(tenant: Tenant, dataset: str, model: str) -> None:
    """Every asset of the chain is on the ledger once, with its statements once, and nothing else was written."""
    assets = assets_of(dataset, model)
    books = Books.of(tenant.environment)
    registered = books.registered()
    assert {asset: registered[asset] for asset in assets.values()} == dict.fromkeys(assets.values(), 1)
    assert set(books.recorded().values()) == {1}
    found = (entry.key for asset in assets.values() for entry in tenant.storage.list(f"assets/{asset}/"))
    assert without_marks(shape_of(found, assets)) == without_marks(CHAIN)


def without_marks(found: Counter[str]) -> Counter[str]:
    """Without ``exhausted`` marks, which a long outage leaves: the sweep went on all the same."""
    return Counter({key: count for key, count in found.items() if not key.endswith(".exhausted.json")})


def open_chains(tenant: Tenant) -> list[str]:
    """What the sweep still has to look after."""
    return [entry.key for entry in tenant.storage.list("open/")]
