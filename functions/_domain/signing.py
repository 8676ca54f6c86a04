"""Signing: what follows once an asset's files were digested, and reads none of them again.

From the inventory: ``record.json``, the model signature for others' tools, the statement of the step with its
authorization, and last the registration's authorization. A model of any size takes as long as its inventory is.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from functions._domain import inventory, model_signature, paths, records
from functions._domain.assets import Kind
from functions._domain.authorizations import evidence, registration
from functions._domain.digests import digest_of_stream
from functions._domain.drafts import Attestation, Draft, Sealed
from functions._domain.errors import RejectedConflict, RejectedContent
from functions._domain.ports import Signer, Storage
from functions._domain.statements import opened, statement

SIGNED = (Kind.TRAINED_MODEL, Kind.TRANSLATION)
"""The kinds of asset that carry a model signature."""


def sign(
    storage: Storage, signer: Signer, draft: Draft, attestation: Attestation, sealed: Sealed, lines: Path
) -> Sealed:
    """Write all that is said of digested files, ``lines`` being their inventory; done already is success.

    Raises:
        RejectedConflict: said before, and otherwise.
    """
    record_digest = records.write_record(storage, draft.record(sealed))
    signature = _model_signature(storage, signer, draft, attestation, lines) if draft.kind in SIGNED else None
    sealed = replace(sealed, record_digest=record_digest, signature=signature)
    _state(storage, signer, draft, attestation, sealed)
    for parent in draft.parents:
        storage.create(paths.child_key(parent, draft.id), b"")
    storage.create(paths.name_key(draft.kind, draft.name, draft.id), b"")
    message = registration(draft.id, draft.kind.number, sealed.inventory_digest, record_digest, draft.parents)
    records.store_authorization(storage, signer.authorize(message))
    return sealed


def _state(storage: Storage, signer: Signer, draft: Draft, attestation: Attestation, sealed: Sealed) -> None:
    claim, key = attestation.claim, paths.evidence_key(draft.id, attestation.claim, str(draft.id))
    said = statement(claim, draft.id, sealed.inventory_digest, attestation.predicate(sealed))
    envelope = record_statement(storage, signer, key, signer.sign(said))
    message = evidence(draft.id, claim, opened(envelope).digest, attestation.verdict)
    records.store_authorization(storage, signer.authorize(message))


def _model_signature(storage: Storage, signer: Signer, draft: Draft, attestation: Attestation, lines: Path) -> str:
    """Write the model signature; returns its digest. One of an earlier key stays, and ours stands beside it.

    Where a statement stands that names an earlier key's, that one counts: both say the same, whoever says it.
    """
    standing = _standing_signature(storage, draft, attestation, lines)
    if standing:
        return standing
    with tempfile.TemporaryDirectory(prefix="polyglot-") as folder:
        path = Path(folder, "model.sig")
        digest = model_signature.write(read_lines(lines), str(draft.id), signer, path)
        for key in paths.model_signature_keys(draft.id, signer.public_key):
            if storage.upload(key, path) or digest_of_stream(storage.open(key) or ())[0] == digest:
                return digest
    raise RejectedConflict(
        f"{paths.signatures_prefix(draft.id)} holds signatures that the {signer.role} key did not make"
    )


def _standing_signature(storage: Storage, draft: Draft, attestation: Attestation, lines: Path) -> str:
    """The digest of the model signature that the step's statement names already, if it is there and says the same."""
    envelope = storage.read(paths.evidence_key(draft.id, attestation.claim, str(draft.id)))
    if envelope is None:
        return ""
    try:
        named = str(opened(envelope).predicate["outputs"]["signature"])
    except (RejectedContent, KeyError, TypeError):
        return ""  # what stands there is no statement of ours, which comes out when ours is written
    for entry in storage.list(paths.signatures_prefix(draft.id)):
        if digest_of_stream(storage.open(entry.key) or ())[0] == named:
            stored = partial(storage.open, entry.key)
            return named if model_signature.says(read_lines(lines), str(draft.id), stored) else ""
    return ""


def read_lines(path: Path) -> Iterator[inventory.InventoryLine]:
    """The lines of an inventory in a local file."""
    with path.open("rb") as file:
        yield from inventory.read(iter(lambda: file.read(1 << 20), b""))


def record_statement(storage: Storage, signer: Signer, key: str, envelope: bytes) -> bytes:
    """Write a signed statement; where one by an earlier execution or key stands, that one counts and is returned.

    Raises:
        RejectedConflict: what stands there was not signed by this key, and says something else.
    """
    if storage.create(key, envelope):
        return envelope
    existing = storage.read(key) or b""
    if not signer.made(existing) and _without_signer(existing) != _without_signer(envelope):
        raise RejectedConflict(f"{key} holds a statement that the {signer.role} key did not sign")
    return existing


def _without_signer(envelope: bytes) -> object:
    """What a statement says, whoever says it: after a key was replaced, both keys say the same."""
    document = opened(envelope).document
    return {**document, "predicate": {name: said for name, said in document["predicate"].items() if name != "signer"}}
