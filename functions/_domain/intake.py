"""Intake: how what somebody asks becomes a request that every later step can read.

An accepted request is ``requests/<id>.json``, written once; ``open/<asset>/<id>`` stands until its chain has ended.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from functions._domain import journal, paths, records
from functions._domain.digests import canonical
from functions._domain.errors import (
    RejectedConflict,
    RejectedForbidden,
    RejectedRequest,
    RejectedTooLarge,
    RejectedUnknown,
)
from functions._domain.events import Event
from functions._domain.identity import derive, request_id
from functions._domain.ports import Ports, Storage
from functions._domain.sealing import Expected

if TYPE_CHECKING:
    from functions._domain.requests import FileEntry

SCHEMA = "polyglot/request/v1"

MOST_FILES, MOST_BYTES = 300_000, 64 * 2**30
"""What a function can digest within its 600 s at 110 MB/s, a modest store's speed."""


@dataclass(frozen=True)
class Principal:
    """Who asks: the token's subject, and its roles."""

    subject: str
    roles: frozenset[str]

    def require_owner(self, owner: str) -> None:
        """Raises RejectedForbidden where somebody else owns it and this is no operator."""
        if self.subject != owner and "operator" not in self.roles:
            raise RejectedForbidden(f"this belongs to {owner!r}: ask them, or use an operator's token")


@dataclass(frozen=True)
class Request:
    """What was asked, by whom, when; ``asset`` is what it is about or will make."""

    id: UUID
    route: str
    tenant: str
    principal: str
    time: str
    asset: UUID
    body: Mapping[str, Any]


def accept(
    ports: Ports,
    principal: Principal,
    route: str,
    key: str | None,
    body: Mapping[str, Any],
    asset: UUID | None = None,
) -> Request:
    """Write down a request, or find the same one accepted before.

    Args:
        ports: the outside.
        principal: who asks.
        route: the last part of the path asked at, ``datasets``.
        key: the client's ``Idempotency-Key``; a random one where None.
        body: JSON, as validated.
        asset: what it is about; the request's own id where it makes a new asset.

    Raises:
        RejectedConflict: the same key came before with another body.
    """
    identifier = request_id(ports.tenant, principal.subject, route, key or secrets.token_hex(16))
    request = Request(
        identifier,
        route,
        ports.tenant,
        principal.subject,
        journal.stamp(ports.now()),
        asset or identifier,
        body,
    )
    return store(ports.storage, request)


def store(storage: Storage, request: Request) -> Request:
    """Write a request that is not there yet; returns the one that counts."""
    document = {
        "schema": SCHEMA,
        "id": str(request.id),
        "route": request.route,
        "tenant": request.tenant,
        "principal": request.principal,
        "time": request.time,
        "asset": str(request.asset),
        "body": request.body,
    }
    if storage.create(paths.request_key(request.id), canonical(document)):
        return request
    earlier = load(storage, request.id)
    if canonical(earlier.body) != canonical(request.body) or earlier.asset != request.asset:
        raise RejectedConflict("this Idempotency-Key was used before with another body: use a new key")
    return earlier


def open_chain(storage: Storage, request: Request) -> None:
    """Have the sweep watch a request until its chain has ended."""
    storage.create(paths.open_key(request.asset, request.id), b"")


def find(storage: Storage, identifier: UUID) -> Request | None:
    """An accepted request, or None."""
    document = records.read(storage, paths.request_key(identifier), SCHEMA)
    if document is None:
        return None
    return Request(
        UUID(document["id"]),
        document["route"],
        document["tenant"],
        document["principal"],
        document["time"],
        UUID(document["asset"]),
        document["body"],
    )


def load(storage: Storage, identifier: UUID) -> Request:
    """An accepted request. Raises RejectedUnknown where there is none."""
    request = find(storage, identifier)
    if request is None:
        raise RejectedUnknown(f"there is no request {identifier}")
    return request


def named(storage: Storage, event: Event, route: str) -> Request:
    """The request that an event names in its data, which must have asked this of the event's subject.

    Raises:
        RejectedRequest: it did not. The event is at fault then, and leaves no mark.
    """
    name = str(event.data.get("request", ""))
    try:
        request = find(storage, UUID(name))
    except ValueError:
        request = None
    if request is None or request.route != route or request.asset != event.subject:
        raise RejectedRequest(f"{name!r} is no request to /v1/{route} about {event.subject}")
    return request


def submission_key(upload: UUID) -> str:
    """Names the registration that an upload belongs to."""
    return f"requests/{upload}/submitted.json"


def require_claimable(storage: Storage, principal: Principal, upload: UUID, kind: str, route: str) -> None:
    """Raises where an upload cannot be registered so: unknown, somebody else's, of another kind, or without files."""
    opened = find(storage, upload)
    if opened is None or opened.route != "uploads":
        raise RejectedUnknown(f"there is no upload {upload}: open one with POST /v1/uploads")
    principal.require_owner(opened.principal)
    if opened.body["kind"] != kind:
        raise RejectedConflict(f"upload {upload} was opened for a {opened.body['kind']}, {route} takes a {kind}")
    if next(storage.list(f"requests/{upload}/expected-"), None) is None:
        raise RejectedConflict(
            f"upload {upload} has no files: announce them with POST /v1/uploads/{upload}/files first"
        )


def claim_upload(storage: Storage, upload: UUID, request: UUID) -> None:
    """Bind an upload to one registration. Raises RejectedConflict where another request registered it."""
    key, document = submission_key(upload), {"schema": SCHEMA, "request": str(request)}
    if not storage.create(key, canonical(document)) and records.read(storage, key, SCHEMA) != document:
        raise RejectedConflict(f"upload {upload} was registered already by another request: open a new upload")


def require_not_cleared(storage: Storage, upload: UUID) -> None:
    """Raises RejectedUnknown where an upload was cleared away, as too old, just when it was claimed."""
    if storage.stat(paths.request_key(upload)) is None:
        storage.delete(submission_key(upload))
        raise RejectedUnknown(f"there is no upload {upload} any more, it was given up for too long: open a new one")


def origin(storage: Storage, asset: UUID) -> Request | None:
    """The request that asked for an asset, or None where a step made it or it was never submitted."""
    request = find(storage, asset)
    if request is None or request.route != "uploads":
        return request
    pointer = records.read(storage, submission_key(asset), SCHEMA)
    return None if pointer is None else find(storage, UUID(pointer["request"]))


def inbox_subject(tenant: str, key: str) -> UUID:
    """What an event calls an inbox upload that is no asset yet."""
    return derive(tenant, "inbox", key)


def require_open_upload(storage: Storage, principal: Principal, upload: UUID) -> None:
    """Raises where files may not be added: no such upload, somebody else's, or registered already."""
    request = find(storage, upload)
    if request is None or request.route != "uploads":
        raise RejectedUnknown(f"there is no upload {upload}: open one with POST /v1/uploads")
    principal.require_owner(request.principal)
    if storage.stat(submission_key(upload)) is not None:
        raise RejectedConflict(f"upload {upload} is registered; its files cannot change: open a new upload")


def expect(storage: Storage, upload: UUID, page: int, files: list[FileEntry]) -> None:
    """Write one page of what a client says it uploads.

    Raises:
        RejectedConflict: the page was announced before with other files.
    """
    lines = b"".join(canonical({"path": one.path, "size": one.size, "sha256": one.sha256}) + b"\n" for one in files)
    key = paths.expected_key(upload, page)
    if not storage.create(key, lines) and storage.read(key) != lines:
        raise RejectedConflict(f"page {page} was announced before with other files: use the next number")


def expected_files(storage: Storage, upload: UUID) -> Expected:
    """All that an upload's client says it uploaded.

    Raises:
        RejectedConflict: two pages name one path, or two paths clash.
    """
    found: dict[str, tuple[int, str | None]] = {}
    for one in _announced(storage, upload):
        if found.setdefault(one["path"], (one["size"], one["sha256"])) != (one["size"], one["sha256"]):
            raise RejectedConflict(f"{one['path']!r} was announced twice with different content: upload again")
    clash = paths.clashing_paths(found)
    if clash:
        raise RejectedConflict(
            f"{clash[0]!r} and {clash[1]!r} cannot both be files everywhere (case, or a folder of the same name): "
            "rename one and upload again"
        )
    return found


def require_within_bounds(storage: Storage, upload: UUID) -> None:
    """Raises RejectedTooLarge where an upload is more than one digesting step can read in its time."""
    files = size = 0
    for one in _announced(storage, upload):
        files, size = files + 1, size + one["size"]
    if files > MOST_FILES or size > MOST_BYTES:
        raise RejectedTooLarge(
            f"{files:,} files with {size:,} bytes are more than one asset may have ({MOST_FILES:,} files, "
            f"{MOST_BYTES:,} bytes): pack small files together, or register several datasets, one for each channel"
        )


def _announced(storage: Storage, upload: UUID) -> Iterator[Mapping[str, Any]]:
    for entry in storage.list(f"requests/{upload}/expected-"):
        for raw in (storage.read(entry.key) or b"").splitlines():
            yield json.loads(raw)
