"""A stored object as a seekable file, so that a format is found without fetching gigabytes."""

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from functions._domain.errors import RejectedContent
from functions._domain.ports import Entry, Storage

BLOCK = 1 << 18


class Ranges(Protocol):
    """What is read by ranges: a bucket, or one object of it whose bytes are checked."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``, fewer at the end."""


class StoredFile(io.RawIOBase):
    """Reads an object by ranges, from the beginning of a block; what was read last is kept."""

    def __init__(self, storage: Ranges, key: str, size: int) -> None:
        super().__init__()
        self._storage, self._key, self._size = storage, key, size
        self._position, self._start, self._block = 0, 0, b""

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; positions before the start are the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill a buffer from the position."""
        wanted = min(len(buffer), max(0, self._size - self._position))
        if not wanted:
            return 0
        inside = self._position - self._start
        if not 0 <= inside < len(self._block):
            inside = self._position % BLOCK
            self._start = self._position - inside
            self._block = self._storage.read_range(self._key, self._start, max(inside + wanted, BLOCK))
        piece = self._block[inside : inside + wanted]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def stored_file(storage: Storage, entry: Entry) -> BinaryIO:
    """An object as a binary file with a buffer."""
    return cast(BinaryIO, io.BufferedReader(StoredFile(storage, entry.key, entry.size)))


@dataclass(frozen=True)
class Blocks:
    """What an object's bytes came to, read once: its SHA-256 in hex, and that of each of its blocks."""

    sha256: str
    digests: tuple[bytes, ...]

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> "Blocks":
        """Digest a stream, which is never held whole."""
        whole, digests, rest = hashlib.sha256(), list[bytes](), b""
        for chunk in chunks:
            whole.update(chunk)
            rest += chunk
            while len(rest) >= BLOCK:
                digests.append(hashlib.sha256(rest[:BLOCK]).digest())
                rest = rest[BLOCK:]
        if rest:
            digests.append(hashlib.sha256(rest).digest())
        return cls(whole.hexdigest(), tuple(digests))


@dataclass(frozen=True)
class Checked:
    """One object, of which a range is given only if its blocks are those that were digested."""

    storage: Storage
    blocks: Blocks

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``. Raises RejectedContent where one of them changed since."""
        first, last = start // BLOCK, -(-(start + length) // BLOCK)
        data = self.storage.read_range(key, first * BLOCK, (last - first) * BLOCK)
        for number in range(first, min(last, len(self.blocks.digests))):
            at = (number - first) * BLOCK
            if hashlib.sha256(data[at : at + BLOCK]).digest() != self.blocks.digests[number]:
                raise RejectedContent(f"{key} changed while it was read")
        return data[start - first * BLOCK :][:length]


def checked_file(storage: Storage, entry: Entry, blocks: Blocks) -> BinaryIO:
    """An object as a binary file whose every byte is one of those that were digested."""
    checked = Checked(storage, blocks)
    return cast(BinaryIO, io.BufferedReader(StoredFile(checked, entry.key, entry.size)))
