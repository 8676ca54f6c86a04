"""Block headers as RLP, so that the Keccak-256 of what is kept is the hash of the block.

The fields and their order: https://github.com/ethereum/execution-specs (the dataclass ``Header`` of each fork). Chains
that agree by Byzantine fault tolerance hash another ``extraData`` than they show, since the seals in it sign the hash:

- QBFT: RLP of vanity, validators, vote, round, seals; hashed with round 0 and no seals
  (https://entethalliance.github.io/client-spec/qbft_spec.html; Besu's ``QbftExtraDataCodec``, GoQuorum's
  ``QBFTFilteredHeader``);
- IBFT 2: the same fields; hashed without round and seals (Besu's ``IbftExtraDataCodec``);
- IBFT: 32 bytes of vanity, then RLP of validators, proposer's seal, seals; hashed with no seals (GoQuorum's
  ``IstanbulFilteredHeader``).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from functions._backends.keccak import keccak
from functions._domain.errors import RejectedContent

_REQUIRED = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce",
)  # fmt: skip
_LATER = (
    "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip
"""What forks added, from London to Prague; a header has the first so many of them."""

_FIELDS = _REQUIRED + _LATER
_EXTRA = _FIELDS.index("extraData")
_NUMBERS = {
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas",
}  # fmt: skip
_LENGTHS = {"miner": 20, "logsBloom": 256, "nonce": 8}
"""How many bytes a field has that is neither a number, nor ``extraData``, nor a digest of 32."""

_VANITY = 32


class RejectedHeader(RejectedContent):
    """No way to write this header that we know has the block's hash, or it is no header."""


@dataclass(frozen=True)
class Header:
    """What we use of a block's header; ``hash`` and ``state_root`` are ``0x`` and 64 hex digits."""

    number: int
    hash: str
    timestamp: int
    state_root: str


def preimage(block: Mapping[str, Any]) -> bytes:
    """The RLP whose Keccak-256 is the block's hash, from the answer to ``eth_getBlockByNumber``.

    Raises:
        RejectedHeader: none has.
    """
    import rlp

    try:
        fields = [_value(name, block[name]) for name in _present(block)]
        expected = bytes.fromhex(block["hash"][2:])
    except (KeyError, TypeError, ValueError) as error:
        raise RejectedHeader(f"the node's block is no block: {error!r}") from error
    for extra in _extras(fields[_EXTRA]):
        encoded: bytes = rlp.encode([*fields[:_EXTRA], extra, *fields[_EXTRA + 1 :]])
        if keccak(encoded) == expected:
            return encoded
    raise RejectedHeader(
        f"block {block['number']} has the hash {block['hash']}, and no form of its header that we know has it: "
        "understood are Ethereum up to the fork Prague, Clique, QBFT, IBFT 2 and GoQuorum's IBFT"
    )


def _present(block: Mapping[str, Any]) -> Iterator[str]:
    yield from _REQUIRED
    yield from (name for name in _LATER if block.get(name) is not None)


def _value(name: str, text: str) -> bytes:
    if name in _NUMBERS:
        number = int(text, 16)
        return number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes.fromhex(text.removeprefix("0x"))


def _extras(shown: bytes) -> Iterator[bytes]:
    """The forms in which an ``extraData`` may be part of what is hashed."""
    yield shown
    for form in (_qbft, _ibft2, _ibft):
        found = _formed(form, shown)
        if found is not None:
            yield found


def _formed(form: Callable[[bytes], bytes], shown: bytes) -> bytes | None:
    from rlp.exceptions import RLPException

    try:
        return form(shown)
    except (RLPException, ValueError):
        return None


def _qbft(shown: bytes) -> bytes:
    import rlp

    vanity, validators, vote, _, _ = rlp.decode(shown)
    return bytes(rlp.encode([vanity, validators, vote, b"", []]))


def _ibft2(shown: bytes) -> bytes:
    import rlp

    vanity, validators, vote, _, _ = rlp.decode(shown)
    return bytes(rlp.encode([vanity, validators, vote]))


def _ibft(shown: bytes) -> bytes:
    import rlp

    validators, seal, _ = rlp.decode(shown[_VANITY:])
    return shown[:_VANITY] + bytes(rlp.encode([validators, seal, []]))


def read(header: bytes) -> Header:
    """What a header in RLP says.

    Raises:
        RejectedHeader: it is no header.
    """
    import rlp
    from rlp.exceptions import RLPException

    try:
        values = rlp.decode(header)
        if not isinstance(values, list) or not len(_REQUIRED) <= len(values) <= len(_FIELDS):
            raise ValueError("not so many fields as a header has")
        fields = dict(zip(_FIELDS, values, strict=False))
        wrong = [name for name, value in fields.items() if not _is_formed(name, value)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} has not the form of a header's")
    except (RLPException, ValueError) as error:
        raise RejectedHeader(f"the block's header is none: {error}") from error
    return Header(
        number=int.from_bytes(fields["number"], "big"),
        hash="0x" + keccak(header).hex(),
        timestamp=int.from_bytes(fields["timestamp"], "big"),
        state_root="0x" + fields["stateRoot"].hex(),
    )


def _is_formed(name: str, value: object) -> bool:
    if not isinstance(value, bytes):
        return False
    if name in _NUMBERS:
        return not value.startswith(b"\0") and len(value) <= 32
    return name == "extraData" or len(value) == _LENGTHS.get(name, 32)
