"""The two sides of a comparison: a model's files, digested, and taken apart into tensors.

The original's digests are the ledger's, and its bytes are checked against them, block by block as they are read. The
reproduced files lie below ``runs/<request>/<execution>/model/``; what is said of them is what was digested here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from functions._domain import inventory, paths, tensors
from functions._domain.digests import Digesting
from functions._domain.errors import RejectedContent
from functions._domain.formats import ModelFile
from functions._domain.inventory import InventoryLine, order
from functions._domain.ports import Contract, Storage
from functions._domain.sealing import digested
from functions._domain.seekable import Blocks, checked_file, stored_file

MOST_BYTES, MOST_FILES = 8 << 30, 10_000
"""The largest model that is taken apart into tensors: each side is then read twice within a function's time."""


@dataclass
class Side:
    """One of the two trainings: what the model's files digest to, and what is known of how it was made.

    ``parts`` and ``tensors``, their canonical digest, are None where the model was not taken apart.
    """

    name: str
    inventory: str
    environment: Mapping[str, Any]
    isolation: Mapping[str, Any]
    files: Sequence[ModelFile] = ()
    parts: list[tensors.Part] | None = None
    tensors: str | None = None

    def take_apart(self, files: Callable[[], Sequence[ModelFile]]) -> list[str]:
        """Read the model's tensors; returns why that could not be done, if it could not."""
        try:
            self.files = files()
            self.parts = tensors.read(self.files)
        except RejectedContent as error:
            return [f"tensors were not compared, since those of the {self.name} model cannot be read: {error}"]
        self.tensors = tensors.digest_of(self.parts)
        return []


def digest_files(storage: Storage, prefix: str, spool: Path) -> tuple[str, int, int]:
    """Digest all files below a prefix into an inventory; returns its digest, their number and bytes."""
    files = size = 0

    def lines() -> Iterator[bytes]:
        nonlocal files, size
        for entry in digested(storage, prefix):
            files, size = files + 1, size + entry.size
            yield inventory.line(*entry)

    passing = Digesting(lines())
    with spool.open("wb") as file:
        file.writelines(passing)
    if not files:
        raise RejectedContent(f"the results below {prefix} are gone: ask for the reproduction again")
    return passing.digest, files, size


def files_differing(storage: Storage, asset: UUID, contract: Contract, spool: Path) -> int | None:
    """How many paths have other bytes, or are on one side only; None where the original's inventory was changed."""
    passing = Digesting(storage.open(paths.inventory_key(asset)) or ())
    with spool.open("rb") as file:
        sides = (inventory.read(passing), inventory.read(iter(partial(file.read, 1 << 20), b"")))
        both = merge(*sides, key=lambda line: order(line.path))
        try:
            count = sum(len({tuple(line) for line in group}) > 1 or len(group) == 1 for group in _by_path(both))
        except RejectedContent:
            count = -1
    if count < 0 or passing.digest != contract.inventory_digest:
        return None
    return count


def _by_path(lines: Iterable[InventoryLine]) -> Iterator[list[InventoryLine]]:
    for _, group in groupby(lines, key=lambda line: line.path):
        yield list(group)


def staged(storage: Storage, prefix: str) -> list[ModelFile]:
    """The reproduced model's files."""
    return [
        ModelFile(entry.key[len(prefix) :], entry.size, partial(stored_file, storage, entry))
        for entry in storage.list(prefix)
    ]


def registered(storage: Storage, asset: UUID, contract: Contract) -> list[ModelFile]:
    """The original's files, as registered.

    Raises:
        RejectedContent: the inventory is not the registered one; when opened, that a file is not.
    """
    passing = Digesting(storage.open(paths.inventory_key(asset)) or ())
    lines = list(inventory.read(passing))
    if passing.digest != contract.inventory_digest:
        raise RejectedContent("its inventory.jsonl is not the registered one")
    return [_registered_file(storage, asset, line) for line in lines]


def _registered_file(storage: Storage, asset: UUID, line: InventoryLine) -> ModelFile:
    """A file that is digested before it is first opened; each block is then checked as it is read."""
    key = paths.files_prefix(asset) + line.path
    blocks: list[Blocks] = []

    def opening() -> BinaryIO:
        entry = storage.stat(key)
        if entry is None:
            raise RejectedContent("it is missing")
        if not blocks:
            blocks.append(Blocks.of(storage.open(key) or ()))
        if blocks[0].sha256 != line.sha256:
            raise RejectedContent("it is not what was registered")
        return checked_file(storage, entry, blocks[0])

    return ModelFile(line.path, line.size, opening)
