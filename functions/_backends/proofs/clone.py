"""The code of an asset's contract: an ERC-1167 proxy (https://eips.ethereum.org/EIPS/eip-1167), then the metadata.

``contracts/src/assets/AssetDefinition.sol`` has the layout; nothing else is kept of an asset but its slot.
"""

from dataclasses import dataclass
from uuid import UUID

from functions._backends.keccak import checksummed

_PREFIX = bytes.fromhex("363d3d373d3d3d363d73")
_SUFFIX = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
_ADDRESS = len(_PREFIX)
_PROXY = _ADDRESS + 20 + len(_SUFFIX)
_FIXED, _PARENT = 100, 16


@dataclass(frozen=True)
class Clone:
    """What stands in an asset's contract: addresses are checksummed, digests ``sha256:<hex>``."""

    implementation: str
    asset: UUID
    inventory_digest: str
    record_digest: str
    authorizer: str
    parents: tuple[UUID, ...]


def read(code: bytes) -> Clone:
    """The metadata in an asset's contract.

    Raises:
        ValueError: this is not the code of one.
    """
    proxy, metadata = code[:_PROXY], code[_PROXY:]
    implementation = proxy[_ADDRESS : _ADDRESS + 20]
    if proxy != _PREFIX + implementation + _SUFFIX or len(implementation) != 20:
        raise ValueError("not an ERC-1167 proxy")
    if len(metadata) < _FIXED or (len(metadata) - _FIXED) % _PARENT:
        raise ValueError(f"{len(metadata)} bytes of metadata, expected {_FIXED} and {_PARENT} for each parent")
    return Clone(
        implementation=checksummed(implementation),
        asset=UUID(bytes=metadata[:16]),
        inventory_digest=f"sha256:{metadata[16:48].hex()}",
        record_digest=f"sha256:{metadata[48:80].hex()}",
        authorizer=checksummed(metadata[80:_FIXED]),
        parents=tuple(UUID(bytes=metadata[at : at + _PARENT]) for at in range(_FIXED, len(metadata), _PARENT)),
    )
