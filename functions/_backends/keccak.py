"""Keccak-256, the EVM's digest, straight from ``pycryptodome``: ``eth_hash`` chooses a package first, at its own cost.

>>> keccak(b"").hex()
'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'
"""

from Crypto.Hash import keccak as _keccak


def keccak(data: bytes) -> bytes:
    """The 32 bytes of a digest."""
    return _keccak.new(digest_bits=256, data=data).digest()


def checksummed(address: bytes) -> str:
    """An account or contract as people write it, capitals telling mistakes (https://eips.ethereum.org/EIPS/eip-55)."""
    plain = address.hex()
    digits = keccak(plain.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(digit, 16) > 7 else letter for letter, digit in zip(plain, digits, strict=False)
    )
