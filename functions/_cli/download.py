"""Pulling an asset: its inventory must be the ledger's, and every file the inventory's, before it gets its name.

The ledger holds the SHA-256 of ``inventory.jsonl``; each of its lines holds a file's path, size and SHA-256. A file is
digested in the same read that writes it, under another name, and renamed when size and digest are right.
"""

import hashlib
import os
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from functions._cli.client import Client
from functions._cli.failures import Failed
from functions._cli.output import counted, progress, say
from functions._cli.store import TRIES, Store
from functions._cli.workers import Workers
from functions._domain.digests import digest_of_stream
from functions._domain.errors import RejectedConflict, RejectedContent, RejectedUnknown, Unavailable
from functions._domain.inventory import InventoryLine, read

CONNECTIONS, BEGUN = 8, 64
CHUNK = 2**20
PARTIAL = (".polyglot-", ".part")
"""How the name of a file begins and ends while it is being written."""


@dataclass(frozen=True)
class Pulled:
    """A finished download; ``revoked`` is why and when (RFC 3339) its asset was revoked, None where it was not."""

    id: str
    kind: str
    files: int
    inventory_digest: str
    revoked: dict[str, str] | None = None


def pull(client: Client, asset: str, folder: Path, *, accept_unequal: bool = False) -> Pulled:
    """Bring exactly an asset's files below a folder.

    Raises:
        Failed: the platform's bytes are not the ledger's, they were erased, or there is no trained model or contract
            yet.
        RejectedConflict: the folder holds something else, or the translation is not equal and that was not accepted.
    """
    subject = _subject(client, asset)
    if subject.get("verdict") == "not-equal" and not accept_unequal:
        raise RejectedConflict(
            f"the translation {subject['id']} does not compute the same as its model "
            f"(`polyglot show {subject['id']}` has the figures): add --accept-unequal, or pull the model itself"
        )
    digest, revoked = _expected(client, subject)
    store, route = Store(CONNECTIONS), f"/v1/assets/{subject['id']}/files/"
    lines = _inventory(client, store, route, digest)
    missing = _missing(folder, lines)
    size = sum(line.size for line in missing)
    say(f"downloading {counted(len(missing), size)} of {len(lines):,}")
    folder.mkdir(parents=True, exist_ok=True)
    with progress("downloading", size) as advance, Workers(CONNECTIONS, BEGUN) as workers:

        def go_on(size: int) -> None:
            if workers.stopping:
                raise Failed("not needed any more: another file failed")
            advance(size)

        fetch = _Fetch(client, store, route, folder, go_on)
        begun: deque[Future[None]] = deque()
        for line in missing:
            begun.append(workers.submit(fetch, line))
            if len(begun) > BEGUN:  # 300,000 futures would be most of the memory
                workers.settle([begun.popleft()])
        workers.settle(begun)
    return Pulled(subject["id"], subject["kind"], len(lines), digest, revoked)


def _subject(client: Client, asset: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/v1/assets/{asset}")
    if answer["kind"] != "model":
        return answer
    if not answer.get("trained_model"):
        raise Failed(f"the model {asset} has no trained model yet: `polyglot status {asset}` tells why")
    _warn_of_revocation(f"the model {asset}, by which it was trained,", answer.get("contract") or {})
    trained: dict[str, Any] = client.get(f"/v1/assets/{answer['trained_model']}")
    return trained


def _expected(client: Client, subject: dict[str, Any]) -> tuple[str, dict[str, str] | None]:
    """The inventory digest on the ledger, and whether the asset was revoked. Raises Failed."""
    asset = subject["id"]
    try:
        contract = client.get(f"/v1/assets/{asset}/contract")
    except RejectedUnknown as error:
        raise Failed(f"{asset} is not on the ledger yet, so nothing can be checked: {error}") from error
    revoked = _warn_of_revocation(f"{subject['kind']} {asset}", contract)
    if subject.get("erased"):
        raise Failed(
            f"{asset} was erased on {subject['erased'][:10]}: its files are gone, its record and evidence stay"
        )
    return str(contract["inventory_digest"]), revoked


def _warn_of_revocation(what: str, contract: dict[str, Any]) -> dict[str, str] | None:
    """Say so where an asset was revoked; returns why and when."""
    if not contract.get("revoked"):
        return None
    at, reason = contract.get("revoked_at"), contract.get("revoked_reason") or ""
    time = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""
    say(f"WARNING: {what} was REVOKED{f' on {time[:10]}' if time else ''}: {reason or 'nobody knows why any more'}")
    say("WARNING: its owner says that it should no longer be used")
    return {"reason": reason, "time": time}


def inventory_text(client: Client, asset: str, expected: str) -> str:
    """An asset's inventory as stored. Raises Failed where it is not the expected one."""
    return _inventory_bytes(client, Store(1), f"/v1/assets/{asset}/files/", expected).decode()


def _inventory_bytes(client: Client, store: Store, route: str, expected: str) -> bytes:
    with tempfile.TemporaryFile() as kept:
        try:
            found, _ = _stream(client, store, route, kept, lambda size: None)
        except Failed as error:
            raise Failed(f"the inventory is {error}") from error
        if found != expected:
            raise Failed(f"the inventory is not the ledger's: expected {expected}, found {found}")
        kept.seek(0)
        return kept.read()


def _inventory(client: Client, store: Store, route: str, expected: str) -> list[InventoryLine]:
    try:
        return list(read([_inventory_bytes(client, store, route, expected)]))
    except RejectedContent as error:
        raise Failed(str(error)) from error


def _missing(folder: Path, lines: list[InventoryLine]) -> list[InventoryLine]:
    """What is not there yet. Raises RejectedConflict where something is there that is not the asset's."""
    wanted = {line.path: line for line in lines}
    for path in _files_below(folder):
        line = wanted.get(path)
        here = folder / path
        if line is None and here.name.startswith(PARTIAL[0]) and here.name.endswith(PARTIAL[1]):
            here.unlink()  # left by a pull that was killed
        elif line is None:
            raise RejectedConflict(f"{here} is no file of this asset: pull into an empty folder")
        elif not _is_right(here, line):
            raise RejectedConflict(f"{here} differs from the asset's: remove it, or pull into an empty folder")
        else:
            del wanted[path]
    return [line for line in lines if line.path in wanted]


def _files_below(folder: Path) -> Iterator[str]:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RejectedConflict(f"{folder} is not a folder")
    for here, folders, files in os.walk(folder):
        for name in folders:
            # Writing below a link would write elsewhere.
            if (Path(here) / name).is_symlink():
                raise RejectedConflict(f"{Path(here) / name} is a symbolic link: pull into an empty folder")
        yield from ((Path(here) / name).relative_to(folder).as_posix() for name in files)


def _is_right(path: Path, line: InventoryLine) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != line.size:
        return False
    with path.open("rb") as handle:
        return digest_of_stream(iter(lambda: handle.read(CHUNK), b"")) == (f"sha256:{line.sha256}", line.size)


@dataclass(frozen=True)
class _Fetch:
    client: Client
    store: Store
    route: str
    folder: Path
    advance: Callable[[int], None]

    def __call__(self, line: InventoryLine) -> None:
        """Bring one file to its place, or leave nothing there."""
        target = self.folder / line.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with _partial_beside(target) as partial:
            try:
                with partial.open("xb") as handle:
                    path = self.route + quote(line.path)
                    found = _stream(self.client, self.store, path, handle, self.advance, line.size)
            except Failed as error:
                raise Failed(f"{line.path} is {error}") from error
            if found != (f"sha256:{line.sha256}", line.size):
                raise Failed(
                    f"{line.path} is not what was registered: expected sha256:{line.sha256} of {line.size} bytes, "
                    f"found {found[0]} of {found[1]}; it was not kept"
                )
            partial.replace(target)


@contextmanager
def _partial_beside(target: Path) -> Iterator[Path]:
    partial = target.with_name(PARTIAL[0] + secrets.token_hex(6) + PARTIAL[1])
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _stream(
    client: Client, store: Store, path: str, target: IO[bytes], advance: Callable[[int], None], most: int | None = None
) -> tuple[str, int]:
    """Write what a path redirects to; a broken connection goes on where it was. Returns digest and length."""
    from urllib3.exceptions import HTTPError

    running, length = hashlib.sha256(), 0
    for attempt in range(1, TRIES + 1):
        try:
            response = store.get(client.location(path), length)
        except RejectedUnknown as error:
            raise Failed("not in the store") from error
        if length and response.status != 206:
            target.seek(0)
            target.truncate()
            running, length = hashlib.sha256(), 0
        try:
            for chunk in response.stream(CHUNK, decode_content=False):
                running.update(chunk)
                target.write(chunk)
                length += len(chunk)
                advance(len(chunk))
                if most is not None and length > most:
                    raise Failed(f"longer than the {most} bytes that were registered; it was not kept")
            return f"sha256:{running.hexdigest()}", length
        except HTTPError as error:
            trouble = error
            time.sleep(0.2 * attempt)
        finally:
            response.release_conn()
    raise Unavailable(f"the object store breaks off at {path} ({trouble}); the same command goes on where it was")
