"""Lineage: an asset with all its ancestors and descendants, as the ledger and the index have them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from functions._domain import paths, records
from functions._domain.ports import Ledger, Storage


def of(storage: Storage, ledger: Ledger, subject: UUID) -> list[Mapping[str, Any]]:
    """The lineage of an asset, parents before children.

    Each node has ``id``, ``kind``, ``name``, ``inventory_digest``, ``address`` (None where not on the ledger yet),
    ``revoked`` and ``parents`` within the lineage.
    """
    found: dict[UUID, Mapping[str, Any]] = {}
    for asset, record in (*_ancestors(storage, subject), *_descendants(storage, subject)):
        found[asset] = record
    return [_node(ledger, asset, found[asset], found) for asset in _parents_first(found)]


def _node(ledger: Ledger, asset: UUID, record: Mapping[str, Any], known: Mapping[UUID, Any]) -> Mapping[str, Any]:
    contract = ledger.find(asset)
    return {
        "id": asset,
        "kind": record["kind"],
        "name": record["name"],
        "inventory_digest": record["inventory"]["digest"],
        "address": contract.address if contract else None,
        "revoked": bool(contract and contract.revoked),
        "parents": [UUID(one) for one in record["parents"] if UUID(one) in known],
    }


def _ancestors(storage: Storage, subject: UUID) -> Iterator[tuple[UUID, Mapping[str, Any]]]:
    yield from _reached(storage, subject, lambda _, record: [UUID(parent) for parent in record["parents"]])


def _descendants(storage: Storage, subject: UUID) -> Iterator[tuple[UUID, Mapping[str, Any]]]:
    yield from _reached(storage, subject, lambda asset, _: _children(storage, asset))


def _children(storage: Storage, asset: UUID) -> Iterator[UUID]:
    """The index is a hint: only whose record names the parent is its child."""
    for entry in storage.list(paths.child_key(asset)):
        with suppress(ValueError):
            child = UUID(entry.key.rpartition("/")[2])
            if str(asset) in (records.of_asset(storage, child) or {}).get("parents", ()):
                yield child


def _reached(
    storage: Storage, subject: UUID, onward: Callable[[UUID, Mapping[str, Any]], Iterable[UUID]]
) -> Iterator[tuple[UUID, Mapping[str, Any]]]:
    seen, todo = {subject}, [subject]
    while todo:
        asset = todo.pop()
        record = records.of_asset(storage, asset)
        if record is not None:
            yield asset, record
            fresh = [one for one in onward(asset, record) if one not in seen]
            seen.update(fresh)
            todo += fresh


def _parents_first(found: Mapping[UUID, Mapping[str, Any]]) -> list[UUID]:
    ordered: list[UUID] = []
    visited: set[UUID] = set()

    def visit(asset: UUID) -> None:
        if asset in visited or asset not in found:
            return
        visited.add(asset)
        for parent in found[asset]["parents"]:
            visit(UUID(parent))
        ordered.append(asset)

    for asset in found:
        visit(asset)
    return ordered
