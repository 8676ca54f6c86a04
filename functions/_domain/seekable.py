"""A stored object as a seekable file, so that a format is found without fetching gigabytes."""

import io
from typing import BinaryIO, cast

from functions._domain.ports import Entry, Storage

BLOCK = 1 << 18


class StoredFile(io.RawIOBase):
    """Reads an object by ranges, a block at a time; the last block is kept."""

    def __init__(self, storage: Storage, key: str, size: int) -> None:
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
            self._start, inside = self._position, 0
            self._block = self._storage.read_range(self._key, self._start, max(wanted, BLOCK))
        piece = self._block[inside : inside + wanted]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def stored_file(storage: Storage, entry: Entry) -> BinaryIO:
    """An object as a binary file with a buffer."""
    return cast(BinaryIO, io.BufferedReader(StoredFile(storage, entry.key, entry.size)))
