"""Records: deterministic documents, written once; an equal second write is success, a different one an error."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from functions._domain import paths, schemas
from functions._domain.assets import RECORD_SCHEMA, Kind
from functions._domain.authorizations import Authorization, decode
from functions._domain.digests import canonical, digest_of
from functions._domain.errors import (
    Rejected,
    RejectedConflict,
    RejectedContent,
    RejectedRequest,
    RejectedUnknown,
    UnavailableNewer,
)
from functions._domain.ports import Reader, Storage

log = logging.getLogger(__name__)
Document = Mapping[str, Any]
_ALWAYS = {"id", "kind", "name", "owner", "tenant", "parents", "inventory"}


def write(storage: Storage, key: str, data: bytes) -> None:
    """Write a record.

    Raises:
        RejectedConflict: another one stands there already.
        UnavailableNewer: one of a newer platform does.
    """
    if not storage.create(key, data) and (there := storage.read(key)) != data:
        _require_not_newer(there or b"", data, key)
        raise RejectedConflict(f"{key} is written already and says something else; it is never overwritten")


def _require_not_newer(there: bytes, data: bytes, key: str) -> None:
    with suppress(ValueError, KeyError, TypeError, RejectedContent):
        parse(there, key, json.loads(data)["schema"])


def read(storage: Reader, key: str, schema: str) -> Document | None:
    """A stored JSON document of a schema, or None.

    Raises:
        RejectedContent: not JSON, or of another schema.
        UnavailableNewer: a newer platform wrote it.
    """
    data = storage.read(key)
    return None if data is None else parse(data, key, schema)


def parse(data: bytes, key: str, schema: str, *earlier: str) -> Document:
    """The JSON document in some bytes; ``key`` is for the message, ``earlier`` are versions that are still read."""
    try:
        document = json.loads(data)
        found = document["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise RejectedContent(f"{key} is not a document of this platform: {error}") from error
    if found not in earlier:
        schemas.require(found, schema, key)
    return document  # type: ignore[no-any-return]


def of_asset(storage: Reader, asset: UUID) -> Document | None:
    """An asset's record, or None where it is not sealed.

    Raises:
        RejectedContent: what stands there is not this asset's record.
    """
    key = paths.record_key(asset)
    record = read(storage, key, RECORD_SCHEMA)
    if record is not None and (record.get("id") != str(asset) or not record.keys() >= _ALWAYS):
        raise RejectedContent(f"{key} is not the record of {asset}: run `polyglot verify {asset}`")
    return record


def required(storage: Reader, asset: UUID, kind: Kind | None = None) -> Document:
    """A sealed asset's record.

    Raises:
        RejectedUnknown: not sealed, or unknown.
        RejectedConflict: of another kind.
    """
    record = of_asset(storage, asset)
    if record is None:
        raise RejectedUnknown(f"there is no sealed asset {asset}")
    if kind is not None and record["kind"] != kind:
        raise RejectedConflict(f"{asset} is a {record['kind']}, expected a {kind}")
    return record


def of_subject(storage: Storage, subject: UUID, kind: Kind | None = None) -> Document:
    """The record of the sealed asset that an event speaks of.

    Raises:
        RejectedRequest: there is none, or it is of another kind. The event is at fault then, and leaves no mark.
    """
    try:
        return required(storage, subject, kind)
    except (RejectedUnknown, RejectedConflict) as error:
        raise RejectedRequest(str(error)) from error


def authorizations(storage: Reader, asset: UUID) -> Iterator[Authorization]:
    """An asset's stored authorizations, the registration first; what else lies there is passed over.

    Raises:
        UnavailableNewer: a newer platform wrote some, and no registration is among the others.
    """
    found, newer = [], None
    for entry in storage.list(paths.authorizations_prefix(asset)):
        try:
            one = decode(storage.read(entry.key) or b"")
        except (Rejected, UnavailableNewer) as error:
            log.warning("%s: %s", entry.key, error)
            newer = error if isinstance(error, UnavailableNewer) else newer
            continue
        if one.message.subject == asset:
            found.append(one)
    if newer and not any(one.message.type == "Registration" for one in found):
        raise newer
    order = ["Registration", "Evidence", "Revocation"]
    yield from sorted(found, key=lambda one: order.index(one.message.type))


def has_registration(storage: Storage, asset: UUID) -> bool:
    """Whether an asset's registration was authorized, which is the last thing that sealing does."""
    return any(one.message.type == "Registration" for one in authorizations(storage, asset))


def store_authorization(storage: Storage, authorization: Authorization) -> None:
    """Keep an authorization under its digest."""
    data = authorization.encode()
    name = digest_of(data).removeprefix("sha256:")
    write(storage, f"{paths.authorizations_prefix(authorization.message.subject)}{name}.json", data)


def write_record(storage: Storage, record: Document) -> str:
    """Write an asset's record; returns its digest."""
    data = canonical(record)
    write(storage, paths.record_key(UUID(str(record["id"]))), data)
    return digest_of(data)
