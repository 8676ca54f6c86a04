"""An issuer's keys, found by OpenID Connect Discovery (https://openid.net/specs/openid-connect-discovery-1_0.html).

They are kept, and asked for again when they are ten minutes old, so that one that the issuer has withdrawn counts no
more. A token with a key that is not among them has them asked for at once, but never more often than every ten seconds,
whatever is sent here. While the issuer does not answer, the keys that are known go on counting for a day.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import jwt
import urllib3
from jwt.algorithms import AllowedPublicKeys

from functions._domain.errors import UnavailableIssuer
from functions._domain.issuers import is_guarded

log = logging.getLogger(__name__)

FRESH, KEPT = 600.0, 86400.0
"""Seconds: keys are asked for again when they are so old, and count for so long without an answer."""

Reason = Literal["none", "old", "unknown"]
GAPS: Mapping[Reason, float] = {"none": 10.0, "old": 60.0, "unknown": 10.0}
"""Seconds between two times of asking because none is known, they are old, or a token names another one."""

PATIENCE, TOTAL = 3.0, 6.0
"""Seconds for the issuer to take a connection or to say anything more, and for its whole answer."""

LARGEST = 256 << 10
MOST_KEYS = 100
SHORTEST_RSA = 2048

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_BY_KIND: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
ALGORITHMS = tuple(dict.fromkeys(name for names in _BY_KIND.values() for name in names))
"""What may sign a token: asymmetric algorithms, each with the kind of key that it is for (RFC 7518, RFC 8037)."""


@dataclass(frozen=True)
class VerificationKey:
    """A public key of the issuer, and the algorithms that it may be used with."""

    name: str
    algorithms: frozenset[str]
    public: AllowedPublicKeys


@dataclass(frozen=True)
class _Known:
    keys: tuple[VerificationKey, ...]
    since: float

    def has(self, name: str | None) -> bool:
        return any(one.name == name for one in self.keys)

    def find(self, name: str | None, algorithm: str) -> VerificationKey | None:
        """The key of this name; the only one there is, of a token that names none."""
        fitting = [one for one in self.keys if algorithm in one.algorithms and name in (one.name, None)]
        return fitting[0] if fitting and (name is not None or len(fitting) == 1) else None


class IssuerKeys:
    """The keys of one issuer, as known now. Safe to use from several threads.

    Args:
        issuer: its address, as it calls itself in its tokens.
        clock: seconds that only grow.
    """

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer, self._clock = issuer, clock
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._asked = dict.fromkeys(GAPS, float("-inf"))
        self._is_away = False

    def find(self, name: str | None, algorithm: str) -> VerificationKey | None:
        """The key of this name, for this algorithm; without a name, the only one that there is for it.

        Raises:
            UnavailableIssuer: the issuer does not say which keys there are, or whether there is this one by now.
        """
        began, known = self._clock(), self._now()
        if name is not None and not known.has(name) and known.since < began:
            self._ask("unknown")
            known = self._known or known
            if self._is_away and not known.has(name):
                raise _away()
        return known.find(name, algorithm)

    def _now(self) -> _Known:
        """What is known, asked for first where it is nothing, or old; others go on while one thread asks."""
        if self._known is None:
            self._ask("none")
        elif self._clock() - self._known.since > FRESH:
            self._ask("old", wait=False)
        if self._known is None or self._clock() - self._known.since > KEPT:
            raise _away()
        return self._known

    def _ask(self, why: Reason, wait: bool = True) -> None:
        """Ask the issuer, unless somebody does so now, or did for the same reason a moment ago."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            now = self._clock()
            if now - self._asked[why] < GAPS[why]:
                return
            self._asked[why] = now
            self._known, self._is_away = _Known(fetched(self.issuer), now), False
        except UnavailableIssuer as error:
            self._is_away = True
            log.warning("%s", error)
        finally:
            self._lock.release()


def _away() -> UnavailableIssuer:
    return UnavailableIssuer("the tenant's issuer does not say by which keys it signs: try again in a moment")


def fetched(issuer: str) -> tuple[VerificationKey, ...]:
    """Ask an issuer by which keys it signs.

    Raises:
        UnavailableIssuer: it does not say, with what is wrong.
    """
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    said = _document(address)
    if said.get("issuer") != issuer:
        raise UnavailableIssuer(
            f"{address} is of issuer {said.get('issuer')!r}, expected {issuer!r}: they must be equal"
        )
    place = str(said.get("jwks_uri", ""))
    if not is_guarded(place) or (_is_secure(issuer) and not _is_secure(place)):
        raise UnavailableIssuer(f"{address} says that keys are at {place!r}: expected an https address")
    listed = _document(place).get("keys")
    found = tuple(key for one in (listed if isinstance(listed, list) else [])[:MOST_KEYS] if (key := _key(one)))
    if not found:
        raise UnavailableIssuer(f"{place} has no key by which a token could be checked: {', '.join(ALGORITHMS)}")
    return found


def _is_secure(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _key(jwk: object) -> VerificationKey | None:
    """A key of a JWK set (RFC 7517), or None of one that is not for signatures, or not for us."""
    try:
        return _parsed(jwk) if isinstance(jwk, dict) else None
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        log.warning("a key of the issuer cannot be read: %r", error)
        return None


def _parsed(jwk: dict[str, Any]) -> VerificationKey | None:
    name, kind = jwk.get("kid", ""), (jwk.get("kty", ""), jwk.get("crv", ""))
    algorithms = [one for one in _BY_KIND.get(kind, ()) if jwk.get("alg", one) == one]
    is_for_us = jwk.get("use", "sig") == "sig" and "verify" in jwk.get("key_ops", ["verify"])
    # A key whose private half is public is nobody's.
    if not algorithms or not is_for_us or "d" in jwk or not isinstance(name, str):
        return None
    public: Any = jwt.PyJWK(jwk, algorithms[0]).key
    if kind[0] == "RSA" and public.key_size < SHORTEST_RSA:
        log.warning("the issuer's key %r has %d bits: expected %d or more", name, public.key_size, SHORTEST_RSA)
        return None
    return VerificationKey(name, frozenset(algorithms), public)


def _document(url: str) -> Mapping[str, Any]:
    """A JSON object, of bounded size and in bounded time; a redirect is none."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        with urllib3.PoolManager(timeout=urllib3.Timeout(PATIENCE), retries=False) as pool:
            answer = pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
            data = _read(answer, url)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableIssuer(f"{url} does not answer: {error}") from error
    if answer.status != 200:
        raise UnavailableIssuer(f"{url} answered {answer.status}: expected 200 and a JSON object")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnavailableIssuer(f"{url} answered no JSON: {error}") from error
    if not isinstance(document, dict):
        raise UnavailableIssuer(f"{url} answered no JSON object")
    return document


def _read(answer: "urllib3.BaseHTTPResponse", url: str) -> bytes:
    data, end = b"", time.monotonic() + TOTAL
    try:
        while piece := answer.read1(LARGEST, decode_content=False):
            data += piece
            if len(data) > LARGEST or time.monotonic() > end:
                raise UnavailableIssuer(f"{url} answers more than {LARGEST} bytes, or for longer than {TOTAL:.0f} s")
    finally:
        answer.close()
    return data
