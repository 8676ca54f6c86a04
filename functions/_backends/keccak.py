"""Keccak-256, the EVM's digest (https://keccak.team/keccak_specs_summary.html), for cold starts that only read.

``eth_hash`` with ``pycryptodome`` is quicker for many digests and takes 40 ms to import; one here takes half a
millisecond. A test compares the two.

    >>> keccak(b"").hex()
    'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'
"""

from functools import lru_cache

_RATE = 136
_MASK = (1 << 64) - 1


def _constants() -> tuple[list[int], list[tuple[int, int, int]]]:
    """The round constants (from the specification's shift register), and each lane's way through rho and pi."""
    rounds, register = [], 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            constant |= (register & 1) << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        rounds.append(constant)
    steps, x, y = [(0, 0, 64)] * 25, 1, 0
    for time in range(24):
        turn, below = (time + 1) * (time + 2) // 2 % 64, (2 * x + 3 * y) % 5
        steps[x + 5 * y] = (y + 5 * below, turn, 64 - turn)
        x, y = y, below
    return rounds, steps


_ROUNDS, _STEPS = _constants()


@lru_cache(256)
def keccak(data: bytes) -> bytes:
    """The 32 bytes of a digest."""
    padding = _RATE - len(data) % _RATE
    padded = data + (b"\x81" if padding == 1 else b"\x01" + bytes(padding - 2) + b"\x80")
    lanes = [0] * 25
    for start in range(0, len(padded), _RATE):
        for number in range(_RATE // 8):
            lanes[number] ^= int.from_bytes(padded[start + 8 * number : start + 8 * number + 8], "little")
        _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permute(lanes: list[int]) -> None:
    moved = [0] * 25
    for constant in _ROUNDS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        turned = [(column << 1 | column >> 63) & _MASK for column in columns]
        mixed = [columns[x - 1] ^ turned[(x + 1) % 5] for x in range(5)] * 5
        for lane, change, (target, left, right) in zip(lanes, mixed, _STEPS, strict=True):
            lane ^= change
            moved[target] = (lane << left | lane >> right) & _MASK
        for row in range(0, 25, 5):
            a, b, c, d, e = moved[row : row + 5]
            lanes[row : row + 5] = a ^ (~b & c), b ^ (~c & d), c ^ (~d & e), d ^ (~e & a), e ^ (~a & b)
        lanes[0] ^= constant


def checksummed(address: bytes) -> str:
    """An account or contract as people write it, capitals telling mistakes (https://eips.ethereum.org/EIPS/eip-55)."""
    plain = address.hex()
    digits = keccak(plain.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(digit, 16) > 7 else letter for letter, digit in zip(plain, digits, strict=False)
    )
