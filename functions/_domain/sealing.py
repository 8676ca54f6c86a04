"""Sealing: the one domain operation by which an asset becomes unchangeable.

Digest the final objects, require exactly the expected files, then write ``inventory.jsonl``, and sign: see
``functions._domain.signing``. Each is create-only and deterministic, so a step that was cut off anywhere is done again
to the same bytes.
"""

import hashlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from functions._domain import paths, records
from functions._domain.digests import digest_of_stream, hex_of
from functions._domain.drafts import Attestation, Draft, Sealed
from functions._domain.errors import RejectedConflict, RejectedContent
from functions._domain.inventory import InventoryLine, line
from functions._domain.inventory import read as read_inventory
from functions._domain.ports import Entry, Signer, Storage
from functions._domain.signing import sign

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 8
"""Small files are digested this many at a time."""

Expected = Mapping[str, tuple[int, str | None]]
"""What should be there: size in bytes and digest by path; a digest of None expects none in particular."""


def digested(storage: Storage, prefix: str) -> Iterator[InventoryLine]:
    """Digests every object below a prefix, in key order, a few at a time; nothing is held whole."""

    def one(entry: Entry) -> InventoryLine:
        chunks = storage.open(entry.key)
        if chunks is None:
            raise RejectedContent(f"{entry.key} disappeared while it was read")
        digest, size = digest_of_stream(chunks)
        return InventoryLine(entry.key[len(prefix) :], size, hex_of(digest))

    yield from in_order(one, storage.list(prefix))


def in_order(call: Callable[[Item], Result], items: Iterable[Item], width: int = READERS) -> Iterator[Result]:
    """``map`` with some calls at once and a bounded lead, results in order."""
    with ThreadPoolExecutor(width) as pool:
        running: deque[Future[Result]] = deque()
        for item in items:
            running.append(pool.submit(call, item))
            if len(running) >= 4 * width:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def seal(
    storage: Storage, signer: Signer, draft: Draft, attestation: Attestation, expected: Expected | None = None
) -> Sealed:
    """Seal an asset whose files are in their final place; done already is success.

    Args:
        storage: the bucket.
        signer: the keys of whoever digests, which is whoever calls.
        draft: what the record will say.
        attestation: what the step states.
        expected: exactly the files that must be there; None where whatever is there counts.

    Raises:
        RejectedContent: a file is missing, too many, or not what was expected. Nothing was written.
        RejectedConflict: sealed before, as something else.
    """
    with tempfile.TemporaryDirectory(prefix="polyglot-") as folder:
        spool = Path(folder, "inventory.jsonl")
        sealed = _take_inventory(storage, draft.id, spool, expected)
        _write_inventory(storage, draft.id, spool, sealed)
        return sign(storage, signer, draft, attestation, sealed, spool)


def copied(storage: Storage, staged: str, asset: UUID) -> Expected:
    """Copy an execution's ``model/`` to its final place; returns what must then be there.

    Where an asset is sealed anew after its staged copies were cleared away, that is what its inventory says.
    """
    prefix, expected = f"{staged}model/", {}
    for entry in storage.list(prefix):
        path = entry.key[len(prefix) :]
        storage.copy(entry.key, paths.files_prefix(asset) + path)
        expected[path] = (entry.size, None)
    if not expected:
        lines = read_inventory(storage.open(paths.inventory_key(asset)) or ())
        return {line.path: (line.size, f"sha256:{line.sha256}") for line in lines}
    return expected


def is_sealed_by(storage: Storage, signer: Signer, asset: UUID) -> bool:
    """Whether this very key authorized an asset's registration already; signing is deterministic, so we sign again."""
    return any(
        one.message.type == "Registration" and one.account == signer.account and one == signer.authorize(one.message)
        for one in records.authorizations(storage, asset)
    )


def _take_inventory(storage: Storage, asset: UUID, spool: Path, expected: Expected | None) -> Sealed:
    running, files, size = hashlib.sha256(), 0, 0
    unseen = dict(expected) if expected is not None else None
    with spool.open("wb") as file:
        for entry in digested(storage, paths.files_prefix(asset)):
            if unseen is not None:
                _require_expected(entry, unseen)
            raw = line(*entry)
            running.update(raw)
            file.write(raw)
            files, size = files + 1, size + entry.size
    if unseen:
        raise RejectedContent(f"{_some(unseen)} did not arrive: upload and register again")
    return Sealed(f"sha256:{running.hexdigest()}", files, size)


def _require_expected(entry: InventoryLine, unseen: dict[str, tuple[int, str | None]]) -> None:
    try:
        size, digest = unseen.pop(entry.path)
    except KeyError:
        raise RejectedContent(f"{entry.path!r} is there but was not announced: register again without it") from None
    if size >= 0 and size != entry.size:
        raise RejectedContent(
            f"{entry.path!r} has {entry.size} bytes, its client said {size}: it changed on the way; register it again"
        )
    if digest is not None and hex_of(digest) != entry.sha256:
        raise RejectedContent(
            f"{entry.path!r} digests to sha256:{entry.sha256}, its client said {digest}: register it again"
        )


def _some(names: Iterable[str], limit: int = 5) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(repr(name) for name in shown[:limit]) + more


def _write_inventory(storage: Storage, asset: UUID, spool: Path, sealed: Sealed) -> None:
    key = paths.inventory_key(asset)
    if storage.upload(key, spool):
        return
    existing = storage.open(key)
    if existing is None or digest_of_stream(existing)[0] != sealed.inventory_digest:
        raise RejectedConflict(f"{asset} was sealed with other files; a sealed asset never changes")
