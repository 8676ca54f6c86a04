"""Bearer tokens: who asks, and whether their role allows it. Only digests of tokens are stored."""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from functions._domain import errors
from functions._domain.digests import digest_of
from functions._domain.intake import Principal
from functions._domain.paths import token_key
from functions._domain.ports import Storage
from functions._domain.records import parse

if TYPE_CHECKING:
    from functions.declaration import Route

log = logging.getLogger(__name__)

RANKS = {"anyone": 0, "reader": 1, "publisher": 2, "operator": 3}
TOKEN_SCHEMA = "polyglot/token/v1"  # noqa: S105 - a schema's name
TOKEN_SECONDS = 10.0
"""How long a token that was known is taken to be known still."""


def authenticate(header: str, route: Route, storage: Storage) -> Principal:
    """Who asks, from the bearer token.

    Raises:
        RejectedUnauthenticated: no token, or one that is not known.
        RejectedForbidden: the token's role does not allow this route.
    """
    if route.access == "anyone":
        return Principal("anyone", frozenset())
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.RejectedUnauthenticated("send Authorization: Bearer <token> (polyglot sends POLYGLOT_TOKEN)")
    principal = _principal(storage, digest_of(token.strip().encode()))
    if principal is None:
        raise errors.RejectedUnauthenticated("this token is not known here: is POLYGLOT_TOKEN that of this platform?")
    if max((RANKS.get(role, 0) for role in principal.roles), default=0) < RANKS[route.access]:
        held = ", ".join(sorted(principal.roles))
        raise errors.RejectedForbidden(f"{route.method} {route.path} needs role {route.access}; this token has {held}")
    return principal


def _principal(storage: Storage, digest: str) -> Principal | None:
    """Whose token has this digest. Those seen a moment ago are kept: a thousand pages are not a thousand look-ups."""
    seen = _seen().setdefault(storage, {})
    kept = seen.get(digest)
    if kept and time.monotonic() - kept[0] < TOKEN_SECONDS:
        return kept[1]
    data = storage.read(token_key(digest))
    principal = None if data is None else _named(data, token_key(digest))
    if principal is not None:
        if len(seen) > 1000:
            seen.clear()
        seen[digest] = time.monotonic(), principal
    return principal


@cache
def _seen() -> MutableMapping[Storage, dict[str, tuple[float, Principal]]]:
    return WeakKeyDictionary()


def _named(data: bytes, key: str) -> Principal | None:
    """Whose token it is; None, and a line in the log, where its document says nothing that can be read."""
    try:
        token = parse(data, key, TOKEN_SCHEMA)
        return Principal(str(token["subject"]), frozenset(map(str, token["roles"])))
    except (errors.Rejected, KeyError, TypeError) as error:
        log.warning("%s is no token's document: %r", key, error)
        return None
