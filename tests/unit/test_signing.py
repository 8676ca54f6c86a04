"""Signing what was digested: again by the same key, and again by the next one."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from functions._backends import keys
from functions._backends.signatures import KeySignatures
from functions._domain import model_signature, paths, records
from functions._domain.assets import Kind
from functions._domain.drafts import Attestation, Draft
from functions._domain.errors import RejectedConflict
from functions._domain.sealing import seal
from functions._domain.signing import read_lines
from functions._domain.statements import STATEMENT, opened
from tests.fakes import FolderStorage

ASSET = UUID("6f0a3c52-5f0b-4b0e-9d8e-0f7a1c2b3d4e")
DRAFT = Draft(ASSET, Kind.TRAINED_MODEL, "m", "owner", "tenant", "2026-01-01T00:00:00Z", (UUID(int=1),))
STATES = Attestation("training", lambda sealed: {"outputs": dict(sealed.outputs)})


def signer(folder: Path) -> keys.RoleKeys:
    keys.create("trainer", folder)
    return keys.RoleKeys("trainer", folder, 1, f"0x{'a' * 40}", f"0x{'b' * 40}")


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    found = FolderStorage(tmp_path / "bucket")
    found.create(f"{paths.files_prefix(ASSET)}model.bin", b"weights")
    found.create(f"{paths.files_prefix(ASSET)}deep/labels.txt", b"a\nb\n")
    return found


def objects(storage: FolderStorage) -> dict[str, bytes]:
    return {entry.key: storage.read(entry.key) or b"" for entry in storage.list("")}


def test_sealing_twice_writes_the_same_once(storage: FolderStorage, tmp_path: Path) -> None:
    first = seal(storage, signer(tmp_path / "keys"), DRAFT, STATES)
    before = objects(storage)
    assert seal(storage, signer(tmp_path / "keys"), DRAFT, STATES) == first
    assert objects(storage) == before


def test_the_next_key_adds_its_word_to_what_the_earlier_one_stated(storage: FolderStorage, tmp_path: Path) -> None:
    first = seal(storage, signer(tmp_path / "old"), DRAFT, STATES)
    before = objects(storage)
    assert seal(storage, signer(tmp_path / "new"), DRAFT, STATES) == first
    after = objects(storage)
    assert {key: after[key] for key in before} == before
    assert all("/authorizations/" in key for key in after.keys() - before.keys())
    assert len({one.account for one in records.authorizations(storage, ASSET)}) == 2


def test_the_next_key_signs_beside_a_signature_that_no_statement_names(storage: FolderStorage, tmp_path: Path) -> None:
    """Whoever sealed it was killed between its model signature and its statement, and its key was replaced."""
    old, new = signer(tmp_path / "old"), signer(tmp_path / "new")
    seal(storage, old, DRAFT, STATES)
    evidence = paths.evidence_key(ASSET, "training", str(ASSET))
    storage.delete(evidence)
    sealed = seal(storage, new, DRAFT, STATES)
    statement = opened(storage.read(evidence) or b"")
    assert (statement.predicate["outputs"]["signature"], statement.signer["account"]) == (sealed.signature, new.account)
    _, own = paths.model_signature_keys(ASSET, new.public_key)
    lines = read_lines(storage.folder / paths.inventory_key(ASSET))
    is_signature = KeySignatures().is_signature
    assert model_signature.problem(lines, str(ASSET), new.public_key, lambda: storage.open(own), is_signature) == ""


def test_a_planted_statement_of_something_else_is_a_conflict(storage: FolderStorage, tmp_path: Path) -> None:
    other = signer(tmp_path / "mallory")
    subject = [{"name": "x", "digest": {"sha256": "0" * 64}}]
    said = {"_type": STATEMENT, "predicateType": "x", "predicate": {"outputs": {}}, "subject": subject}
    storage.create(paths.evidence_key(ASSET, "training", str(ASSET)), other.sign(said))
    with pytest.raises(RejectedConflict, match="did not sign"):
        seal(storage, signer(tmp_path / "keys"), DRAFT, STATES)
    assert json.loads(storage.read(paths.record_key(ASSET)) or b"")["id"] == str(ASSET)
