"""API tokens: random words, of which the bucket holds the digest only, so that whoever reads it cannot act with them.

``tokens/<digest>.json`` says whose a token is, what it may do and until when; ``tokens/<digest>.revoked.json`` beside
it that it counts no more, since when and on whose word. Both are written once and never deleted, so that it stays to be
read who could act when. People whose issuer signs for them have no such token: ``functions._domain.bearers``.

    >>> new().startswith(PREFIX)
    True
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from functions._domain import paths, records
from functions._domain.digests import canonical, digest_of
from functions._domain.errors import Rejected, RejectedContent, RejectedUnknown, UnavailableNewer
from functions._domain.identity import derive
from functions._domain.journal import stamp
from functions._domain.ports import Storage
from functions._domain.sealing import in_order

PREFIX = "polyglot_"
"""By which scanners for secrets, and our own log, know one; there are older ones without it, which stay valid."""

SCHEMA, EARLIER = "polyglot/token/v2", "polyglot/token/v1"
"""Version 2 may say when it ends: what knows version 1 only would overlook that, and must not take it."""

REVOCATION = "polyglot/token-revocation/v1"
ISSUED = "polyglot/token-request/v1"

FOREIGN = "oidc:"
"""What begins the subjects of people whom an issuer names; no API token's subject may."""

_KEY = re.compile(rf"{paths.TOKENS}(?P<digest>[0-9a-f]{{64}})\.json")


@dataclass(frozen=True)
class Token:
    """What is known of a token. ``expires`` is None where it never does, ``by`` empty where the bucket's owner made it.

    Attributes:
        digest: of the token itself.
        roles: what it may do; ours have one.
        created: RFC 3339; empty of one that does not say.
    """

    digest: str
    subject: str
    roles: frozenset[str]
    created: str = ""
    expires: datetime | None = None
    by: str = ""

    @property
    def id(self) -> UUID:
        """By which it is spoken of; nothing can be done with it."""
        return identify(self.digest)

    def has_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires


@dataclass(frozen=True)
class Revocation:
    """That a token counts no more: on whose word, and since when (RFC 3339)."""

    by: str
    time: str


def new() -> str:
    """A token that nobody can guess: 256 bits behind the prefix."""
    return PREFIX + secrets.token_urlsafe(32)


def identify(digest: str) -> UUID:
    """The public name of the token with this digest."""
    return derive("token", digest)


def keep(
    storage: Storage, token: str, subject: str, role: str, now: datetime, seconds: int | None = None, by: str = ""
) -> Token:
    """Make a token known; one that is known already stays as it is.

    Args:
        storage: the tenant's bucket.
        token: the token itself, of which only the digest is kept.
        subject: who acts with it.
        role: what it may do.
        now: from when on.
        seconds: for how long; for ever where None.
        by: who made it; empty where the bucket's owner did.
    """
    expires = None if seconds is None else stamp(now + timedelta(seconds=seconds))
    known = {"schema": SCHEMA, "subject": subject, "roles": [role], "created": stamp(now), "expires": expires, "by": by}
    digest = digest_of(token.encode())
    earlier = None if storage.create(paths.token_key(digest), canonical(known)) else find(storage, digest)
    return earlier or _read(digest, canonical(known))


def find(storage: Storage, digest: str) -> Token | None:
    """The token with this digest, or None where there is none.

    Raises:
        RejectedContent: what stands there is no token's document.
        UnavailableNewer: a newer platform made it.
    """
    data = storage.read(paths.token_key(digest))
    return None if data is None else _read(digest, data)


def _read(digest: str, data: bytes) -> Token:
    key = paths.token_key(digest)
    document = records.parse(data, key, SCHEMA, EARLIER)
    try:
        subject, roles = str(document["subject"]), frozenset(map(str, document["roles"]))
        created, by = str(document.get("created", "")), str(document.get("by", ""))
        expires = _instant(document.get("expires"))
    except (KeyError, TypeError, ValueError) as error:
        raise RejectedContent(f"{key} is no token's document: {error!r}") from error
    if subject.lower().startswith(FOREIGN):
        raise RejectedContent(f"{key} is of {subject!r}: subjects that begin with {FOREIGN} are the issuer's to name")
    return Token(digest, subject, roles, created, expires, by)


def _instant(text: str | None) -> datetime | None:
    found = None if text is None else datetime.fromisoformat(text)
    if found is not None and found.tzinfo is None:
        raise ValueError(f"{text} does not say its offset from UTC")
    return found and found.astimezone(UTC)


def revocation(storage: Storage, digest: str) -> Revocation | None:
    """That a token was revoked, or None. A mark that says nothing that can be read revokes all the same."""
    data = storage.read(paths.token_revocation_key(digest))
    if data is None:
        return None
    try:
        document = records.parse(data, paths.token_revocation_key(digest), REVOCATION)
        return Revocation(str(document["by"]), str(document["time"]))
    except (RejectedContent, KeyError):
        return Revocation("", "")


def revoke(storage: Storage, identifier: UUID, by: str, now: datetime) -> tuple[Token, Revocation | None]:
    """Revoke a token; whoever did so first, and when, stays.

    Raises:
        RejectedUnknown: there is no such token.
    """
    digest = next((one for one in digests(storage) if identify(one) == identifier), None)
    if digest is None:
        raise RejectedUnknown(f"there is no token {identifier}: `polyglot token list` shows all")
    mark = {"schema": REVOCATION, "by": by, "time": stamp(now)}
    storage.create(paths.token_revocation_key(digest), canonical(mark))
    return described(storage, digest)


def claim(storage: Storage, request: UUID, identifier: UUID) -> UUID:
    """Bind a request to the one token that it makes; returns which that is."""
    key, mark = paths.token_request_key(request), {"schema": ISSUED, "token": str(identifier)}
    found = None if storage.create(key, canonical(mark)) else records.read(storage, key, ISSUED)
    return identifier if found is None else UUID(found["token"])


def digests(storage: Storage) -> Iterator[str]:
    """The digest of every known token; what else lies there is passed over."""
    for entry in storage.list(paths.TOKENS):
        if match := _KEY.fullmatch(entry.key):
            yield f"sha256:{match['digest']}"


def everything(storage: Storage) -> list[tuple[Token, Revocation | None]]:
    """Every token with its revocation, oldest first."""
    found = in_order(lambda digest: described(storage, digest), digests(storage))
    return sorted(found, key=lambda one: (one[0].created, str(one[0].id)))


def described(storage: Storage, digest: str) -> tuple[Token, Revocation | None]:
    """A token with its revocation; one that cannot be read here opens nothing, and is nobody's."""
    try:
        token = find(storage, digest)
    except (Rejected, UnavailableNewer):
        token = None
    try:
        revoked = revocation(storage, digest)
    except UnavailableNewer:
        revoked = Revocation("", "")
    return token or Token(digest, "", frozenset()), revoked
