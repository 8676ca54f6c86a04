r"""Inventories: one canonical JSON line for each file of an asset, sorted by path; the ledger holds the SHA-256 of all.

So ``sha256sum inventory.jsonl`` is the check, and a name counts as much as its bytes. Lines stream: an asset of
300,000 files is never held as one document.

    >>> line("a.txt", 1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")
    b'{"path":"a.txt","sha256":"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","size":1}\n'
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from functions._domain.digests import canonical
from functions._domain.errors import RejectedContent
from functions._domain.paths import checked_path

_HEX = re.compile(r"[0-9a-f]{64}")


class InventoryLine(NamedTuple):
    """One file: its path below the asset, its size in bytes, the 64 hex digits of its SHA-256."""

    path: str
    size: int
    sha256: str


def line(path: str, size: int, sha256: str) -> bytes:
    """The canonical line of a file, with its newline."""
    return canonical({"path": path, "sha256": sha256, "size": size}) + b"\n"


def order(path: str) -> bytes:
    """The sort key of paths: their UTF-8 bytes, as S3 lists keys."""
    return path.encode()


def digest_of_lines(lines: Iterable[InventoryLine]) -> str:
    """The digest of the inventory that these files make, in any order."""
    running = hashlib.sha256()
    for entry in sorted(lines, key=lambda entry: order(entry.path)):
        running.update(line(*entry))
    return f"sha256:{running.hexdigest()}"


def read(chunks: Iterable[bytes]) -> Iterator[InventoryLine]:
    """The files of an inventory that comes in chunks of any size.

    Raises:
        RejectedContent: not an inventory: a malformed, non-canonical or unsafe line, or lines out of order.
    """
    previous = b""
    for raw in _split(chunks):
        try:
            document = json.loads(raw)
            entry = InventoryLine(checked_path(document["path"]), document["size"], document["sha256"])
            if type(entry.size) is not int or entry.size < 0 or not _HEX.fullmatch(entry.sha256):
                raise ValueError("a size or digest has not its form")
            if line(*entry) != raw + b"\n" or not order(entry.path) > previous:
                raise ValueError("not canonical, or out of order")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RejectedContent(f"not an inventory: {raw[:200]!r} ({error})") from error
        previous = order(entry.path)
        yield entry


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        raise RejectedContent("not an inventory: the last line has no newline, so it was cut off")
