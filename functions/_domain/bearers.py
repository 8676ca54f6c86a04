"""Bearers: whom the claims of an issuer's token speak for, and what they may do here.

>>> principal(ClaimNames(role_prefix="polyglot-"), {"sub": "7", "roles": ["polyglot-reader", "dev"]}).subject
'oidc:7'
"""

from collections.abc import Mapping

from functions._domain.errors import RejectedForbidden, RejectedToken
from functions._domain.intake import Principal
from functions._domain.issuers import ClaimNames
from functions._domain.tokens import FOREIGN

ROLES = ("reader", "publisher", "operator")
LONGEST = 255
"""The most characters of a subject, as OpenID Connect has it."""


def principal(names: ClaimNames, claims: Mapping[str, object]) -> Principal:
    """Who somebody is whom an issuer has signed for. Their subject cannot be that of an API token.

    Raises:
        RejectedToken: the claims name nobody.
        RejectedForbidden: they give no role of ours.
    """
    subject = _found(claims, names.subject)
    if not isinstance(subject, str) or not subject.strip() or len(subject) > LONGEST or not subject.isprintable():
        raise RejectedToken(
            f"the claim {names.subject!r} of this token names nobody: expected 1 to {LONGEST} characters"
        )
    given = _texts(_found(claims, names.roles))
    roles = frozenset(role for role in ROLES if names.role_prefix + role in given)
    if not roles:
        expected = ", ".join(names.role_prefix + role for role in ROLES)
        raise RejectedForbidden(
            f"the issuer gives this identity no role here: expected one of {expected} in the claim {names.roles!r}"
        )
    return Principal(FOREIGN + subject, roles)


def _found(claims: Mapping[str, object], name: str) -> object:
    """A claim by its own name, else by a path of names; None where there is none."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: object) -> frozenset[str]:
    listed = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return frozenset(one for one in listed if isinstance(one, str))
