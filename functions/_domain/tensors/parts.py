"""Parts: what a model's files are taken apart into, and the bytes of each, found again by file, entry and offset."""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from functions._domain.digests import canonical
from functions._domain.errors import RejectedContent
from functions._domain.formats import ModelFile, archive_in

CHUNK = 1 << 20
JSON_BOUND = 8 << 20
"""The largest JSON document that is parsed: one takes some twenty times its size in memory."""

_DEEPEST = 200
_SIGNS = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
MOST_PARTS = 100_000
MOST_BYTES = 1 << 34
"""The most that is unpacked of one archive."""

ITEM = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
"""Floating-point types whose distance is measured, with their bytes."""


@dataclass(frozen=True)
class Place:
    """Where bytes are: in a file, or in an entry of an archive, from ``start`` on."""

    path: str
    entry: str
    start: int
    length: int


@dataclass(frozen=True)
class Part:
    """A tensor (``dtype`` is set), or another thing that counts; ``layout`` is how elements follow each other."""

    file: str
    name: str
    sha256: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    layout: str = ""
    place: Place | None = field(default=None, compare=False)

    @property
    def line(self) -> bytes:
        """The part as one canonical JSON line."""
        said: dict[str, object] = {"file": self.file, "name": self.name, "sha256": self.sha256}
        if self.dtype:
            said |= {"dtype": self.dtype, "shape": list(self.shape)}
        if self.layout:
            said["layout"] = self.layout
        return canonical(said) + b"\n"


def part(file: str, data: bytes, name: str = "") -> Part:
    """A part that is no tensor."""
    return Part(file, name, hashlib.sha256(data).hexdigest())


def digest_of(parts: Iterable[Part]) -> str:
    """The canonical tensor digest of all parts of a model, in any order."""
    running = hashlib.sha256()
    for line in sorted(one.line for one in parts):
        running.update(line)
    return f"sha256:{running.hexdigest()}"


def hex_of_stream(chunks: Iterable[bytes]) -> str:
    """The 64 hex digits of what passes."""
    running = hashlib.sha256()
    for chunk in chunks:
        running.update(chunk)
    return running.hexdigest()


class Source(Protocol):
    """A model's file that is open; ``entry`` is empty where it is no archive."""

    def chunks(self, entry: str = "", start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Bytes from ``start`` on, at most ``length`` of them."""


@dataclass(frozen=True)
class Flat:
    """A file that is read as it is."""

    file: ModelFile
    stream: BinaryIO

    def chunks(self, entry: str = "", start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Bytes from ``start`` on."""
        left = max(0, self.file.size - start) if length is None else length
        while left:
            self.stream.seek(start)
            chunk = self.stream.read(min(left, CHUNK))
            if not chunk:
                return
            yield chunk
            start, left = start + len(chunk), left - len(chunk)

    def take(self, start: int, length: int) -> bytes:
        """A few bytes."""
        self.stream.seek(start)
        return self.stream.read(length)


@dataclass(frozen=True)
class Zipped:
    """An archive; entries are stored or deflated, so that no few bytes of it unpack to many at once."""

    file: ModelFile
    archive: zipfile.ZipFile
    _digests: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """All entries that have content."""
        return [name for name in self.archive.namelist() if not name.endswith("/")]

    def size(self, entry: str) -> int:
        """The bytes of an entry, unpacked."""
        return self.archive.getinfo(entry).file_size

    def chunks(self, entry: str = "", start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Bytes of an entry."""
        left = self.size(entry) if length is None else length
        with self.archive.open(entry) as stream:
            stream.read(start)  # only ever a header
            while left and (chunk := stream.read(min(left, CHUNK))):
                yield chunk
                left -= len(chunk)

    def digest(self, entry: str) -> str:
        """The 64 hex digits of an entry, taken once, however often it is named."""
        if entry not in self._digests:
            self._digests[entry] = hex_of_stream(self.chunks(entry))
        return self._digests[entry]

    def document(self, entry: str) -> object:
        """An entry as JSON, or None where it is larger than what is parsed."""
        if self.size(entry) > JSON_BOUND:
            return None
        data = b"".join(self.chunks(entry))
        _require_shallow(data)
        found: object = json.loads(data)
        return found

    def whole(self, entry: str, name: str) -> Part:
        """An entry that counts as its bytes."""
        return Part(self.file.path, name, self.digest(entry))


@contextmanager
def opened(file: ModelFile, as_archive: bool) -> Iterator[Flat | Zipped]:
    """A file, opened for its parts.

    Raises:
        RejectedContent: an archive that nobody's model is.
    """
    with file.open() as stream:
        if not as_archive:
            yield Flat(file, stream)
            return
        with archive_in(stream, file, MOST_BYTES) as archive:
            _require_plain(archive.infolist())
            yield Zipped(file, archive)


def _require_plain(entries: Sequence[zipfile.ZipInfo]) -> None:
    if any(one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for one in entries):
        raise RejectedContent("it is compressed in an unusual way")
    if sum(one.file_size for one in entries) > MOST_BYTES:
        raise RejectedContent(f"it unpacks to more than {MOST_BYTES:,} bytes")


def _require_shallow(data: bytes) -> None:
    """Raises RejectedContent for JSON so deep that parsing it could overflow the stack, which ends the process."""
    level, inside = 0, False
    for match in _SIGNS.finditer(data):
        sign = match[0]
        if sign == b'"':
            inside = not inside
        elif not inside and len(sign) == 1:
            level += 1 if sign in b"[{" else -1
            if level > _DEEPEST:
                raise RejectedContent(f"its JSON is nested more than {_DEEPEST} times")


def sorted_json(document: object) -> bytes:
    """JSON with sorted keys: one value, one text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


Rule = Callable[[Zipped], Iterator[Part]]
"""Takes an archive of one format apart."""
