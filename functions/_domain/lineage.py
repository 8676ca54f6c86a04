"""Lineage: an asset with all its ancestors and descendants, as the ledger and the index have them."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from functions._domain import records
from functions._domain.ports import Ledger, Storage


def of(storage: Storage, ledger: Ledger, subject: UUID) -> list[Mapping[str, Any]]:
    """The lineage of an asset, parents before children.

    Each node has ``id``, ``kind``, ``name``, ``inventory_digest``, ``address`` (None where not on the ledger yet) and
    ``parents`` within the lineage.
    """
    found: dict[UUID, Mapping[str, Any]] = {}
    for asset in (*_ancestors(storage, subject), *_descendants(storage, subject)):
        record = records.of_asset(storage, asset)
        if record is not None:
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
        "parents": [UUID(one) for one in record["parents"] if UUID(one) in known],
    }


def _ancestors(storage: Storage, asset: UUID) -> Iterator[UUID]:
    yield asset
    record = records.of_asset(storage, asset)
    for parent in (record or {}).get("parents", ()):
        yield from _ancestors(storage, UUID(parent))


def _descendants(storage: Storage, asset: UUID) -> Iterator[UUID]:
    prefix = f"index/parent/{asset}/"
    for entry in storage.list(prefix):
        child = UUID(entry.key[len(prefix) :])
        yield child
        yield from _descendants(storage, child)


def _parents_first(found: Mapping[UUID, Mapping[str, Any]]) -> list[UUID]:
    ordered: list[UUID] = []

    def visit(asset: UUID) -> None:
        if asset in ordered or asset not in found:
            return
        for parent in found[asset]["parents"]:
            visit(UUID(parent))
        ordered.append(asset)

    for asset in found:
        visit(asset)
    return ordered
