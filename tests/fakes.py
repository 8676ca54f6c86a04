"""Stand-ins for the outside, siblings of ``functions._backends``: each implements a port of the domain whole."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from functions._domain.errors import RejectedTooLarge, RejectedUnknown
from functions._domain.ports import Entry, Held, Presigned

CHUNK = 1 << 20


class FolderStorage:
    """A bucket that is a folder: each object is the file of its key. Creating is atomic and never overwrites.

    Presigning and uploads in parts are for clients of a real server, and raise.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._drafts = folder.with_name(f"{folder.name}.drafts")
        folder.mkdir(parents=True, exist_ok=True)
        self._drafts.mkdir(exist_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / key

    def read(self, key: str, limit: int = 64 << 20) -> bytes | None:
        chunks = self.open(key)
        data = None if chunks is None else b"".join(chunks)
        if data is not None and len(data) > limit:
            raise RejectedTooLarge(f"{key} has {len(data)} bytes, and {limit} are allowed")
        return data

    def open(self, key: str) -> Iterator[bytes] | None:
        path = self._path(key)
        return self._chunks(path) if path.is_file() else None

    def _chunks(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def read_range(self, key: str, start: int, length: int) -> bytes:
        path = self._path(key)
        if not path.is_file():
            raise RejectedUnknown(f"there is no object {key}")
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def stat(self, key: str) -> Entry | None:
        path = self._path(key)
        if not path.is_file():
            return None
        status = path.stat()
        return Entry(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def create(self, key: str, data: bytes) -> bool:
        return self._place(key, [data])

    def upload(self, key: str, path: Path) -> bool:
        return self._place(key, self._chunks(path))

    def copy(self, source: str, destination: str) -> bool:
        if not self._path(source).is_file():
            raise RejectedUnknown(f"there is no object {source}")
        return self._place(destination, self._chunks(self._path(source)))

    def _place(self, key: str, chunks: Iterator[bytes] | Sequence[bytes]) -> bool:
        draft, path = self._drafts / uuid4().hex, self._path(key)
        with draft.open("wb") as file:
            file.writelines(chunks)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        keys = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        for key in sorted((key for key in keys if key.startswith(prefix) and key > after), key=str.encode):
            entry = self.stat(key)
            if entry is not None:
                yield entry

    def folders(self, prefix: str, after: str = "") -> Iterator[str]:
        last = ""
        for entry in self.list(prefix, after):
            name, slash, _ = entry.key.removeprefix(prefix).partition("/")
            if slash and name != last:
                yield name
                last = name

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def erase(self, prefix: str) -> Held | None:
        for entry in list(self.list(prefix)):
            self.delete(entry.key)
        return None

    def presign_get(self, key: str) -> Presigned:
        raise NotImplementedError(key)

    def presign_put(self, key: str) -> Presigned:
        raise NotImplementedError(key)

    def start_parts(self, key: str) -> str:
        raise NotImplementedError(key)

    def presign_part(self, key: str, upload_id: str, number: int) -> Presigned:
        raise NotImplementedError(key)

    def complete_parts(self, key: str, upload_id: str, etags: Sequence[str]) -> bool:
        raise NotImplementedError(key)
