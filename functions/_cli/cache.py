"""What the command line keeps between its calls: how far an upload has come, and receipts of what was registered.

Everything is below ``POLYGLOT_CACHE`` (default ``~/.cache/polyglot``). An upload's journal is JSON lines, appended and
never rewritten, so that a killed command loses at most its last line.
"""

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from functions._cli.listing import LocalFile


def folder() -> Path:
    """Where it is kept."""
    named = os.environ.get("POLYGLOT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named).expanduser() if named else Path(base).expanduser() / "polyglot"


def keep_receipt(asset: str, receipt: Mapping[str, object]) -> Path:
    """Write down what the ledger said of an asset; returns where."""
    path = folder() / "receipts" / f"{asset}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_text(json.dumps(receipt, indent=2, sort_keys=True) + "\n")
    partial.replace(path)
    return path


class UploadJournal:
    """How far one upload of exactly these files to this platform has come.

    Attributes:
        upload: the upload's id, or None where it was not opened yet.
        key: what its requests' idempotency keys are made from, so that sending one again is the same request.
        resumed: whether an earlier command began it.
        pages: the pages that are done.
    """

    def __init__(self, url: str, kind: str, files: Sequence[LocalFile]) -> None:
        listed = hashlib.sha256(json.dumps([url, kind]).encode())
        for file in files:
            listed.update(json.dumps(file).encode())
        self._path = folder() / "uploads" / f"{listed.hexdigest()[:40]}.jsonl"
        self._lock = threading.Lock()
        self.upload: str | None = None
        self.key = ""
        self.pages: set[int] = set()
        self._parts: dict[tuple[int, str], dict[int, str]] = {}
        self._written = 0
        self._start()
        self._load()
        self.resumed = self.upload is not None

    def opened(self, upload: str) -> None:
        """The upload was opened."""
        self.upload = upload
        self._append({"upload": upload, "key": self.key})

    def page_done(self, page: int) -> None:
        """All bytes of a page are in the store, and the platform knows."""
        self.pages.add(page)
        self._append({"page": page})

    def parts_of(self, page: int, upload_id: str) -> dict[int, str]:
        """ETags by number of the parts that are in the store already."""
        return dict(self._parts.get((page, upload_id), {}))

    def part_done(self, page: int, upload_id: str, number: int, etag: str) -> None:
        """One part is in the store."""
        self._append({"part": [page, upload_id, number, etag]})

    def upload_id_of(self, page: int) -> str:
        """The store's upload that a large file's parts were last sent to; empty where there is none."""
        return next((upload_id for known, upload_id in reversed(self._parts) if known == page), "")

    def parts_gone(self, page: int) -> None:
        """The parts of a page are of no use any more."""
        self._append({"gone": page})

    def steps(self) -> int:
        """How many steps are written down; more than before means progress."""
        return self._written

    def remove(self) -> None:
        """Forget it: the upload was accepted, or the platform no longer knows it."""
        with self._lock:
            self._path.unlink(missing_ok=True)
            self._start()

    def _start(self) -> None:
        self.upload, self.key, self.pages, self._parts = None, str(uuid4()), set(), {}

    def _load(self) -> None:
        try:
            lines = self._path.read_text().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a command that was killed

    def _take(self, entry: Mapping[str, Any]) -> None:
        if "upload" in entry:
            self.upload, self.key = str(entry["upload"]), str(entry["key"])
        elif "page" in entry:
            self.pages.add(int(entry["page"]))
        elif "gone" in entry:
            self._parts = {key: etags for key, etags in self._parts.items() if key[0] != entry["gone"]}
        else:
            page, upload_id, number, etag = entry["part"]
            self._parts.setdefault((page, upload_id), {})[number] = etag

    def _append(self, entry: Mapping[str, object]) -> None:
        with self._lock:
            self._take(entry)
            self._written += 1
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # The newline comes first, so that a line torn by a kill does not spoil the next one.
            with self._path.open("a") as journal:
                journal.write("\n" + json.dumps(entry))
