"""Authorizations: what a role key asks the ledger to accept, as EIP-712 typed data with its signature.

Whoever digested the bytes signs; whoever carries the transaction signs nothing
(https://eips.ethereum.org/EIPS/eip-712). One is stored as ``assets/<uuid>/authorizations/<digest>.json``.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from functions._domain import schemas
from functions._domain.digests import bytes_of, canonical, digest_of
from functions._domain.errors import RejectedContent

SCHEMA = "polyglot/authorization/v1"

VERDICTS = {"passed": 1, "within-tolerance": 2, "failed": 3}

TYPES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Registration": (
        ("id", "bytes16"),
        ("kind", "uint8"),
        ("inventoryDigest", "bytes32"),
        ("recordDigest", "bytes32"),
        ("parents", "bytes16[]"),
    ),
    "Evidence": (("subject", "bytes16"), ("claim", "bytes32"), ("statementDigest", "bytes32"), ("verdict", "uint8")),
    "Revocation": (("id", "bytes16"), ("reasonDigest", "bytes32")),
}
"""The struct types of the ledger's contracts, in their field order."""


@dataclass(frozen=True)
class Message:
    """The content of an authorization: a struct of ``TYPES`` with JSON values.

    UUIDs are strings, digests are ``sha256:<hex>``, a claim is its name, ``kind`` and ``verdict`` are numbers.
    """

    type: str
    fields: Mapping[str, object]

    @property
    def subject(self) -> UUID:
        """The asset that the message is about."""
        return UUID(str(self.fields.get("subject") or self.fields["id"]))

    def values(self) -> tuple[object, ...]:
        """The fields as the ledger's ABI takes them: bytes, numbers and lists of bytes, in order."""
        return tuple(_abi_value(kind, self.fields[name]) for name, kind in TYPES[self.type])


def _abi_value(kind: str, value: object) -> object:
    match kind:
        case "bytes16":
            return UUID(str(value)).bytes
        case "bytes16[]":
            return [UUID(str(item)).bytes for item in value]  # type: ignore[attr-defined]
        case "bytes32" if str(value).startswith("sha256:"):
            return bytes_of(str(value))
        case "bytes32":
            return str(value).encode("ascii").ljust(32, b"\0")
        case _:
            return value


@dataclass(frozen=True)
class Authorization:
    """A message, the EIP-712 domain it was signed for, and the signature of ``account``."""

    message: Message
    role: str
    account: str
    chain_id: int
    contract: str
    signature: str

    def encode(self) -> bytes:
        """Canonical JSON, as stored."""
        return canonical(
            {
                "schema": SCHEMA,
                "type": self.message.type,
                "message": dict(self.message.fields),
                "domain": {"chainId": str(self.chain_id), "verifyingContract": self.contract},
                "role": self.role,
                "account": self.account,
                "signature": self.signature,
            }
        )

    @property
    def digest(self) -> str:
        """The digest of the stored form, which names the object."""
        return digest_of(self.encode())


def decode(data: bytes) -> Authorization:
    """The authorization in a stored object.

    Raises:
        RejectedContent: not an authorization.
        UnavailableNewer: one of a newer platform.
    """
    try:
        document = json.loads(data)
        schemas.require(document["schema"], SCHEMA, "the authorization")
        fields = document["message"]
        message = Message(document["type"], {name: fields[name] for name, _ in TYPES[document["type"]]})
        found = Authorization(
            message,
            str(document["role"]),
            str(document["account"]),
            int(document["domain"]["chainId"]),
            str(document["domain"]["verifyingContract"]),
            str(document["signature"]),
        )
        if not _is_well_formed(found):
            raise ValueError("a field has not the form of its type")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RejectedContent(f"not an authorization: {error!r}") from error
    return found


def _is_well_formed(one: Authorization) -> bool:
    """Whether every field fits its type on the ledger, so that what is carried can be encoded."""
    pairs = zip(TYPES[one.message.type], one.message.values(), strict=True)
    fits = [_fits(kind, value) for (_, kind), value in pairs]
    known = 0 <= one.chain_id < 2**256
    addresses = all(is_address(text) for text in (one.account, one.contract))
    return all(fits) and known and addresses and bool(re.fullmatch(r"0x[0-9a-fA-F]{130}", one.signature))


def is_address(text: str) -> bool:
    """Whether a text has the form of an account or contract; its capitals are not looked at."""
    return re.fullmatch(r"0x[0-9a-fA-F]{40}", text) is not None


def _fits(kind: str, value: object) -> bool:
    match kind:
        case "uint8":
            return type(value) is int and 0 <= value < 256
        case "bytes16[]":
            return isinstance(value, list)
        case _:
            return isinstance(value, bytes) and len(value) == int(kind.removeprefix("bytes"))


def registration(
    asset: UUID, kind: int, inventory_digest: str, record_digest: str, parents: tuple[UUID, ...]
) -> Message:
    """Asks for an asset's contract. Parents keep their order."""
    return Message(
        "Registration",
        {
            "id": str(asset),
            "kind": kind,
            "inventoryDigest": inventory_digest,
            "recordDigest": record_digest,
            "parents": [str(parent) for parent in parents],
        },
    )


def evidence(subject: UUID, claim: str, statement_digest: str, verdict: str) -> Message:
    """Asks that a statement's digest and verdict (a key of ``VERDICTS``) be recorded."""
    return Message(
        "Evidence",
        {
            "subject": str(subject),
            "claim": claim,
            "statementDigest": statement_digest,
            "verdict": VERDICTS[verdict],
        },
    )


def revocation(asset: UUID, reason_digest: str) -> Message:
    """Asks that an asset be marked as no longer to be used; the reason is the document with this digest."""
    return Message("Revocation", {"id": str(asset), "reasonDigest": reason_digest})
