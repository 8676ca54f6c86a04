"""Choosing: results that may differ between executions are staged, and one execution is settled as the one that counts.

``runs/<asset>/chosen.json`` is written once; an asset's files, record and statement are made from it alone.
"""

from collections.abc import Mapping
from uuid import UUID

from functions._domain import paths, records
from functions._domain.digests import canonical
from functions._domain.errors import RejectedContent
from functions._domain.ports import Storage
from functions._domain.records import Document

SCHEMA = "polyglot/chosen/v1"


def choose(storage: Storage, asset: UUID, execution: str, **fields: object) -> Document:
    """Settle an execution whose results were found valid; the one chosen first stays, and is returned."""
    document: Mapping[str, object] = {"schema": SCHEMA, "execution": execution, **fields}
    storage.create(paths.chosen_key(asset), canonical(document))
    return chosen(storage, asset)


def is_chosen(storage: Storage, asset: UUID) -> bool:
    """Whether an execution was settled; then nothing needs to be executed any more."""
    return storage.stat(paths.chosen_key(asset)) is not None


def chosen(storage: Storage, asset: UUID) -> Document:
    """What was settled for an asset. Raises RejectedContent where it is not there."""
    found = records.read(storage, paths.chosen_key(asset), SCHEMA)
    if found is None:
        raise RejectedContent(f"{paths.chosen_key(asset)} disappeared")
    return found
