"""Deployed code against this version's build, and what the constructor wrote into it.

Solidity puts the values of ``immutable`` variables into the deployed code; ``functions/_backends/abi`` says where.
Apart from those, a contract of ours is the same bytes everywhere.
"""

from collections.abc import Mapping

from functions._backends.ethereum import interface
from functions._backends.keccak import checksummed, keccak
from functions._domain.assets import Kind

DEFINITIONS: Mapping[Kind, str] = {
    Kind.DATASET: "DatasetAsset",
    Kind.MODEL: "ModelAsset",
    Kind.TRAINED_MODEL: "TrainedModelAsset",
    Kind.TRANSLATION: "TranslationAsset",
}
"""Which contract defines assets of a kind."""

_VERSION = "1"


def immutables(contract: str, code: bytes) -> Mapping[str, bytes] | None:
    """What the constructor wrote into a contract's code: 32 bytes each, by ``Contract.VARIABLE``.

    None where the rest of the code is not this version's build of the contract, or two places disagree.
    """
    document = interface(contract)
    build = bytearray.fromhex(document["deployedBytecode"].removeprefix("0x"))
    if len(code) != len(build):
        return None
    found: dict[str, bytes] = {}
    for name, places in document["immutableReferences"].items():
        for place in places:
            start, end = place["start"], place["start"] + place["length"]
            build[start:end] = found.setdefault(name, code[start:end])
    return found if build == code else None


def of_domain(contract: str, chain_id: int, address: str) -> Mapping[str, bytes]:
    """The immutables of OpenZeppelin's ``EIP712`` in a contract of ours that stands at an address of a chain."""
    from functions._backends.typed_data import domain_separator

    return {
        "EIP712._cachedChainId": chain_id.to_bytes(32, "big"),
        "EIP712._cachedDomainSeparator": domain_separator(contract, chain_id, address),
        "EIP712._cachedThis": bytes.fromhex(address[2:]).rjust(32, b"\0"),
        "EIP712._hashedName": keccak(contract.encode()),
        "EIP712._hashedVersion": keccak(_VERSION.encode()),
        "EIP712._name": _short(contract),
        "EIP712._version": _short(_VERSION),
    }


def _short(text: str) -> bytes:
    """OpenZeppelin's ``ShortString``: the bytes, and their number in the last of 32."""
    return text.encode().ljust(31, b"\0") + bytes([len(text)])


def implementation_of(found: Mapping[str, bytes], kind: Kind) -> str:
    """The address of the contract that defines a kind, from an AssetLedger's immutables."""
    return address_of(found[f"AssetLedger.{kind.name}_IMPLEMENTATION"])


def address_of(word: bytes) -> str:
    """The checksummed address in a word."""
    return checksummed(word[12:])
