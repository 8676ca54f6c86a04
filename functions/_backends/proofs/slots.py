"""Where the contracts keep things, and how a word is read: the layout that ``contracts/test/Storage.t.sol`` holds.

A mapping's value is at the Keccak-256 of key and the mapping's own slot, 32 bytes each
(https://docs.soliditylang.org/en/latest/internals/layout_in_storage.html); fields are packed from the low-order end.

    >>> recorded_of(0) is None
    True
"""

from typing import NamedTuple
from uuid import UUID

from functions._backends.keccak import checksummed, keccak
from functions._domain.digests import bytes_of
from functions._domain.errors import RejectedContent
from functions._domain.ports import Recorded

_ROLES, _ASSETS, _SIGNING_KEYS = 0, 3, 4
_ENTRIES = 2
_KINDS, _VERDICTS = range(1, 5), range(1, 4)


class AssetSlot(NamedTuple):
    """What ``AssetLedger`` keeps of an asset: its contract's address, when it was registered, kind from 1, revoked."""

    contract: str
    registered_at: int
    kind: int
    revoked: bool


def role_id(role: str) -> bytes:
    """The identifier of a role in ``AccessControl``."""
    return keccak(f"{role.upper()}_ROLE".encode())


def asset_slot(asset: UUID) -> bytes:
    """Where ``AssetLedger`` keeps an asset."""
    return _at(asset.bytes.ljust(32, b"\0"), _number(_ASSETS))


def signing_key_slot(role: str, account: str) -> bytes:
    """Where ``AssetLedger`` keeps the digest of the key that an account signs statements with in a role."""
    return _at(_address(account), _at(role_id(role), _number(_SIGNING_KEYS)))


def member_slot(role: str, account: str) -> bytes:
    """Where ``AssetLedger`` keeps whether an account holds a role."""
    return _at(_address(account), _at(role_id(role), _number(_ROLES)))


def evidence_slot(subject: UUID, claim: str, statement_digest: str) -> bytes:
    """Where ``EvidenceLog`` keeps what was recorded of a statement."""
    parts = (subject.bytes, claim.encode("ascii"), bytes_of(statement_digest))
    return _at(keccak(b"".join(part.ljust(32, b"\0") for part in parts)), _number(_ENTRIES))


def _at(key: bytes, mapping: bytes) -> bytes:
    return keccak(key + mapping)


def _number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address(account: str) -> bytes:
    return bytes.fromhex(account.removeprefix("0x")).rjust(32, b"\0")


def asset_of(word: int) -> AssetSlot | None:
    """The asset in a word, or None where the slot is empty.

    Raises:
        RejectedContent: the word is none that the contract writes.
    """
    if word == 0:
        return None
    contract, time, kind, revoked, rest = _split(word)
    if rest or revoked > 1 or kind not in _KINDS or not contract or not time:
        raise RejectedContent(f"0x{word:064x} is no asset's slot")
    return AssetSlot(_checksummed(contract), time, kind, bool(revoked))


def recorded_of(word: int) -> Recorded | None:
    """What was recorded of a statement, in a word, or None where the slot is empty.

    Raises:
        RejectedContent: the word is none that the contract writes.
    """
    if word == 0:
        return None
    authorizer, time, verdict, more, rest = _split(word)
    if rest or more or verdict not in _VERDICTS or not authorizer or not time:
        raise RejectedContent(f"0x{word:064x} is no recorded evidence's slot")
    return Recorded(_checksummed(authorizer), time, verdict)


def _split(word: int) -> tuple[int, int, int, int, int]:
    """Fields of 160, 64, 8 and 8 bits from the low-order end, and what is above."""
    return word & 2**160 - 1, word >> 160 & 2**64 - 1, word >> 224 & 255, word >> 232 & 255, word >> 240


def _checksummed(address: int) -> str:
    return checksummed(address.to_bytes(20, "big"))
