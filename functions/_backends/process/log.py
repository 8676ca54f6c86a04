"""What a training prints, bounded: the first bytes and the last ones are kept, and what was cut is said.

log.txt     the first ``head`` bytes; at the end the whole bounded log
log.last    the newest bytes beyond them, log.older those before; two files that take turns
"""

import os
from collections.abc import Iterator
from pathlib import Path

HEAD = TAIL = 8 << 20
_SHOWN = 1 << 20


class BoundedLog:
    """Takes what is printed; at most ``head`` + 2 × ``tail`` bytes are on disk at any time."""

    def __init__(self, folder: Path, head: int = HEAD, tail: int = TAIL) -> None:
        self._folder, self._head, self._tail = folder, head, tail
        self._room = head
        self._cut = 0
        self._file = (folder / "log.txt").open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Keep some bytes, perhaps at the cost of older ones."""
        first, rest = data[: self._room], data[self._room :]
        if first:
            self._file.write(first)
            self._room -= len(first)
        if rest:
            self._append(rest)

    def _append(self, data: bytes) -> None:
        last, older = self._folder / "log.last", self._folder / "log.older"
        if last.exists() and last.stat().st_size + len(data) > self._tail:
            self._cut += older.stat().st_size if older.exists() else 0
            last.replace(older)
        with last.open("ab") as file:
            file.write(data)

    def close(self) -> None:
        """Make ``log.txt`` the whole bounded log."""
        parts = [path for path in (self._folder / "log.older", self._folder / "log.last") if path.exists()]
        if self._cut:
            self._file.write(f"\n[{self._cut} bytes of the log were cut here]\n".encode())
        for part in parts:
            self._file.write(part.read_bytes())
            part.unlink()
        self._file.close()


def last_lines(folder: Path, lines: int) -> str:
    """The last lines printed so far, or an empty string."""
    kept = b""
    for name in ("log.last", "log.older", "log.txt"):
        if kept.count(b"\n") <= lines and len(kept) < _SHOWN:
            kept = _end_of(folder / name, _SHOWN - len(kept)) + kept
    return "".join(_last(kept.decode(errors="replace"), lines))


def _end_of(path: Path, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - length))
            return file.read(length)
    except FileNotFoundError:
        return b""


def _last(text: str, lines: int) -> Iterator[str]:
    yield from text.splitlines(keepends=True)[-lines:] if lines > 0 else ()
