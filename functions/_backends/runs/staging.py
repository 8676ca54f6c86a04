"""Fetches what a training reads, hashing every byte as it passes: what an init container does on a cluster.

What does not match its digest is refused before the script starts, whoever changed it.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from functions._backends.runs.patience import patiently
from functions._domain.digests import Digesting, digest_of_stream
from functions._domain.errors import RejectedContent
from functions._domain.inventory import InventoryLine, line, read
from functions._domain.paths import checked_path, files_prefix, image_prefix, inventory_key
from functions._domain.ports import Channel, Storage

_WORKERS = 8
_BATCH = 512
"""Files handed to the workers at once, so that a long inventory is never held whole."""


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def make_read_only(folder: Path) -> None:
    """Take the right to write from all folders below; the files have lost it already."""
    for parent, _, _ in os.walk(folder, topdown=False):
        Path(parent).chmod(0o555)


@dataclass(frozen=True)
class Stager:
    """Fetches from a bucket. ``check`` is called for every chunk, and raises to stop."""

    storage: Storage
    check: Callable[[], None]

    def channel(self, channel: Channel, folder: Path) -> None:
        """Put a dataset's files below ``folder``.

        Raises:
            RejectedContent: they are not what was registered; the message names the file.
        """
        inventory = folder.with_name(f".{folder.name}.inventory")
        folder.mkdir(parents=True)
        self._fetch(inventory_key(channel.dataset), inventory, f"dataset {channel.dataset}'s inventory")
        found, _ = digest_of_stream(_chunks(inventory))
        if found != channel.inventory_digest:
            raise RejectedContent(
                f"the inventory of dataset {channel.dataset} digests to {found}, and {channel.inventory_digest} was "
                f"registered: its bytes were changed in the store (polyglot verify {channel.dataset} says more)"
            )
        self._require_room(sum(entry.size for entry in read(_chunks(inventory))), folder)
        lines = read(_chunks(inventory))
        with ThreadPoolExecutor(_WORKERS) as pool:
            while batch := list(islice(lines, _BATCH)):
                list(pool.map(partial(self._file, channel, folder), batch))
        inventory.unlink()

    def _file(self, channel: Channel, folder: Path, expected: InventoryLine) -> None:
        name = f"file {expected.path} of dataset {channel.dataset}"
        size, digest = self._fetch(files_prefix(channel.dataset) + expected.path, folder / expected.path, name)
        if (size, digest) != (expected.size, f"sha256:{expected.sha256}"):
            raise RejectedContent(
                f"{name} is not what was registered: {size} bytes with {digest}, expected {expected.size} bytes with "
                f"sha256:{expected.sha256}; its bytes were changed in the store"
            )

    def image(self, digest: str, folder: Path) -> None:
        """Put an image folder's files below ``folder``.

        Raises:
            RejectedContent: all that is stored below its digest does not make that digest.
        """
        prefix, running, count = image_prefix(digest), hashlib.sha256(), 0
        for entry in patiently(lambda: list(self.storage.list(prefix)), self.check):
            path = self._safe(entry.key.removeprefix(prefix))
            size, found = self._fetch(entry.key, folder / path, f"file {path} of the image folder")
            running.update(line(path, size, found.removeprefix("sha256:")))
            count += 1
        if not count:
            raise RejectedContent(
                f"there is no image folder {digest} here: polyglot image push DIR, then register again"
            )
        if digest != f"sha256:{running.hexdigest()}":
            raise RejectedContent(
                f"the {count} files stored as image {digest} digest to sha256:{running.hexdigest()}: a file was added, "
                "removed, renamed or changed in the store; push the folder again to a clean store"
            )

    def _safe(self, path: str) -> str:
        try:
            return checked_path(path)
        except ValueError as error:
            raise RejectedContent(f"the image folder has a file with an unsafe name: {error}") from error

    def _fetch(self, key: str, target: Path, name: str) -> tuple[int, str]:
        """Write an object to a file that nobody may write again; returns its length and digest."""
        target.parent.mkdir(parents=True, exist_ok=True)
        found = patiently(partial(self._copy, key, target), self.check)
        if found is None:
            raise RejectedContent(f"{name} is missing in the store")
        target.chmod(0o444)
        return found

    def _copy(self, key: str, target: Path) -> tuple[int, str] | None:
        chunks = self.storage.open(key)
        if chunks is None:
            return None
        passing = Digesting(chunks)
        with target.open("wb") as file:
            for chunk in passing:
                self.check()
                file.write(chunk)
        return passing.length, passing.digest

    def _require_room(self, size: int, folder: Path) -> None:
        free = shutil.disk_usage(folder).free
        if size > free:
            raise RejectedContent(
                f"the dataset has {size} bytes and this disk has room for {free}: make room, then retry"
            )
