r"""Reads Universal Binary JSON (https://ubjson.org), as XGBoost writes it, and nothing that is not whole.

XGBoost's own reader follows lengths beyond the end of what it is given: a file that was cut off by a hundredth took
gigabytes, or ended the process (measured with 3.2). So a file is read here first.

    >>> decode(b"{L\x00\x00\x00\x00\x00\x00\x00\x01a[i\x01T]}")
    {'a': [1, True]}
"""

from typing import Any

import numpy

_DEPTH_BOUND = 64
_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_WORDS = {"T": True, "F": False, "Z": None}


def decode(data: bytes) -> Any:
    """The document; arrays of numbers of one type are numpy's.

    Raises:
        ValueError: it is cut off, goes on after its end, or is none.
    """
    reader = _Reader(data)
    value = reader.value(reader.marker(), 0)
    if reader.at != len(data):
        raise ValueError(f"it goes on after its end, at byte {reader.at}")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self._data):
            raise ValueError(f"it is cut off at byte {len(self._data)}: {count} more are wanted at {self.at}")
        self.at += count
        return self._data[self.at - count : self.at]

    def marker(self) -> str:
        return self.take(1).decode("latin-1")

    def peek(self) -> str:
        return self._data[self.at : self.at + 1].decode("latin-1")

    def number(self, kind: str) -> Any:
        dtype = numpy.dtype(_known(kind))
        return numpy.frombuffer(self.take(dtype.itemsize), dtype)[0].item()

    def length(self) -> int:
        kind = self.marker()
        if kind not in "iUIlL":
            raise ValueError(f"a length has the type {kind!r} at byte {self.at}")
        return int(self.number(kind))

    def value(self, kind: str, depth: int) -> Any:
        if depth > _DEPTH_BOUND:
            raise ValueError(f"it is nested deeper than {_DEPTH_BOUND}")
        match kind:
            case "{":
                return self.entries(depth)
            case "[":
                return self.items(depth)
            case "S":
                return self.take(self.length()).decode()
            case _ if kind in _WORDS:
                return _WORDS[kind]
        return self.number(kind)

    def entries(self, depth: int) -> dict[str, Any]:
        found = {}
        while self.peek() != "}":
            name = self.take(self.length()).decode()
            found[name] = self.value(self.marker(), depth + 1)
        self.marker()
        return found

    def items(self, depth: int) -> Any:
        if self.peek() == "$":
            self.marker()
            dtype = numpy.dtype(_known(self.marker()))
            if self.marker() != "#":
                raise ValueError(f"an array of one type has no length at byte {self.at}")
            return numpy.frombuffer(self.take(self.length() * dtype.itemsize), dtype)
        count = None
        if self.peek() == "#":
            self.marker()
            count = self.length()
        found: list[Any] = []
        while self.peek() != "]" if count is None else len(found) < count:
            found.append(self.value(self.marker(), depth + 1))
        if count is None:
            self.marker()
        return found


def _known(kind: str) -> str:
    if kind not in _NUMBERS:
        raise ValueError(f"a value has the type {kind!r}, which is none that is known")
    return _NUMBERS[kind]
