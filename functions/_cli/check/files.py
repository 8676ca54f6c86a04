"""Files against an inventory: exactly those files, byte by byte, each read once.

Digesting begins before anything else is checked, since it takes longest; threads digest while the proofs are verified.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from functions._domain.inventory import InventoryLine

CHUNK = 8 << 20
"""Large, so that a thread seldom waits for Python between two pieces."""

BATCH = 1000


@dataclass(frozen=True)
class Compared:
    """What became of a comparison: what differs, by name, and how much was read."""

    problems: tuple[str, ...]
    files: int
    size: int


class Comparison:
    """A running comparison of a folder with an inventory.

    Args:
        folder: the subject's files, as `polyglot pull` writes them.
        lines: the inventory.
    """

    def __init__(self, folder: Path, lines: Sequence[InventoryLine]) -> None:
        self._folder, self._lines = folder, lines
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1))
        self._running: list[Future[list[str]]] = []
        self._size = 0

    def start(self, advance: Callable[[int], None] = lambda size: None) -> "Comparison":
        """Begin; the largest files first."""
        self._advance = advance
        self._others = self._pool.submit(lambda: sorted(self._unknown()))
        whole = sorted(self._lines, key=lambda line: -line.size)
        for start in range(0, len(whole), BATCH) if len(whole) > BATCH else range(0):
            self._running.append(self._pool.submit(self._compare, whole[start : start + BATCH]))
        if len(whole) <= BATCH:
            self._running = [self._pool.submit(self._compare, [line]) for line in whole]
        return self

    def result(self) -> Compared:
        """Wait for the end."""
        with self._pool:
            problems = [problem for future in self._running for problem in future.result()]
            extra = self._others.result()
        return Compared((*sorted(problems), *extra), len(self._lines), sum(line.size for line in self._lines))

    def _compare(self, lines: Sequence[InventoryLine]) -> list[str]:
        return [problem for line in lines if (problem := self._problem(line))]

    def _problem(self, line: InventoryLine) -> str:
        path = self._folder / line.path
        if path.is_symlink() or not path.is_file():
            return f"missing: {line.path}"
        try:
            size, digest = path.stat().st_size, self._digest(path) if path.stat().st_size == line.size else ""
        except OSError as error:
            return f"unreadable: {line.path} ({error.strerror})"
        if size != line.size:
            return f"changed: {line.path} ({size} bytes, registered with {line.size})"
        return "" if digest == line.sha256 else f"changed: {line.path}"

    def _digest(self, path: Path) -> str:
        running, buffer = hashlib.sha256(), bytearray(min(CHUNK, max(1, path.stat().st_size)))
        with path.open("rb", buffering=0) as file:
            while read := file.readinto(buffer):
                running.update(memoryview(buffer)[:read])
                self._advance(read)
        return running.hexdigest()

    def _unknown(self) -> Iterator[str]:
        """What is there and not in the inventory; links count as files, wherever they lead."""
        known = {line.path for line in self._lines}
        if not self._folder.is_dir():
            yield f"missing: the folder {self._folder}"
            return
        for here, folders, names in os.walk(self._folder):
            links = [name for name in folders if (Path(here) / name).is_symlink()]
            for name in (*names, *links):
                path = (Path(here) / name).relative_to(self._folder).as_posix()
                if path not in known or (Path(here) / name).is_symlink():
                    yield f"extra: {path}"
