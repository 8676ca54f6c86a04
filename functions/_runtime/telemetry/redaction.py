"""What must not be told: credentials that an exception or somebody else's message may hold.

>>> redacted("GET http://s3/b/k?X-Amz-Expires=60&X-Amz-Signature=5e0f failed")
'GET http://s3/b/k?X-Amz-Expires=60&X-Amz-Signature=… failed'
"""

import re
from collections.abc import Iterable, Mapping

SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "POLYGLOT_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS")
"""Settings whose values are never told, wherever they turn up."""

_GONE = "…"
_SHORTEST = 16
"""Characters of a secret that is looked for; a shorter one would take words out of every sentence."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # The whole line of a header, since its credential may have any form: a token, or SigV4's list of parts.
    (re.compile(r"(?i)((?:proxy-)?authorization[\"']?\s*[:=]\s*)[^\r\n]+"), rf"\1{_GONE}"),
    (re.compile(r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {_GONE}"),
    # Our own API tokens wherever they stand, and JWTs: three parts, of which the first is a JSON object.
    (re.compile(r"polyglot_[A-Za-z0-9_-]{43}"), f"polyglot_{_GONE}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), _GONE),
    # Presigned URLs, SigV4's and SigV2's names.
    (re.compile(r"(?i)\b(X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId)=[^\s&\"'<>]+"),
     rf"\1={_GONE}"),
    # User and password of a URL, which an RPC or proxy address may have.
    (re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{0,15}://)[^\s/?#\"'<>@]+@"), rf"\1{_GONE}@"),
    (re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(?:-----END \1PRIVATE KEY-----|\Z)", re.DOTALL), _GONE),
)  # fmt: skip


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without credentials, and without any of some secrets."""
    for secret in secrets:
        text = text.replace(secret, _GONE)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def secrets_of(values: Mapping[str, str]) -> tuple[str, ...]:
    """The secret values of some settings."""
    return tuple(value for name in SECRETS if len(value := values.get(name, "")) >= _SHORTEST)
