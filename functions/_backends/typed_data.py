"""EIP-712 digests of our authorizations (https://eips.ethereum.org/EIPS/eip-712), for signing and recovering.

``eth_account`` does the same at 0.5 s of import; a test compares the two. Only the shapes of
``functions._domain.authorizations.TYPES`` are taken.
"""

from eth_abi.abi import encode
from eth_keys.datatypes import PrivateKey, Signature

from functions._backends.keccak import keccak
from functions._domain.authorizations import TYPES, Authorization, Message

DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
CONTRACTS = {"Registration": "AssetLedger", "Revocation": "AssetLedger", "Evidence": "EvidenceLog"}
"""Which contract verifies which struct; its name is the domain's name."""

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def digest(message: Message, chain_id: int, contract: str) -> bytes:
    """The 32 bytes that are signed: keccak256(0x1901 ‖ domain separator ‖ struct hash)."""
    return keccak(b"\x19\x01" + domain_separator(CONTRACTS[message.type], chain_id, contract) + _struct_hash(message))


def domain_separator(name: str, chain_id: int, contract: str) -> bytes:
    """What binds a signature to one contract of one chain."""
    values = [keccak(DOMAIN.encode()), keccak(name.encode()), keccak(b"1"), chain_id, contract]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], values))


def _struct_hash(message: Message) -> bytes:
    fields = TYPES[message.type]
    signature = f"{message.type}({','.join(f'{kind} {name}' for name, kind in fields)})"
    kinds, values = ["bytes32"], [keccak(signature.encode())]
    for (_, kind), value in zip(fields, message.values(), strict=True):
        if kind.endswith("[]"):  # an array is hashed as the concatenation of its encoded elements
            element = kind.removesuffix("[]")
            items: list[object] = list(value)  # type: ignore[call-overload]
            kinds.append("bytes32")
            values.append(keccak(encode([element] * len(items), items)))
        else:
            kinds.append(kind)
            values.append(value)  # type: ignore[arg-type]
    return keccak(encode(kinds, values))


def sign(key: bytes, digest_: bytes) -> str:
    """A 65-byte signature r ‖ s ‖ v as hex; deterministic (RFC 6979), s in the lower half, v 27 or 28."""
    raw = PrivateKey(key).sign_msg_hash(digest_).to_bytes()
    return "0x" + raw[:64].hex() + bytes([raw[64] + 27]).hex()


def signer_of(authorization: Authorization) -> str:
    """The checksummed address whose key made this authorization's signature."""
    raw = bytes.fromhex(authorization.signature[2:])
    signed = digest(authorization.message, authorization.chain_id, authorization.contract)
    return Signature(raw[:64] + bytes([raw[64] - 27])).recover_public_key_from_msg_hash(signed).to_checksum_address()
