"""Sending one large file: read once from start to end, digested in that order, its parts sent side by side.

The store has each part when its ETag comes back; the journal keeps it, so a broken upload sends only what is missing.
Only the platform can make the file's object of the parts.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from functions._cli.cache import UploadJournal
from functions._cli.client import Client
from functions._cli.listing import LocalFile, Reader
from functions._cli.output import Advance
from functions._cli.store import Store, UnavailableUpload
from functions._cli.workers import Workers
from functions._domain.errors import Rejected, RejectedRequest

PART, MOST = 8 * 2**20, 10_000
"""The size of a part in bytes, larger only where a file would have more than ``MOST`` of them."""
HELD = 12 * PART
"""About how many bytes of parts are in memory at a time."""


def part_size(size: int) -> int:
    """The bytes of every part but the last, a whole number of MiB."""
    return max(PART, -(-size // (MOST * 2**20)) * 2**20)


class _Part(NamedTuple):
    page: int
    upload_id: str
    number: int
    weight: int


class PartsSender:
    """Sends large files, one being read while the last parts of the one before are on their way."""

    def __init__(
        self, client: Client, store: Store, journal: UploadJournal, workers: Workers, advance: Advance
    ) -> None:
        self._client, self._store, self._journal = client, store, journal
        self._workers, self._advance = workers, advance
        self._route = f"/v1/uploads/{journal.upload}"
        # Only the reading thread takes room, so taking several units one by one cannot lock up.
        self._room = threading.Semaphore(HELD // PART)

    def begin(self, page: int, file: LocalFile) -> tuple[bytes, Callable[[], None]]:
        """Read a file and hand its parts to the workers; returns its SHA-256, and what waits and completes it."""
        size = part_size(file.size)
        count = -(-file.size // size)
        if page in self._journal.pages:
            return self._read(file, size, lambda number, body: self._advance(len(body))), lambda: None
        answer = self._ask(page, {"path": file.path, "size": file.size, "parts": count})
        upload_id = str(answer.get("upload_id") or "")
        known = self._journal.parts_of(page, upload_id)
        sent: list[Future[None]] = []
        weight = min(-(-size // PART), HELD // PART)

        def take(number: int, body: bytes) -> None:
            if number in known or answer.get("present"):
                self._advance(len(body))
                return
            for _ in range(weight):
                self._room.acquire()
            part = _Part(page, upload_id, number, weight)
            sent.append(self._workers.submit(self._send, part, answer["parts"][number - 1], body))

        digest = self._read(file, size, take)
        return digest, lambda: self._complete(page, file, digest, upload_id, sent)

    def _ask(self, page: int, entry: dict[str, object]) -> dict[str, Any]:
        """Presigned parts, of the upload that an earlier try began where the platform can still do that."""
        known = self._journal.upload_id_of(page)
        for asked in (entry | {"upload_id": known}, entry) if known else (entry,):
            try:
                files = self._client.post(f"{self._route}/files", {"page": page, "files": [asked]})["files"]
                return dict(files[0])
            except RejectedRequest:
                if "upload_id" not in asked:
                    raise
        raise AssertionError("the last try returns or raises")

    def _read(self, file: LocalFile, size: int, take: Callable[[int, bytes], None]) -> bytes:
        reader = Reader(file)
        try:
            for number, start in enumerate(range(0, file.size, size), 1):
                take(number, reader.read(min(size, file.size - start)))
            return bytes.fromhex(reader.finish())
        finally:
            reader.close()

    def _send(self, part: _Part, presigned: Mapping[str, Any], body: bytes) -> None:
        try:
            etag = self._store.put(presigned, body)
            self._journal.part_done(part.page, part.upload_id, part.number, etag)
            self._advance(len(body))
        except UnavailableUpload:
            self._journal.parts_gone(part.page)
            raise
        finally:
            self._room.release(part.weight)

    def _complete(self, page: int, file: LocalFile, digest: bytes, upload_id: str, sent: list["Future[None]"]) -> None:
        self._workers.settle(sent)
        etags = self._journal.parts_of(page, upload_id)
        entry = {
            "path": file.path,
            "size": file.size,
            "sha256": f"sha256:{digest.hex()}",
            "upload_id": upload_id,
            "etags": [etags[number] for number in sorted(etags)],
        }
        try:
            self._client.post(f"{self._route}/complete", {"page": page + 1, "files": [entry]})
        except Rejected:
            self._journal.parts_gone(page)  # or the same parts would be refused for ever
            raise
        self._journal.page_done(page)
