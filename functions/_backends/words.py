"""ABI values of fixed length (https://docs.soliditylang.org/en/latest/abi-spec.html): one 32-byte word for each.

All that the ledger's questions and answers have; ``eth_abi``, which knows the rest too, takes 150 ms to import. A test
compares the two.

    >>> decode(["(uint8,bool)"], encode(["(uint8,bool)"], [(7, True)]))
    ((7, True),)
"""

import re
from collections.abc import Iterator, Sequence

from functions._backends.keccak import checksummed

_WORD = re.compile(r"(uint|bytes)\d+|address|bool")


def are_fixed(kinds: Sequence[str]) -> bool:
    """Whether all of some types are words, or tuples of words."""
    return all(_WORD.fullmatch(part) for kind in kinds for part in _parts(kind))


def _parts(kind: str) -> list[str]:
    return kind[1:-1].split(",") if kind.startswith("(") else [kind]


def encode(kinds: Sequence[str], values: Sequence[object]) -> bytes:
    """The words of some values: numbers, bytes, addresses with 0x."""
    return b"".join(_words(kinds, values))


def _words(kinds: Sequence[str], values: Sequence[object]) -> Iterator[bytes]:
    for kind, value in zip(kinds, values, strict=True):
        if isinstance(value, tuple | list):
            yield from _words(_parts(kind), value)
        elif isinstance(value, bytes):
            if len(value) > int(kind.removeprefix("bytes")):
                raise ValueError(f"{len(value)} bytes are no {kind}")
            yield value.ljust(32, b"\0")
        elif isinstance(value, str):
            yield bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0")
        else:
            yield int(value).to_bytes(32, "big")  # type: ignore[call-overload]


def decode(kinds: Sequence[str], data: bytes) -> tuple[object, ...]:
    """The values in some words; raises ValueError where there are too few."""
    words = iter(data[start : start + 32] for start in range(0, len(data) - 31, 32))
    return tuple(_value(kind, words) for kind in kinds)


def _value(kind: str, words: Iterator[bytes]) -> object:
    if kind.startswith("("):
        return tuple(_value(part, words) for part in _parts(kind))
    word = next(words, b"")
    if not word:
        raise ValueError(f"the answer ends before its {kind}")
    if kind == "address":
        return checksummed(word[12:])
    if kind.startswith("bytes"):
        return word[: int(kind.removeprefix("bytes"))]
    number = int.from_bytes(word, "big")
    return bool(number) if kind == "bool" else number
