"""I2: whatever is killed, and whenever, the chain is finished exactly once after a restart."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from functions._runtime.local import bucket, chain
from tests.faults import (
    ROOT,
    Books,
    Customer,
    Died,
    Fuse,
    Life,
    Nursery,
    Process,
    Proxy,
    ended,
    gone,
    keys,
    kill_soon,
    object_write,
    of_platform,
    processes,
    ready,
    shape,
    stored,
    transaction,
    up,
)
from tests.platforms import COPY_MODEL, POLYGLOT, image_folder

WHOLE = Counter(
    {
        "assets/dataset/files/model.pt2": 1,
        "assets/trained-model/files/model.pt2": 1,
        "assets/translation/files/model.onnx": 1,
        "assets/trained-model/evidence/training.trained-model.json": 1,
        "assets/translation/evidence/translation.translation.json": 1,
        "assets/trained-model/journal/train.1.started.json": 1,
        "assets/translation/journal/translate.1.started.json": 1,
        **{f"assets/{kind}/record.json": 1 for kind in ("dataset", "model", "trained-model", "translation")},
        **{f"assets/{kind}/inventory.jsonl": 1 for kind in ("dataset", "model", "trained-model", "translation")},
        **{f"assets/{kind}/authorizations/#.json": 1 for kind in ("dataset", "model")},
        **{f"assets/{kind}/authorizations/#.json": 2 for kind in ("trained-model", "translation")},
    }
)
"""What a chain that went well leaves of its four assets, whatever happened on the way."""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.fixture
def customer(torch_model: Path, quick_image: Path) -> Customer:
    return Customer(torch_model, quick_image)


def stopped(life: Life) -> None:
    """Ctrl-C ends it with status 0 and leaves nothing running."""
    os.kill(life.pid, signal.SIGINT)
    assert ended(life) == 0, life.log.read_text()
    assert gone(life.data), of_platform(life.data)
    assert not (life.data / "env").exists()


def assert_finished_once(customer: Customer, folder: Path) -> None:
    """Every asset is on the ledger once, with its statements, nothing is open, nothing was given up, all verifies."""
    books = Books.of(customer.settings)
    assert books.registered() == Counter({asset: 1 for asset in customer.assets.values()})
    assert sorted(books.recorded().values()) == [1, 1]  # the training's and the translation's
    assert shape(folder, customer.assets) == WHOLE
    assert keys(folder, "dead-letters/") == []
    customer.call("POST", "/v1/reconcile")
    assert keys(folder, "open/") == []
    for asset in customer.assets.values():
        assert customer.verify(asset) == {"integrity": "passed", "provenance": "passed"}
    assert set(Books.of(customer.settings).recorded().values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_platform_killed_at_every_write_finishes_the_chain_exactly_once(
    tmp_path: Path, nursery: Nursery, customer: Customer
) -> None:
    data, fuse = tmp_path / "data", Fuse()
    store = bucket.start(tmp_path / "bucket", tmp_path / "logs")
    node = chain.start(tmp_path / "chain", tmp_path / "logs", print)
    proxies = [Proxy(store.url, fuse, object_write), Proxy(node.url, fuse, transaction)]
    places = {"POLYGLOT_S3_URL": proxies[0].url, "POLYGLOT_RPC_URL": proxies[1].url}
    folder = tmp_path / "bucket" / bucket.NAME
    lives = 0;T=time.monotonic()
    try:
        while True:
            lives += 1
            assert lives < 150, fuse.kills
            assert gone(data), of_platform(data)  # a supervisor notices within half a second that its platform is dead
            life = nursery.up(data, **places)
            fuse.arm(life.pid)
            with suppress(Died):
                customer.settings = ready(life)
                customer.register()
                customer.wait(lambda: assert_no_promise_is_early(customer))
                customer.call("POST", "/v1/reconcile")
                print(lives, len(fuse.kills)); break
            assert ended(life) == -signal.SIGKILL, life.log.read_text()
        fuse.arm(None)
        assert_finished_once(customer, folder)
        written = {stored(key) for key in keys(folder) if not key.startswith("images/")}
        told = {name.partition(" ")[2] for name in fuse.names}
        by_clients = {"assets/%s/files/model.pt2" % customer.dataset}
        assert {key for key in written - told - by_clients if "verif" not in key} == set()
        stopped(life)
    finally:
        for proxy in proxies:
            proxy.close()
        node.stop()
        store.stop()


def assert_no_promise_is_early(customer: Customer) -> None:
    """Nothing is called complete whose contract is not on the ledger."""
    ledger = Books.of(customer.settings).ledger
    for asset in customer.assets.values():
        with suppress(AssertionError):  # not known yet
            if customer.state(asset) == "complete":
                assert_on_ledger = ledger.find(asset)
                if assert_on_ledger is None:
                    pytest.fail(f"{asset} is called complete, and has no contract")
