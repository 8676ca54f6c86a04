"""People's tokens: JWTs (RFC 7519) that the tenant's OpenID Connect issuer has signed, checked by PyJWT.

What RFC 8725 (https://www.rfc-editor.org/rfc/rfc8725) advises: the algorithms are ours and the key's, never the
token's; none of them is symmetric; issuer, audience, subject and an end must be there; a key that a token brings with
itself, or leads to, is not looked at. What is told of a token that is refused, its bearer knows already.
"""

from collections.abc import Mapping
from typing import Any

import jwt

from functions._backends.issuer_keys import ALGORITHMS, IssuerKeys, VerificationKey
from functions._domain.errors import RejectedToken
from functions._domain.issuers import ClaimNames

SKEW = 60
"""Seconds by which the issuer's clock and ours may differ."""

REQUIRED = ("iss", "sub", "aud", "exp")
TIMES = ("exp", "nbf", "iat")
TYPES = frozenset({"", "jwt", "at+jwt"})
"""What a token may say it is: others of an issuer's are no access tokens (RFC 9068, RFC 8725 section 3.11)."""

_WHY: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "it has expired: ask the issuer for a new one"),
    (jwt.ImmatureSignatureError, "it is not valid yet: are both clocks set?"),
    (jwt.InvalidAudienceError, "it is for another audience"),
    (jwt.InvalidIssuerError, "it is of another issuer"),
    (jwt.InvalidSignatureError, "this tenant's issuer has not signed it"),
    (jwt.InvalidAlgorithmError, "this tenant's issuer has not signed it"),
    (jwt.InvalidKeyError, "this tenant's issuer has not signed it"),
)


class OidcIssuer:
    """The issuer of a tenant.

    Args:
        keys: the keys by which it signs.
        audience: by which it calls this platform.
        names: which claims count.
    """

    def __init__(self, keys: IssuerKeys, audience: str, names: ClaimNames = ClaimNames()) -> None:  # noqa: B008 - frozen
        self._keys, self._audience, self.names = keys, audience, names

    def claims(self, token: str) -> Mapping[str, object]:
        """What a token claims that the issuer has signed for this platform, and that counts now.

        Raises:
            RejectedToken: it is none.
            UnavailableIssuer: the issuer's keys are not known and cannot be asked for.
        """
        key = self._key(token)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=sorted(key.algorithms),
                audience=self._audience,
                issuer=self._keys.issuer,
                leeway=SKEW,
                options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise _refused(error) from error
        for name in TIMES:
            if name in claims and (isinstance(claims[name], bool) or not isinstance(claims[name], int | float)):
                raise RejectedToken(f"this token opens nothing: {name} is no number")
        return claims

    def _key(self, token: str) -> VerificationKey:
        """The issuer's key that a token says it is signed with; nobody has signed what else its header says."""
        try:
            header: dict[str, Any] = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise _refused(error) from error
        algorithm, kind = header.get("alg"), header.get("typ") or ""
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise RejectedToken(f"this token opens nothing: expected one signed by {', '.join(ALGORITHMS)}")
        if "crit" in header or "b64" in header:
            raise RejectedToken("this token opens nothing: it asks for extensions that are not known here")
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TYPES:
            raise RejectedToken("this token opens nothing: it says that it is no access token")
        key = self._keys.find(header.get("kid"), algorithm)
        if key is None:
            raise RejectedToken("this token opens nothing: it is not signed with a key that this tenant's issuer has")
        return key


def _refused(error: Exception) -> RejectedToken:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return RejectedToken(f"this token opens nothing: it has no {error.claim}")
    why = next((text for kind, text in _WHY if isinstance(error, kind)), "it cannot be read as a JWT")
    return RejectedToken(f"this token opens nothing: {why}")
