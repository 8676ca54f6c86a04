"""Digests, canonical JSON and hashing while bytes pass by.

A digest is written ``sha256:<64 hex digits>`` in our own documents, and ``{"sha256": "<hex>"}`` in in-toto's.
Canonical JSON is RFC 8785 (https://www.rfc-editor.org/rfc/rfc8785), made by the ``rfc8785`` package.

    >>> digest_of(b"")
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import rfc8785

BEHIND = 4
"""How many chunks are read ahead of digesting."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(data: bytes) -> str:
    """The digest of some bytes, as ``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of_stream(chunks: Iterable[bytes]) -> tuple[str, int]:
    """The digest and the length in bytes of a stream, read once and never held whole.

    Where it comes in several chunks, one is digested while the next is read.
    """
    rest = iter(chunks)
    first = next(rest, b"")
    running, length = hashlib.sha256(first), len(first)
    second = next(rest, None)
    if second is not None:
        length += _update_meanwhile(running, chain([second], rest))
    return f"sha256:{running.hexdigest()}", length


def _update_meanwhile(running: "hashlib._Hash", chunks: Iterable[bytes]) -> int:
    """Digests chunks in a thread of its own, a few behind who reads them; returns their length in bytes."""
    length, behind = 0, deque[Future[None]]()
    with ThreadPoolExecutor(1) as thread:
        for chunk in chunks:
            length += len(chunk)
            behind.append(thread.submit(running.update, chunk))
            if len(behind) > BEHIND:
                behind.popleft().result()
    return length


def is_digest(text: str) -> bool:
    """Whether a string has the form ``sha256:<64 lower-case hex digits>``."""
    return _DIGEST.fullmatch(text) is not None


def hex_of(digest: str) -> str:
    """The 64 hex digits of a digest."""
    return digest.removeprefix("sha256:")


def bytes_of(digest: str) -> bytes:
    """The 32 bytes of a digest, as the ledger holds them."""
    return bytes.fromhex(hex_of(digest))


def canonical(document: object) -> bytes:
    """RFC 8785 canonical JSON: one value has one encoding, so documents can be compared by digest."""
    return rfc8785.dumps(document)  # type: ignore[arg-type]


class Digesting(Iterator[bytes]):
    """Passes chunks through and digests them, so that who uses the bytes and who checks them read once.

    >>> passing = Digesting([b"ab", b"c"])
    >>> b"".join(passing), passing.length
    (b'abc', 3)
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._running = hashlib.sha256()
        self.length = 0

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._running.update(chunk)
        self.length += len(chunk)
        return chunk

    @property
    def digest(self) -> str:
        """The digest of what has passed so far."""
        return f"sha256:{self._running.hexdigest()}"
