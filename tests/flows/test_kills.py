"""I2: whatever is killed, and whenever, the chain is finished exactly once after a restart."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from functions._backends.process.supervisor import EXECUTIONS
from functions._runtime.local import bucket, chain
from tests.customers import CHAIN, PASSED, Books, Customer, Died, keys, shape
from tests.faults import (
    ROOT,
    Fuse,
    Life,
    Nursery,
    Proxy,
    awaited,
    ended,
    gone,
    kill,
    object_write,
    of_platform,
    processes,
    ready,
    stored,
    transaction,
    up,
)
from tests.parts import eventually
from tests.platforms import COPY_MODEL, POLYGLOT, image_folder


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
    assert books.registered() == Counter(dict.fromkeys(customer.assets.values(), 1))
    assert len(books.recorded()) >= 4  # each asset's, and what was verified
    assert set(books.recorded().values()) == {1}
    assert shape(folder, customer.assets) == CHAIN
    assert keys(folder, "dead-letters/") == []
    customer.call("POST", "/v1/reconcile")
    assert keys(folder, "open/") == []
    for kind, asset in customer.assets.items():
        assert customer.verify(asset) == PASSED[kind]
    assert set(Books.of(customer.settings).recorded().values()) == {1}


@dataclass
class Stage:
    """Bucket and node, both outside of the platform and behind the fuse."""

    data: Path
    fuse: Fuse
    settings: dict[str, str]
    node: str
    bucket: Path


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    fuse, logs = Fuse(), tmp_path / "logs"
    with ExitStack() as parts:
        store = bucket.start(tmp_path / "bucket", logs)
        parts.callback(store.stop)
        node = chain.start(tmp_path / "chain", logs, print)
        parts.callback(node.stop)
        proxies = [Proxy(store.url, fuse, object_write), Proxy(node.url, fuse, transaction)]
        for proxy in proxies:
            parts.callback(proxy.close)
        settings = {"POLYGLOT_S3_URL": proxies[0].url, "POLYGLOT_RPC_URL": proxies[1].url}
        yield Stage(tmp_path / "data", fuse, settings, node.url, tmp_path / "bucket" / bucket.NAME)


def assert_no_promise_is_early(customer: Customer) -> None:
    """Nothing is called complete whose contract is not on the ledger."""
    ledger = Books.of(customer.settings).ledger
    for kind, asset in customer.assets.items():
        if customer.state(asset) == "complete":
            assert ledger.find(asset) is not None, f"the {kind} is called complete and has no contract"


@pytest.mark.slow
@pytest.mark.timeout(600)  # some sixty lives
def test_a_platform_killed_at_every_write_finishes_the_chain_exactly_once(
    stage: Stage, nursery: Nursery, customer: Customer
) -> None:
    for _ in range(100):
        assert gone(stage.data), of_platform(stage.data)  # a training sees within half a second that it is alone
        life = nursery.up(stage.data, **stage.settings)
        stage.fuse.arm(life.pid)
        with suppress(Died):
            customer.settings = {**ready(life), "POLYGLOT_RPC_URL": stage.node}
            customer.register()
            customer.wait(lambda: assert_no_promise_is_early(customer))
            customer.call("POST", "/v1/reconcile")
            break
        assert ended(life) == -signal.SIGKILL, life.log.read_text()
    stage.fuse.arm(None)
    written = {stored(key) for key in keys(stage.bucket) if not key.startswith("images/")}
    by_client = f"assets/{customer.dataset}/files/model.pt2"
    assert written - {name.partition(" ")[2] for name in stage.fuse.kills} == {by_client}
    transactions = [name for name in stage.fuse.kills if name.startswith("transaction")]
    assert len(transactions) == 6 + 4 + 4 + 4  # contracts, roles, assets, statements
    assert_finished_once(customer, stage.bucket)
    stopped(life)


@pytest.mark.slow
@pytest.mark.timeout(600)  # some fifteen lives
def test_a_platform_killed_at_every_write_of_a_reproduction_compares_exactly_once(
    stage: Stage, nursery: Nursery, customer: Customer
) -> None:
    life = nursery.up(stage.data, **stage.settings)
    customer.settings = {**ready(life), "POLYGLOT_RPC_URL": stage.node}
    customer.register()
    customer.wait()
    trained, before = customer.assets["trained-model"], Books.of(customer.settings).recorded()
    stopped(life)
    for _ in range(40):
        assert gone(stage.data), of_platform(stage.data)
        life = nursery.up(stage.data, **stage.settings)
        stage.fuse.arm(life.pid)
        with suppress(Died):
            customer.settings = {**ready(life), "POLYGLOT_RPC_URL": stage.node}
            assert customer.verify(trained, level="reproduction", key="again") == {"reproduction": "passed"}
            customer.call("POST", "/v1/reconcile")
            break
        assert ended(life) == -signal.SIGKILL, life.log.read_text()
    stage.fuse.arm(None)
    killed = " ".join(stage.fuse.kills)
    steps = ("started.json", "model/model.pt2", "chosen.json", "evidence/reproduction", "authorizations/")
    assert [step for step in steps if step not in killed] == []
    assert sum((Books.of(customer.settings).recorded() - before).values()) == 1
    assert keys(stage.bucket, "dead-letters/") == []
    assert keys(stage.bucket, "open/") == []
    statements = [key for key in keys(stage.bucket, f"assets/{trained}/evidence/") if "reproduction" in key]
    assert len(statements) == 1
    stopped(life)


SLOW = COPY_MODEL + "import time; time.sleep(2)\n"
TRAINER, SCRIPT, TRANSLATOR = "functions._backends.process", "train.py", "functions._translators.torch"


@pytest.fixture
def patient(torch_model: Path, tmp_path: Path) -> Customer:
    """A customer whose training takes a moment, so that there is something to kill."""
    return Customer(torch_model, image_folder(tmp_path / "image", SLOW))


def folder_of(data: Path) -> Path:
    return data / "bucket" / bucket.NAME


def asked(life: Life, customer: Customer) -> None:
    """Up, and the chain is asked for."""
    customer.settings = ready(life)
    customer.register()


def finish(life: Life, customer: Customer) -> None:
    """Wait for the chain to its end, find it finished once, and stop."""
    customer.wait(lambda: assert_no_promise_is_early(customer))
    assert_finished_once(customer, folder_of(life.data))
    stopped(life)


@pytest.mark.slow
def test_a_platform_killed_with_all_its_parts_while_training_and_translating_finishes_exactly_once(
    tmp_path: Path, patient: Customer
) -> None:
    data = tmp_path / "data"
    for step in (TRAINER, TRANSLATOR):
        with up(data) as life:
            asked(life, patient)
            awaited(life, step)
            kill(life.pid)
            assert ended(life) == -signal.SIGKILL
            assert gone(data), of_platform(data)
    with up(data) as life:
        asked(life, patient)
        finish(life, patient)


@pytest.mark.slow
def test_when_a_part_dies_the_platform_stops_and_says_which_and_the_next_one_recovers(
    tmp_path: Path, patient: Customer
) -> None:
    data = tmp_path / "data"
    for step, part, name in ((TRAINER, "anvil", "the chain"), (TRANSLATOR, "bucket_server", "the bucket")):
        with up(data) as life:
            asked(life, patient)
            awaited(life, step)
            kill(awaited(life, part))
            assert ended(life) == 3
            assert f"Stopping: {name} ended with status -9" in life.log.read_text()
            assert gone(data), of_platform(data)
            assert not (data / "env").exists()
    with up(data) as life:
        asked(life, patient)
        finish(life, patient)


@pytest.mark.slow
def test_a_step_whose_process_is_killed_is_done_again(tmp_path: Path, patient: Customer) -> None:
    data = tmp_path / "data"
    with up(data) as life:
        asked(life, patient)
        kill(awaited(life, TRAINER))
        kill(awaited(life, TRANSLATOR, seconds=90))
        finish(life, patient)


@pytest.mark.slow
def test_a_script_that_is_killed_is_run_again(tmp_path: Path, patient: Customer) -> None:
    data = tmp_path / "data"
    with up(data) as life:
        asked(life, patient)
        time.sleep(0.3)
        kill(awaited(life, SCRIPT))
        finish(life, patient)


@pytest.mark.slow
def test_a_script_that_is_killed_each_time_fails_with_a_reason_and_a_retry_finishes(
    tmp_path: Path, patient: Customer
) -> None:
    data = tmp_path / "data"
    with up(data) as life:
        asked(life, patient)
        for _ in range(EXECUTIONS):
            time.sleep(0.3)
            kill(awaited(life, SCRIPT))
        patient.wait(until="failed")
        reason = patient.call("GET", f"/v1/assets/{patient.asked}/status")["reason"]
        assert "killed by signal 9" in reason
        assert "retry" in reason
        patient.call("POST", f"/v1/assets/{patient.asked}/retry")
        patient.attempt = 2
        patient.wait(lambda: assert_no_promise_is_early(patient))
        assert Books.of(patient.settings).registered() == Counter(dict.fromkeys(patient.assets.values(), 1))
        stopped(life)


@pytest.mark.slow
def test_each_function_killed_at_its_first_request_does_it_in_its_next_process(
    tmp_path: Path, customer: Customer
) -> None:
    data, killed = tmp_path / "data", set[str]()
    with up(data, "--processes") as life:
        customer.settings = ready(life)
        over = threading.Event()

        def hunt() -> None:
            while not over.wait(0.01):
                for pid, command in processes("service_process", str(data)).items():
                    service = command.split("service_process ")[1].split()[0]
                    if service not in {"reconcile", *killed}:
                        killed.add(service)
                        kill(pid)

        hunter = threading.Thread(target=hunt)
        hunter.start()
        try:
            asked_until_answered(customer)
        finally:
            over.set()
            hunter.join()
        assert killed >= {"register", "retrieve", "ingest", "deploy", "train", "collect", "translate-torch"}
        assert_finished_once(customer, folder_of(data))
        stopped(life)


def asked_until_answered(customer: Customer) -> None:
    """Ask for a chain where who answers may be killed."""
    while True:
        with suppress(Died):
            customer.register()
            return customer.wait()


@pytest.mark.slow
def test_ctrl_c_stops_everything_at_once_also_in_the_middle_of_a_step(tmp_path: Path, patient: Customer) -> None:
    data = tmp_path / "data"
    for step in (SCRIPT, TRANSLATOR):
        with up(data) as life:
            asked(life, patient)
            awaited(life, step)
            begun = time.monotonic()
            stopped(life)
            assert time.monotonic() - begun < 6


def test_a_second_platform_on_a_folder_says_who_has_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with up(data) as life:
        settings = ready(life)
        second = subprocess.run(
            [*POLYGLOT, "up", "--data", str(data), "--port", "0"], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert second.returncode == 3
        assert f"in use by another `polyglot up`, process {life.pid}" in second.stderr
        assert life.status() is None
        assert ready(life) == settings
        stopped(life)


@pytest.mark.slow
def test_a_ledger_that_lost_its_last_blocks_gets_the_same_contracts_again(
    tmp_path: Path, nursery: Nursery, customer: Customer
) -> None:
    data = tmp_path / "data"
    state, kept = data / "chain" / "state.json", data / "chain" / "state.kept.json"
    life = nursery.up(data)
    asked(life, customer)
    time.sleep(1.5)  # anvil writes what it knows each second, in place
    assert eventually(lambda: state.exists() and chain.is_whole(state.read_bytes()))
    early = state.read_bytes()
    customer.wait()
    customer.verify(customer.assets["model"])
    before = {asset: contract(customer, asset)["address"] for asset in customer.assets.values()}
    statements = Books.of(customer.settings).recorded()
    assert len(statements) == 4 + 2  # of each asset, and two that a customer asked for
    for lost in ("some blocks", "the end of its file", "everything"):
        kill(life.pid)
        assert ended(life) == -signal.SIGKILL
        assert gone(data), of_platform(data)
        match lost:
            case "some blocks":
                state.write_bytes(early)
                kept.unlink(missing_ok=True)  # it is made each ten seconds
            case "the end of its file":
                state.write_bytes(state.read_bytes()[:-1000])
            case "everything":
                state.unlink()
                kept.unlink(missing_ok=True)
        life = nursery.up(data)
        customer.settings = ready(life)
        customer.wait(lambda: assert_no_promise_is_early(customer))
        for asset in customer.assets.values():
            customer.wait_for(asset)
        assert {asset: contract(customer, asset)["address"] for asset in before} == before, lost
        books = Books.of(customer.settings)
        assert books.registered() == Counter(dict.fromkeys(before, 1)), lost
        end = time.monotonic() + 20  # nobody waits for what a customer asked for and has been told
        while books.recorded() != statements and time.monotonic() < end:
            time.sleep(0.1)
        assert books.recorded() == statements, lost
    stopped(life)


def contract(customer: Customer, asset: UUID) -> Any:
    return customer.call("GET", f"/v1/assets/{asset}/contract")
