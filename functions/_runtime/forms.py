"""Forms: what a setting's value must look like, told by looking at it alone.

>>> ADDRESS.fits("0x00000000000000000000000000000000000000a1")
True
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from functions._domain.forwarding import destinations
from functions._domain.issuers import is_issuer

PLACEHOLDER = "replace-me"
"""What the example of a tenant's Secrets holds."""


@dataclass(frozen=True)
class Form:
    """What a value must look like; a secret one is never shown."""

    expected: str
    fits: Callable[[str], bool]
    is_secret: bool = False


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(re.fullmatch(r"https?://\S+", value)) and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _is_forward(value: str) -> bool:
    try:
        return all(BUCKET.fits(one.bucket) and _is_url(one.broker_url) for one in destinations(value))
    except ValueError:
        return False


NAME = Form("1 to 63 letters, digits, '.', '_' or '-'", _matches(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"))
URL = Form("an address that begins with http:// or https://", _is_url)
BUCKET = Form("a bucket's name: 3 to 63 of a-z, 0-9, '.' and '-'", _matches(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"))
NUMBER = Form("a whole number above 0", _matches(r"0*[1-9][0-9]*"))
ADDRESS = Form(
    "a contract's address: 0x and 40 hexadecimal digits, not all 0", _matches(r"0x(?!0{40}$)[0-9a-fA-F]{40}")
)
ENGINE = Form("process or argo", _matches("process|argo"))
LOG_FORMAT = Form("text or json", _matches("text|json"))
LOG_LEVEL = Form(
    "DEBUG, INFO, WARNING, ERROR or CRITICAL", lambda value: value.upper() in logging.getLevelNamesMapping()
)
FOLDER = Form("a folder's absolute path", lambda value: Path(value).is_absolute())
FORWARD = Form("lines of bucket=tenant@broker-url, each bucket once", _is_forward)
ISSUER = Form(
    "an address that begins with https://, or http:// on this machine or at a name that ends with .svc or "
    ".svc.cluster.local; without query and fragment",
    is_issuer,
)
AUDIENCE = Form("1 to 200 characters without blanks", _matches(r"\S{1,200}"))
CLAIM = Form("a claim's name, or a path with dots", _matches(r"[^\s.](?:\S{0,198}[^\s.])?"))
PREFIX = Form("1 to 100 characters without blanks", _matches(r"\S{1,100}"))
SECRET = Form("a value without blanks or line ends, not the example's", _matches(rf"(?!{PLACEHOLDER}$)\S+"), True)
LEDGER_KEY = Form("64 hexadecimal digits", _matches(r"\s*[0-9a-fA-F]{64}\s*"), True)
STATEMENT_KEY = Form("a private key in PKCS#8 PEM", lambda value: "-----BEGIN PRIVATE KEY-----" in value, True)
