"""Bearer tokens: who asks, and whether their role allows it (https://www.rfc-editor.org/rfc/rfc6750)."""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from functions._domain import bearers, errors, tokens
from functions._domain.digests import digest_of
from functions._domain.intake import Principal
from functions._domain.journal import stamp
from functions._domain.ports import Ports, Storage
from functions._domain.tokens import Token
from functions.declaration import TOKEN_LIMIT

if TYPE_CHECKING:
    from functions.declaration import Route

log = logging.getLogger(__name__)

RANKS = {"anyone": 0, "reader": 1, "publisher": 2, "operator": 3}
TOKEN_SECONDS = 10.0
"""How long an API token that was known is taken to be known, and not revoked, still."""


def authenticate(header: str, route: Route, ports: Ports) -> Principal:
    """Who asks, from the bearer token.

    Raises:
        RejectedUnauthenticated: no token.
        RejectedToken: one that opens nothing (any more).
        RejectedRole: the token's role does not allow this route.
        RejectedForbidden: the issuer gives its bearer no role here.
        UnavailableIssuer: the issuer's tokens cannot be checked now.
    """
    if route.access == "anyone":
        return Principal("anyone", frozenset())
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.RejectedUnauthenticated("send Authorization: Bearer <token> (polyglot sends POLYGLOT_TOKEN)")
    principal = _principal(token.strip(), ports)
    if max((RANKS.get(role, 0) for role in principal.roles), default=0) < RANKS[route.access]:
        held = ", ".join(sorted(principal.roles))
        raise errors.RejectedRole(
            f"{route.method} {route.path} needs role {route.access}; this token has {held}", route.access
        )
    return principal


def _principal(token: str, ports: Ports) -> Principal:
    if len(token) > TOKEN_LIMIT:
        raise errors.RejectedToken(f"this token has more than {TOKEN_LIMIT} characters, so it is none that counts here")
    # An API token has no dots; without an issuer nothing else is known.
    if token.count(".") == 2 and ports.issuer is not None:
        return bearers.principal(ports.issuer.names, ports.issuer.claims(token))
    return _of_api_token(token, ports)


def _of_api_token(token: str, ports: Ports) -> Principal:
    known = _known(ports.storage, digest_of(token.encode()))
    if known is None:
        raise errors.RejectedToken("this token is not known here: is POLYGLOT_TOKEN that of this platform?")
    if known.expires is not None and known.has_expired(ports.now()):
        raise errors.RejectedToken(f"this token expired at {stamp(known.expires)}: ask an operator for a new one")
    return Principal(known.subject, known.roles)


def _known(storage: Storage, digest: str) -> Token | None:
    """Whose token has this digest. Those seen a moment ago are kept: a thousand pages are not a thousand look-ups.

    Raises:
        RejectedToken: it was revoked.
    """
    seen = _seen().setdefault(storage, {})
    kept = seen.get(digest)
    if kept and time.monotonic() - kept[0] < TOKEN_SECONDS:
        return kept[1]
    began, known = time.monotonic(), _read(storage, digest)
    if known is None:
        return None
    revoked = tokens.revocation(storage, digest)
    if revoked is not None:
        raise errors.RejectedToken(f"this token was revoked at {revoked.time or 'some time'}: ask an operator for one")
    if len(seen) > 1000:
        seen.clear()
    seen[digest] = began, known
    return known


@cache
def _seen() -> MutableMapping[Storage, dict[str, tuple[float, Token]]]:
    return WeakKeyDictionary()


def _read(storage: Storage, digest: str) -> Token | None:
    """What is known of a token; None, and a line in the log, where its document says nothing that can be read."""
    try:
        return tokens.find(storage, digest)
    except errors.Rejected as error:
        log.warning("%s", error)
        return None
