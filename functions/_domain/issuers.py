"""Issuers: where a tenant's OpenID Connect issuer may be, and which claims of its tokens count.

https://openid.net/specs/openid-connect-discovery-1_0.html says what an issuer's address looks like.

    >>> is_issuer("https://login.example.org/realms/acme"), is_issuer("http://login.example.org")
    (True, False)
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

INSIDE = (".svc", ".svc.cluster.local")
"""How names of Kubernetes Services end, which lead nowhere outside the cluster."""


@dataclass(frozen=True)
class ClaimNames:
    """Which claims of a token say who somebody is, and what they may do.

    A name is that of a claim, dots and all, or else a path of names inside it: ``realm_access.roles``.

    Attributes:
        subject: a text that means the same person for ever.
        roles: a list of texts, or one text with blanks between them.
        role_prefix: what our roles begin with there.
    """

    subject: str = "sub"
    roles: str = "roles"
    role_prefix: str = ""


def is_issuer(url: str) -> bool:
    """Whether a URL can be an issuer's: one that nobody can answer in its place, without query and fragment."""
    parts = _split(url)
    return parts is not None and not parts.query and not parts.fragment and url[-1] not in "?#" and is_guarded(url)


def is_guarded(url: str) -> bool:
    """Whether what a URL leads to answers for itself: by TLS, or because the way there does not leave the machine.

    Within a cluster that is taken to hold too: what listens there at a Service's name, its operators have put there.
    """
    parts = _split(url)
    if parts is None or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_inside(parts.hostname or ""))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        return None
    return parts if usable else None


def _is_inside(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(INSIDE)
