"""Progress, carrying and burial, where a step was cut off or given up in between."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from functions._domain import journal, paths, records
from functions._domain.assets import RECORD_SCHEMA
from functions._domain.authorizations import Authorization, Message, evidence, registration
from functions._domain.burial import bury, reject
from functions._domain.carrying import carry, require_sealed
from functions._domain.errors import RejectedContent, RejectedRequest, UnavailableYet
from functions._domain.events import Event, announce
from functions._domain.identity import trained_model_id
from functions._domain.ports import Contract, Ports, Storage
from functions._domain.progress import Progress
from functions._domain.training import run_name
from tests.fakes import FolderStorage

DIGEST = f"sha256:{'7' * 64}"
MODEL, DATASET = UUID(int=1), UUID(int=2)
TRAINED = trained_model_id(MODEL, 1)


@dataclass
class EmptyLedger:
    """A ledger that has nothing, and remembers what was carried."""

    carried: list[Message] = field(default_factory=list)

    def find(self, asset: UUID) -> Contract | None:
        return None

    def is_recorded(self, message: Message) -> bool:
        return False

    def carry(self, authorization: Authorization) -> None:
        self.carried.append(authorization.message)


@dataclass
class Outside:
    """The two ports that are needed here."""

    storage: FolderStorage
    ledger: EmptyLedger = field(default_factory=EmptyLedger)

    def now(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(FolderStorage(tmp_path / "bucket"))


def ports(outside: Outside) -> Ports:
    return cast(Ports, outside)


def write_record(storage: Storage, asset: UUID, kind: str) -> None:
    known = {"name": "x", "owner": "y", "tenant": "z", "parents": [], "inventory": {}}
    records.write_record(storage, {"schema": RECORD_SCHEMA, "id": str(asset), "kind": kind, **known})


def authorize(storage: Storage, message: Message) -> None:
    one = Authorization(message, "registrar", "0x" + "1" * 40, 1, "0x" + "2" * 40, "0x" + "3" * 130)
    records.store_authorization(storage, one)


def next_event(outside: Outside) -> Event | None:
    step = next(Progress(outside.storage, outside.ledger, "cause").of_model(MODEL))  # type: ignore[arg-type]
    return step.event


def test_a_training_that_was_never_started_is_submitted(outside: Outside) -> None:
    event = next_event(outside)
    assert event is not None
    assert event.name == "contract.deployed"


@pytest.mark.parametrize("given_up", [False, True])
def test_a_training_that_was_started_is_collected_even_where_that_was_given_up_for_a_while(
    outside: Outside, given_up: bool
) -> None:
    for outcome in ("started", "exhausted") if given_up else ("started",):
        journal.mark(outside.storage, TRAINED, "train", 1, outcome, outside.now())
    event = next_event(outside)
    assert event is not None
    assert (event.name, event.data["run"]) == ("training.finished", run_name(MODEL, 1))


def test_a_trained_model_that_was_sealed_half_is_collected_again(outside: Outside) -> None:
    write_record(outside.storage, TRAINED, "trained-model")
    event = next_event(outside)
    assert event is not None
    assert event.name == "training.finished"


def test_statements_of_an_asset_that_is_not_sealed_yet_are_not_carried(outside: Outside) -> None:
    authorize(outside.storage, evidence(TRAINED, "training", DIGEST, "passed"))
    with pytest.raises(RejectedRequest, match="no sealed asset"):
        require_sealed(ports(outside), TRAINED)


def test_a_child_waits_for_a_parent_that_was_sealed_half(outside: Outside) -> None:
    write_record(outside.storage, DATASET, "dataset")
    authorize(outside.storage, registration(MODEL, 2, DIGEST, DIGEST, (DATASET,)))
    with pytest.raises(UnavailableYet, match="not sealed yet"):
        carry(ports(outside), MODEL)
    assert outside.ledger.carried == []
    authorize(outside.storage, registration(DATASET, 1, DIGEST, DIGEST, ()))
    carry(ports(outside), MODEL)
    assert [message.subject for message in outside.ledger.carried] == [DATASET, MODEL]


def letter(event: Event, code: str) -> Event:
    return Event(event.name, event.subject, event.id, {**event.attributes, "knativeerrorcode": code}, event.data)


def marks(outside: Outside, asset: UUID) -> Mapping[str, str]:
    return {mark.step: mark.outcome for mark in journal.view(outside.storage, asset).marks}


def test_an_event_at_fault_is_held_against_nobody_and_a_step_that_cannot_be_done_is_marked(outside: Outside) -> None:
    write_record(outside.storage, MODEL, "model")
    event = announce("contract.deployed", MODEL, "cause", assetkind="model")
    reject(ports(outside), event, RejectedRequest("not a model"))
    bury(ports(outside), letter(event, "400"))
    assert marks(outside, TRAINED) == {}
    assert outside.storage.stat(f"{paths.DEAD_LETTERS}{event.id}.json") is not None
    reject(ports(outside), event, RejectedContent("no such image"))
    assert marks(outside, TRAINED) == {"train": "rejected"}


@pytest.mark.parametrize("code", ["500", "503", "404", "429"])
def test_what_was_tried_in_vain_is_tried_again_later(outside: Outside, code: str) -> None:
    write_record(outside.storage, MODEL, "model")
    bury(ports(outside), letter(announce("contract.deployed", MODEL, "cause", assetkind="model"), code))
    assert marks(outside, TRAINED) == {"train": "exhausted"}
    assert list(outside.storage.list(paths.DEAD_LETTERS)) == []
