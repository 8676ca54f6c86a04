"""The program behind the embedded bucket: ``localbucket`` with three things of it made quicker.

- An answer leaves in one packet, without Nagle's delay: 2 ms instead of 44 ms.
- A listing walks below its prefix only, in key order, and stops after its page, instead of walking the whole bucket.
- An ETag that is not remembered from the write is made from size and time, instead of reading the whole object first.

::

    python -I -m functions._runtime.local.bucket_server <folder> <descriptor of a listening socket>
"""

import argparse
import hashlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import localbucket

_digested_etag = localbucket.object_etag
"""``localbucket``'s own: the MD5 of the bytes."""


class Handler(localbucket.S3Handler):  # type: ignore[misc]
    """Answers as ``localbucket`` does."""

    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def handle_expect_100(self) -> bool:
        """Say ``100 Continue`` at once; in the buffer it would wait for a body that waits for it."""
        going_on: bool = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _list_entries(
        self, bucket_dir: Path, prefix: str, delimiter: str, marker: str, marker_is_prefix: bool, max_keys: int
    ) -> tuple[list[tuple[str, Path]], list[str], bool, str]:
        if delimiter not in ("", "/"):
            found: tuple[list[tuple[str, Path]], list[str], bool, str] = super()._list_entries(
                bucket_dir, prefix, delimiter, marker, marker_is_prefix, max_keys
            )
            return found
        return page(bucket_dir, prefix, delimiter, first_after(marker, marker_is_prefix), max_keys)


class Server(ThreadingHTTPServer):
    """Serves on a socket that is already listening."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(listening.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what matters in the log; a client that went away does not."""
        if not isinstance(sys.exception(), ConnectionError):
            logging.exception("while answering %s", client_address)


def page(
    folder: Path, prefix: str, delimiter: str, start: bytes, size: int
) -> tuple[list[tuple[str, Path]], list[str], bool, str]:
    """One page of a listing as ``S3Handler._list_entries`` returns it: objects, prefixes, whether cut, the last."""
    objects: list[tuple[str, Path]] = []
    prefixes: list[str] = []
    last = ""
    for key, path in entries(folder, "", prefix, delimiter, start):
        if len(objects) + len(prefixes) >= size:
            return objects, prefixes, size > 0, last
        if path is None:
            prefixes.append(key)
            last = f"P:{key}"
        else:
            objects.append((key, path))
            last = f"K:{key}"
    return objects, prefixes, False, last


def entries(folder: Path, base: str, prefix: str, delimiter: str, start: bytes) -> Iterator[tuple[str, Path | None]]:
    """Keys below ``folder`` from ``start`` on in S3's order, common prefixes among them without a path.

    Sorting each folder's names by their bytes, folders with their slash, gives the order of whole keys.
    """
    try:
        names = sorted((_named(entry) for entry in os.scandir(folder)), key=lambda name: name.encode())
    except (FileNotFoundError, NotADirectoryError):  # A delete removes folders that it leaves empty.
        return
    for name in names:
        key = base + name
        if not name.endswith("/"):
            if key.startswith(prefix) and key.encode() >= start and not name.startswith(localbucket.TEMP_PREFIX):
                yield key, folder / name
        elif _may_hold(key, prefix, start):
            folded = bool(delimiter) and key.startswith(prefix) and key != prefix
            below = entries(folder / name, key, prefix, "" if folded else delimiter, start)
            if not folded:
                yield from below
            elif next(below, None):
                yield key, None


def first_after(marker: str, whole_prefix: bool) -> bytes:
    """The least key that comes after ``marker``, or after everything that begins with it."""
    encoded = marker.encode()
    if not encoded:
        return b""
    return encoded[:-1] + bytes([encoded[-1] + 1]) if whole_prefix else encoded + b"\0"


def etag(path: Path) -> str:
    """The MD5 where it is known or cheap to check; else something that changes when the object does.

    S3 itself promises no more: an ETag with a dash is not an MD5. Parts keep theirs, which a client repeats to us.
    """
    with localbucket._etag_lock:
        known = localbucket._etag_cache.get(str(path))
    if localbucket.UPLOADS_DIR in path.parts or (known and known[0] == localbucket.stat_signature(path)):
        return str(_digested_etag(path))
    return hashlib.md5(repr(localbucket.stat_signature(path)).encode(), usedforsecurity=False).hexdigest() + "-1"


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("descriptor", type=int)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    localbucket.object_etag = etag
    localbucket.S3Handler.data_root = arguments.folder.resolve()
    Server(socket.socket(fileno=arguments.descriptor)).serve_forever()


def _named(entry: os.DirEntry[str]) -> str:
    return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name


def _may_hold(folder: str, prefix: str, start: bytes) -> bool:
    """Whether some key that begins with ``folder`` begins with ``prefix`` and is at least ``start``."""
    begins = folder.encode()
    return (folder.startswith(prefix) or prefix.startswith(folder)) and (begins >= start or start.startswith(begins))


if __name__ == "__main__":
    main()
