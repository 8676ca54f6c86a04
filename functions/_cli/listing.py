"""What a folder holds, before anything of it is sent: every file with its size and time, or a refusal that names one.

Files are in the order of their paths' UTF-8 bytes, as an inventory has them; no bytes are read here.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from functions._cli.failures import Failed
from functions._domain.errors import RejectedContent
from functions._domain.paths import checked_path, clashing_paths

LONGEST = 700
"""The most characters of a path, as the interface has it."""


class LocalFile(NamedTuple):
    """A file: where it is, its path below the asset, its size in bytes, when it was last changed (nanoseconds)."""

    source: str
    path: str
    size: int
    changed: int


def files_of(place: Path) -> list[LocalFile]:
    """All files below a folder, or the one file that ``place`` is.

    Raises:
        RejectedContent: nothing there, an empty folder, a symbolic link, a special file, or names that no asset may
            have; the message names the file and what to do.
    """
    try:
        if place.is_dir():
            found = sorted(_walk(place), key=lambda file: file.path)
        else:
            found = [_entry(str(place), place.name, place.lstat())]
    except OSError as error:
        raise RejectedContent(f"{error.filename or place} cannot be read: {error.strerror}") from error
    if not found:
        raise RejectedContent(f"{place} holds no file: an asset has at least one")
    _check_names(file.path for file in found)
    return found


def _walk(folder: Path) -> Iterator[LocalFile]:
    waiting = [(str(folder), "")]
    while waiting:
        here, prefix = waiting.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    yield _entry(entry.path, prefix + entry.name, entry.stat(follow_symlinks=False))


def _entry(source: str, path: str, found: os.stat_result) -> LocalFile:
    if stat.S_ISLNK(found.st_mode):
        raise RejectedContent(f"{source} is a symbolic link: put the file itself in its place, or leave it out")
    if not stat.S_ISREG(found.st_mode):
        raise RejectedContent(f"{source} is not a regular file (a socket, pipe or device): leave it out")
    return LocalFile(source, path, found.st_size, found.st_mtime_ns)


def _check_names(paths: Iterable[str]) -> None:
    checked = []
    for path in paths:
        try:
            checked.append(checked_path(path))
        except ValueError as error:
            raise RejectedContent(str(error)) from error
        if len(path) > LONGEST:
            raise RejectedContent(f"{path!r} is longer than {LONGEST} characters: shorten its folders' names")
    if clash := clashing_paths(checked):
        raise RejectedContent(
            f"{clash[0]!r} and {clash[1]!r} differ only in case, or one is a folder of the other: rename one of them"
        )


class Reader:
    """Reads one listed file from start to end, digests on the way, and notices where it is not what was listed."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._running = hashlib.sha256()
        self._length = 0
        try:
            self._handle = os.fdopen(os.open(file.source, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0)
        except OSError as error:
            raise self._changed() from error
        self._compare()

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes. Raises Failed where the file ends before them."""
        pieces = []
        while size:
            piece = self._handle.read(size)
            if not piece:
                raise self._changed()
            pieces.append(piece)
            self._running.update(piece)
            self._length += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> str:
        """The 64 hex digits of the file's SHA-256. Raises Failed where it changed while it was read."""
        self._compare()
        if self._length != self._file.size:
            raise self._changed()
        return self._running.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def _compare(self) -> None:
        found = os.fstat(self._handle.fileno())
        if (found.st_size, found.st_mtime_ns) != (self._file.size, self._file.changed):
            self._handle.close()
            raise self._changed()

    def _changed(self) -> Failed:
        return Failed(
            f"{self._file.source} changed while it was uploaded: nothing was registered; "
            "run the command again when nobody writes to it"
        )


def total(files: Sequence[LocalFile]) -> int:
    """The bytes of all files."""
    return sum(file.size for file in files)
