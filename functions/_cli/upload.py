"""Uploading a folder or file of any size: digested here in the same read, sent straight to the object store.

Small files are read once, a page of them is presigned, and the very bytes that were digested are sent. Large ones go in
parts (``functions._cli.parts``). While the bodies of one page are on their way, the next is read and presigned. Pages
follow from the listing alone, so a command that was broken off goes on where it was: what a journal says is done is
read again for its digest, not sent again.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from functions._cli.cache import UploadJournal
from functions._cli.client import Client
from functions._cli.listing import LocalFile, Reader, files_of, total
from functions._cli.output import Advance, counted, progress, say
from functions._cli.parts import PartsSender
from functions._cli.store import Store, UnavailableAccess
from functions._cli.workers import Workers
from functions._domain.errors import RejectedConflict, RejectedUnknown
from functions._domain.inventory import line

SMALL = 8 * 2**20
"""Files up to this many bytes are sent whole."""
PAGE_FILES, PAGE_BYTES = 1000, 32 * 2**20
"""The most of one page; two pages are in memory at a time."""
CONNECTIONS = 8


@dataclass(frozen=True)
class Page:
    """Small files by their positions in the listing, asked for as one page; or one large file, and its completion."""

    number: int
    positions: tuple[int, ...]
    large: bool = False


@dataclass(frozen=True)
class Uploaded:
    """A finished upload: its id, which is the asset's, and the digest of the inventory that it must be sealed with."""

    id: str
    inventory_digest: str
    files: int
    size: int
    journal: UploadJournal

    def register(self, client: Client, route: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Register it; by a later command too, the same body is the same request."""
        key = str(uuid5(NAMESPACE_URL, f"{self.journal.key} {route} {json.dumps(body, sort_keys=True)}"))
        try:
            accepted: dict[str, Any] = client.post(route, body, key=key)
        except (RejectedUnknown, RejectedConflict):
            self.journal.remove()  # or the same upload would be refused for ever
            raise
        self.journal.remove()
        return accepted


def upload(client: Client, kind: str, place: Path) -> Uploaded:
    """Upload a folder or file as the files of a new asset.

    Raises:
        RejectedContent: the files cannot be an asset's; nothing was sent.
        Failed: a file changed while it was read.
        Unavailable: the platform or the store does not answer; the same command goes on where it was.
    """
    files = files_of(place.absolute())
    journal = UploadJournal(client.place.url, kind, files)
    if journal.resumed:
        say(f"going on with the upload {journal.upload}")
    try:
        digests = _upload(client, kind, files, journal)
    except (RejectedUnknown, RejectedConflict) as error:
        journal.remove()
        if not journal.resumed:
            raise
        say(f"that upload cannot be gone on with ({error}): beginning a new one")
        digests = _upload(client, kind, files, journal)
    inventory = hashlib.sha256()
    for file, digest in zip(files, digests, strict=True):  # in the order that an inventory has
        inventory.update(line(file.path, file.size, digest.hex()))
    return Uploaded(str(journal.upload), f"sha256:{inventory.hexdigest()}", len(files), total(files), journal)


def pages(files: Sequence[LocalFile]) -> Iterator[Page]:
    """How a listing is asked for: small files by pages, then each large file with two numbers of its own."""
    number, held, size = 0, list[int](), 0
    for position, file in enumerate(files):
        if file.size > SMALL:
            continue
        if held and (len(held) == PAGE_FILES or size + file.size > PAGE_BYTES):
            yield Page(number, tuple(held))
            number, held, size = number + 1, [], 0
        held.append(position)
        size += file.size
    if held:
        yield Page(number, tuple(held))
        number += 1
    for position, file in enumerate(files):
        if file.size > SMALL:
            yield Page(number, (position,), large=True)
            number += 2


def _upload(client: Client, kind: str, files: Sequence[LocalFile], journal: UploadJournal) -> list[bytes]:
    while True:
        before = journal.steps()
        if journal.upload is None:
            journal.opened(client.post("/v1/uploads", {"kind": kind}, key=str(uuid4()))["id"])
        label = f"uploading {counted(len(files), total(files))}"
        say(label)
        try:
            with progress(label, total(files)) as advance, Workers(CONNECTIONS, 2 * PAGE_FILES) as workers:
                return _Sending(client, files, journal, workers, advance).run()
        except UnavailableAccess:
            # Presigned URLs expire; while each round brings some parts home, it is worth another.
            if journal.steps() == before:
                raise
            say("the right to upload has expired: asking for a new one")


class _Sending:
    """One pass over all pages. A page is begun (read, presigned, handed to the workers), later settled."""

    def __init__(
        self, client: Client, files: Sequence[LocalFile], journal: UploadJournal, workers: Workers, advance: Advance
    ) -> None:
        self._client, self._files, self._journal = client, files, journal
        self._workers, self._advance = workers, advance
        self._store = Store(CONNECTIONS)
        self._digests = [b""] * len(files)
        self._route = f"/v1/uploads/{journal.upload}"

    def run(self) -> list[bytes]:
        """Send what is not there yet; returns every file's SHA-256, in the listing's order."""
        begun: deque[Callable[[], None]] = deque()
        parts = PartsSender(self._client, self._store, self._journal, self._workers, self._advance)
        for page in pages(self._files):
            while len(begun) > 1:
                begun.popleft()()
            if page.large:
                position = page.positions[0]
                digest, settle = parts.begin(page.number, self._files[position])
                self._digests[position] = digest
                begun.append(settle)
            else:
                begun.append(self._begin(page))
        for settle in begun:
            settle()
        return self._digests

    def _begin(self, page: Page) -> Callable[[], None]:
        if page.number in self._journal.pages:
            for position in page.positions:
                self._advance(len(self._read(position)))
            return lambda: None
        bodies = [self._read(position) for position in page.positions]
        entries = [self._entry(position) for position in page.positions]
        answer = self._client.post(f"{self._route}/files", {"page": page.number, "files": entries})["files"]
        sent: list[Future[None]] = []
        for number, presigned in enumerate(answer):
            # The worker takes the only reference, so that a page's memory goes as its bodies are sent.
            body, bodies[number] = bodies[number], b""
            sent.append(self._workers.submit(self._send, presigned, body))
            del body
        return lambda: self._settle(page, sent)

    def _settle(self, page: Page, sent: Sequence["Future[None]"]) -> None:
        self._workers.settle(sent)
        self._journal.page_done(page.number)

    def _send(self, presigned: dict[str, object], body: bytes) -> None:
        put = presigned.get("put")
        if isinstance(put, dict) and not presigned.get("present"):
            self._store.put(put, body)
        self._advance(len(body))

    def _read(self, position: int) -> bytes:
        reader = Reader(self._files[position])
        try:
            body = reader.read(self._files[position].size)
            self._digests[position] = bytes.fromhex(reader.finish())
        finally:
            reader.close()
        return body

    def _entry(self, position: int) -> dict[str, object]:
        file = self._files[position]
        return {"path": file.path, "size": file.size, "sha256": f"sha256:{self._digests[position].hex()}"}
