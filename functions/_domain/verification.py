"""Verification: what can be decided about an asset from its bytes and the ledger, and nothing more.

Integrity: these bytes are what was registered. Provenance: the lineage is what the ledger says, each step was
authorized by a key that held its role then, and the trainer's and translator's signed statements fit their assets.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import Any
from uuid import UUID

from functions._domain import paths, records
from functions._domain.assets import Kind
from functions._domain.authorizations import evidence
from functions._domain.digests import digest_of, digest_of_stream, hex_of
from functions._domain.errors import RejectedContent, UnavailableNewer
from functions._domain.inventory import InventoryLine, order
from functions._domain.inventory import read as read_inventory
from functions._domain.ports import Contract, Entry, Grant, Ledger, Storage
from functions._domain.progress import CLAIM_OF
from functions._domain.sealing import in_order
from functions._domain.statements import Evidence, opened

CLAIMS = ("integrity", "provenance")
SHOWN = 100
"""The most findings that a statement lists; the rest are counted."""

Verified = Callable[[bytes, str], bool]
"""Whether an envelope carries a valid signature of a public key in PEM."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one claim: ``passed`` or ``failed``, what was found, what was looked at."""

    verdict: str
    findings: tuple[str, ...]
    checked: Mapping[str, object]


def integrity(storage: Storage, ledger: Ledger, asset: UUID, path: str | None = None) -> Finding:
    """Compare every byte and name of an asset, or of one file, with what the ledger holds."""
    contract = ledger.find(asset)
    if contract is None:
        return Finding("failed", ("not on the ledger: nothing vouches for this asset",), {"files": 0, "bytes": 0})
    problems = list(_record_problems(storage, asset, contract))
    counts = {"files": 0, "bytes": 0}
    problems += _file_problems(storage, asset, contract, path, counts)
    if problems:
        more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        return Finding("failed", (*problems[:SHOWN], *more), counts)
    files = f"{counts['files']} {'file' if counts['files'] == 1 else 'files'}"
    return Finding("passed", (f"{files}, {counts['bytes']:,} bytes: as registered",), counts)


def _record_problems(storage: Storage, asset: UUID, contract: Contract) -> Iterator[str]:
    data = storage.read(paths.record_key(asset))
    if data is None:
        yield "missing: record.json"
    elif digest_of(data) != contract.record_digest:
        yield "changed: record.json"


def _file_problems(
    storage: Storage, asset: UUID, contract: Contract, path: str | None, counts: dict[str, int]
) -> Iterator[str]:
    chunks = storage.open(paths.inventory_key(asset))
    if chunks is None:
        yield "missing: inventory.jsonl; without it no file can be checked"
        return
    digest, _ = digest_of_stream(chunks)
    if digest != contract.inventory_digest:
        yield "changed: inventory.jsonl; without the registered one no file can be checked"
        return
    lines = read_inventory(storage.open(paths.inventory_key(asset)) or ())
    present = storage.list(paths.files_prefix(asset))
    if path is not None:
        lines = (line for line in lines if line.path == path)
        one = storage.stat(paths.files_prefix(asset) + path)
        present = iter([one] if one else [])
    prefix = paths.files_prefix(asset)
    pairs = _paired(lines, present, prefix)

    def check(pair: tuple[InventoryLine | None, Entry | None]) -> str | None:
        return _check_file(storage, prefix, *pair)

    looked = 0
    for problem in in_order(check, _counted(pairs, counts)):
        looked += 1
        if problem:
            yield problem
    if path is not None and not looked:
        yield f"unknown: {path} is neither in the inventory nor there"


def _counted(
    pairs: Iterable[tuple[InventoryLine | None, Entry | None]], counts: dict[str, int]
) -> Iterator[tuple[InventoryLine | None, Entry | None]]:
    for line, entry in pairs:
        counts["files"] += 1
        counts["bytes"] += entry.size if entry else 0
        yield line, entry


def _paired(
    lines: Iterable[InventoryLine], entries: Iterable[Entry], prefix: str
) -> Iterator[tuple[InventoryLine | None, Entry | None]]:
    """Joins two sorted streams by path."""
    expected = ((order(line.path), 0, line) for line in lines)
    found = ((order(entry.key[len(prefix) :]), 1, entry) for entry in entries)
    for _, group in groupby(merge(expected, found, key=lambda item: item[:2]), key=lambda item: item[0]):
        both: dict[int, Any] = {which: item for _, which, item in group}
        yield both.get(0), both.get(1)


def _check_file(storage: Storage, prefix: str, line: InventoryLine | None, entry: Entry | None) -> str | None:
    if line is None:
        assert entry is not None
        return f"extra: {entry.key[len(prefix) :]}"
    chunks = storage.open(prefix + line.path) if entry is not None else None
    if entry is None or chunks is None:
        return f"missing: {line.path}"
    if entry.size != line.size:
        return f"changed: {line.path} ({entry.size} bytes, registered with {line.size})"
    digest, _ = digest_of_stream(chunks)
    return None if hex_of(digest) == line.sha256 else f"changed: {line.path}"


def provenance(storage: Storage, ledger: Ledger, asset: UUID, verified: Verified) -> Finding:
    """Check an asset's lineage up to its datasets: ledger, roles, and signed statements."""
    grants = ledger.grants()
    problems: list[str] = []
    notes: list[str] = []
    seen: dict[UUID, Contract] = {}
    todo = [asset]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        contract = ledger.find(current)
        if contract is None:
            problems.append(f"{current} is not on the ledger")
            continue
        seen[current] = contract
        todo.extend(contract.parents)
        found = list(_asset_problems(storage, ledger, current, contract, grants, verified, notes))
        problems += [f"{contract.kind} {current}: {problem}" for problem in found]
    checked = {"assets": [str(one) for one in seen]}
    if problems:
        return Finding("failed", tuple(problems[:SHOWN]), checked)
    return Finding("passed", (f"{len(seen)} assets, each authorized by its role's key", *notes), checked)


def _asset_problems(
    storage: Storage, ledger: Ledger, asset: UUID, contract: Contract, grants: Sequence[Grant], verified: Verified,
    notes: list[str],
) -> Iterator[str]:  # fmt: skip
    changed = list(_record_problems(storage, asset, contract))
    yield from changed
    if contract.revoked:
        yield "revoked on the ledger"
    role = "registrar" if contract.kind is Kind.TRAINED_MODEL and not contract.parents else contract.kind.role
    if not _held(grants, role, contract.authorizer, contract.registered_at):
        yield f"{contract.authorizer} did not hold the role {role} when it was registered"
    try:
        record = records.of_asset(storage, asset)
    except RejectedContent as error:
        yield str(error)
        return
    except UnavailableNewer:
        if changed:  # anybody can write a number into it; the ledger does not know this record
            return
        raise
    if record is None or [UUID(one) for one in record["parents"]] != list(contract.parents):
        yield "its record and the ledger name different parents"
        return
    claim = CLAIM_OF.get(contract.kind)
    if claim and contract.parents:
        yield from _statement_problems(storage, ledger, asset, contract, claim, grants, verified)
    elif claim:
        notes.append(f"{contract.kind} {asset} was imported: trained elsewhere, attested by nobody")


def _held(grants: Sequence[Grant], role: str, account: str, time: int) -> bool:
    """Whether an account held a role at a time, in seconds since 1970."""
    held = False
    for grant in grants:
        if grant.role == role and grant.account == account and grant.time <= time:
            held = grant.appointed
    return held


def _statement_problems(
    storage: Storage, ledger: Ledger, asset: UUID, contract: Contract, claim: str, grants: Sequence[Grant],
    verified: Verified,
) -> Iterator[str]:  # fmt: skip
    envelope = storage.read(paths.evidence_key(asset, claim, str(asset)))
    if envelope is None:
        yield f"missing: evidence/{claim}.{asset}.json"
        return
    try:
        found = opened(envelope)
    except RejectedContent as error:
        yield f"changed: evidence/{claim}.{asset}.json ({error})"
        return
    except UnavailableNewer:
        if ledger.is_recorded(evidence(asset, claim, digest_of(envelope), "passed")):
            raise
        yield f"changed: evidence/{claim}.{asset}.json is not the statement on the ledger"
        return
    if not ledger.is_recorded(evidence(asset, claim, found.digest, "passed")):
        yield f"changed: evidence/{claim}.{asset}.json is not the statement on the ledger"
        return
    if found.subject_digest != contract.inventory_digest:
        yield f"the {claim} statement is about other files"
    yield from _signer_problems(found, contract, claim, grants, verified)
    yield from _parent_problems(storage, ledger, found, contract, claim)


def _signer_problems(
    found: Evidence, contract: Contract, claim: str, grants: Sequence[Grant], verified: Verified
) -> Iterator[str]:
    signer = found.predicate.get("signer", {})
    bound = {
        grant.signing_key_digest
        for grant in grants
        if grant.appointed and grant.role == contract.kind.role and grant.account == signer.get("account")
    }
    if not bound or not verified(found.envelope, str(signer.get("publicKey", ""))):
        yield f"the {claim} statement's signature does not hold"
    elif not _is_bound(str(signer["publicKey"]), bound):
        yield f"the {claim} statement is signed by a key that the ledger does not bind to {signer.get('account')}"


def _is_bound(public_key: str, bound: set[str | None]) -> bool:
    """Whether a PEM public key's DER digests to one of the bound digests."""
    import base64

    der = base64.b64decode("".join(line for line in public_key.splitlines() if not line.startswith("-----")))
    return digest_of(der) in bound


def _parent_problems(
    storage: Storage, ledger: Ledger, found: Evidence, contract: Contract, claim: str
) -> Iterator[str]:
    parent = contract.parents[0]
    if claim == "translation":
        source = ledger.find(parent)
        if source is None or found.predicate["source"]["inventory"] != source.inventory_digest:
            yield f"the translation was made of other files than those of {parent}"
        return
    try:
        record = records.of_asset(storage, parent) or {}
    except (RejectedContent, UnavailableNewer):
        return  # said of the parent itself
    dependencies = found.predicate["buildDefinition"]["resolvedDependencies"]
    image, *inputs = [one["digest"]["sha256"] for one in dependencies]
    if image != str(record.get("image", "")).rpartition("sha256:")[2]:
        yield "the training ran another image than the model names"
    datasets = [ledger.find(UUID(one)) for one in record.get("datasets", {}).values()]
    if sorted(inputs) != sorted(hex_of(one.inventory_digest) for one in datasets if one):
        yield "the training read other bytes than those of the model's datasets"


def statement_predicate(
    claim: str, finding: Finding, asset: UUID, ledger: Ledger, request: UUID, path: str | None
) -> Mapping[str, object]:
    """What a verification's statement says."""
    return {
        "schema": "polyglot/verification/v1",
        "asset": str(asset),
        "claim": claim,
        "verdict": finding.verdict,
        "findings": list(finding.findings),
        "checked": dict(finding.checked),
        "path": path,
        "request": str(request),
        "ledger": {"address": ledger.address, "chainId": str(ledger.chain_id)},
    }
