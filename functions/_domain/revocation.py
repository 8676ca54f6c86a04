"""Revocation: an owner says, for ever visible, that an asset should no longer be used, and why.

``assets/<uuid>/revocation.json`` is made of the request that was first, and of nothing else; its SHA-256 is what the
registrar signs and the ledger holds. So the ledger says *that* an asset is revoked, and the document says why, to
whoever compares the two. What is revoked stays: its files until they are erased, its evidence for ever.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from functions._domain import authorizations, intake, paths, records
from functions._domain.digests import canonical, digest_of
from functions._domain.errors import RejectedConflict, RejectedContent
from functions._domain.intake import Request
from functions._domain.journal import stamp
from functions._domain.ports import Contract, LedgerReader, Ports, Reader, Storage

SCHEMA = "polyglot/revocation/v1"
STEP = "revoke"
ROUTE = "revocations"


def document_of(request: Request) -> bytes:
    """The document that a request asks for, always the same."""
    document = {
        "schema": SCHEMA,
        "asset": str(request.asset),
        "reason": request.body["reason"],
        "requested": request.time,
        "by": request.principal,
        "request": str(request.id),
    }
    return canonical(document)


def first(storage: Storage, asset: UUID) -> Request | None:
    """The request whose reason was written down, or None.

    Raises:
        RejectedContent: what stands there is no request's.
        UnavailableNewer: a newer platform wrote it.
    """
    key = paths.revocation_key(asset)
    data = storage.read(key)
    if data is None:
        return None
    document = records.parse(data, key, SCHEMA)
    try:
        request = intake.find(storage, UUID(str(document.get("request"))))
    except ValueError:
        request = None
    if request is None or (request.route, request.asset) != (ROUTE, asset) or document_of(request) != data:
        raise RejectedContent(
            f"{key} is not what any request to revoke {asset} says, so somebody else put it there: the bucket's owner "
            "removes it, then ask again"
        )
    return request


def refusal(storage: Storage, request: Request) -> str:
    """Why a request comes to nothing: another one was first, for another reason. Empty where it does not."""
    standing = first(storage, request.asset)
    if standing is None or standing.body["reason"] == request.body["reason"]:
        return ""
    return already(standing)


def already(standing: Request) -> str:
    """What somebody is told who comes second."""
    return f"revoked already: {standing.body['reason']}"


def claim(storage: Storage, request: Request) -> Request:
    """Write a request's reason down; where another request was first, that one counts and is returned.

    Raises:
        RejectedContent: what stands there is no request's.
    """
    storage.create(paths.revocation_key(request.asset), document_of(request))
    standing = first(storage, request.asset)
    if standing is None:
        raise RejectedContent(f"{paths.revocation_key(request.asset)} disappeared while it was read: ask again")
    return standing


def authorize(ports: Ports, request: Request) -> None:
    """Sign the reason that stands; done already is success."""
    standing = claim(ports.storage, request)
    message = authorizations.revocation(request.asset, digest_of(document_of(standing)))
    records.store_authorization(ports.storage, ports.signer.authorize(message))


def is_authorized(storage: Storage, asset: UUID) -> bool:
    """Whether the reason that stands was signed, by whatever key."""
    data = storage.read(paths.revocation_key(asset))
    return data is not None and any(
        one.message.fields["reasonDigest"] == digest_of(data)
        for one in records.authorizations(storage, asset)
        if one.message.type == "Revocation"
    )


@dataclass(frozen=True)
class Told:
    """What can be told of a revoked asset; as a string, when and by whom it was revoked, and why, for a person.

    Attributes:
        reason: the text that the ledger binds; empty where the store does not have it.
        by: who asked for it, where that was not the asset's owner.
        time: of the block, in seconds since 1970; None where only the revocation itself is known.
        digest: of the reason's document, as the ledger has it.
        problem: what is wrong with the document; empty where nothing is.
    """

    reason: str = ""
    by: str = ""
    time: int | None = None
    digest: str = ""
    problem: str = ""

    @property
    def stamp(self) -> str:
        """The time as RFC 3339; empty where it is not known."""
        return stamp(datetime.fromtimestamp(self.time, UTC)) if self.time is not None else ""

    def __str__(self) -> str:
        when = f" on {self.stamp[:10]}" if self.time is not None else ""
        by = f"an operator ({self.by})" if self.by else "its owner"
        lost = f"; its reason is not in the store any more ({self.digest})" if self.digest else ""
        return f"revoked{when} by {by}{f': {self.reason}' if self.reason else lost}"


def told(
    storage: Reader, ledger: LedgerReader, asset: UUID, contract: Contract | None, signed: str = ""
) -> Told | None:
    """What can be told of an asset's revocation; None where the ledger knows of none, whatever the store says.

    ``signed`` is the digest of a reason that a registrar signed, for where only the ledger's state is known.
    """
    if contract is None or not contract.revoked:
        return None
    event, data = ledger.revocation(asset), storage.read(paths.revocation_key(asset))
    time, digest = (event.time, event.reason_digest) if event else (None, signed)
    if data is None or digest_of(data) != digest:
        problem = f"{'missing' if data is None else 'changed'}: revocation.json" if digest else ""
        return Told(time=time, digest=digest, problem=problem)
    reason, by = _text(data, "reason"), _text(data, "by")
    record = storage.read(paths.record_key(asset)) or b""
    is_owner = digest_of(record) != contract.record_digest or _text(record, "owner") == by
    return Told(reason, "" if is_owner else by, time, digest)


def _text(data: bytes, name: str) -> str:
    """A field of a document whose bytes the ledger binds, of whichever version."""
    try:
        return str(json.loads(data)[name])
    except (ValueError, KeyError, TypeError):
        return ""


def withdrawn(ports: Ports, *assets: UUID) -> str:
    """Which of some assets is revoked, when and why; empty where none is."""
    for asset in assets:
        contract = ports.ledger.find(asset)
        found = told(ports.storage, ports.ledger, asset, contract)
        if found is not None and contract is not None:
            return f"{contract.kind} {asset} was {found}"
    return ""


def require_standing(ports: Ports, *assets: UUID) -> None:
    """Raises RejectedConflict, with the reason, where an asset is revoked and nothing new should be made of it."""
    why = withdrawn(ports, *assets)
    if why:
        raise RejectedConflict(f"{why} — use another one")
