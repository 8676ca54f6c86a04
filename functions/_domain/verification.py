"""Verification: what can be decided about an asset from its bytes and the ledger, and nothing more.

Integrity is here: these bytes are what was registered. Provenance, that the lineage is what the ledger says and each
step was authorized and stated by a key that held its role, is in ``functions._domain.provenance``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import Any
from uuid import UUID

from functions._domain import erasure, paths, revocation
from functions._domain.digests import digest_of, digest_of_stream, hex_of
from functions._domain.inventory import InventoryLine, order
from functions._domain.inventory import read as read_inventory
from functions._domain.ports import Contract, Entry, Ledger, Reader, Storage
from functions._domain.sealing import in_order

SHOWN = 100
"""The most findings that a statement lists; the rest are counted."""


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
    revoked = revocation.told(storage, ledger, asset, contract)
    problems = [*record_problems(storage, asset, contract), *([revoked.problem] if revoked and revoked.problem else [])]
    notes = list(_revocation_notes(storage, asset, revoked))
    counts = {"files": 0, "bytes": 0}
    problems += _file_problems(storage, asset, contract, path, counts)
    if problems:
        more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        return Finding("failed", (*problems[:SHOWN], *more, *notes), counts)
    files = f"{counts['files']} {'file' if counts['files'] == 1 else 'files'}"
    return Finding("passed", (f"{files}, {counts['bytes']:,} bytes: as registered", *notes), counts)


def _revocation_notes(storage: Storage, asset: UUID, revoked: revocation.Told | None) -> Iterator[str]:
    """What a reader should know, and what says nothing against the bytes."""
    if revoked is not None:
        yield str(revoked)
    elif storage.stat(paths.revocation_key(asset)) is not None:
        yield "revocation.json is there, and the ledger knows of no revocation: on its way, or put there by somebody"


def record_problems(storage: Reader, asset: UUID, contract: Contract) -> Iterator[str]:
    """What is wrong with a record, looked at as bytes."""
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
    when = erasure.erased(storage, asset, contract)
    if when:
        yield f"erased: its files were removed on {when[:10]}, as its owner asked"
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
