"""Protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), field by field, nothing held whole."""

from collections.abc import Iterator
from dataclasses import dataclass

from functions._domain.errors import RejectedContent
from functions._domain.tensors.parts import Flat

MOST_FIELDS = 1_000_000
_FIXED = {1: 8, 5: 4}


@dataclass(frozen=True)
class Field:
    """One field: its number, its value where it is a number, and where its bytes are."""

    number: int
    value: int
    start: int
    length: int


@dataclass
class Message:
    """A message within a file, from ``start`` to ``end``; ``left`` is how many fields may still be read, in all."""

    source: Flat
    start: int
    end: int
    left: list[int]

    def __iter__(self) -> Iterator[Field]:
        """The fields, in order."""
        at = self.start
        while at < self.end:
            self.left[0] -= 1
            if self.left[0] < 0:
                raise RejectedContent(f"it has more than {MOST_FIELDS:,} fields")
            found = self._field(at)
            at = found.start + found.length
            if at > self.end:
                raise RejectedContent("a field reaches over the end of its message")
            yield found

    def _field(self, at: int) -> Field:
        window = self.source.take(at, 20)
        key, taken = varint(window)
        number, kind = key >> 3, key & 7
        if kind in _FIXED:
            return Field(number, 0, at + taken, _FIXED[kind])
        value, more = varint(window[taken:])
        if kind == 0:
            return Field(number, value, at + taken, more)
        if kind != 2:
            raise RejectedContent(f"a field has the wire type {kind}")
        return Field(number, 0, at + taken + more, value)

    def within(self, field: Field) -> "Message":
        """The message in a field."""
        return Message(self.source, field.start, field.start + field.length, self.left)

    def text(self, field: Field, limit: int = 4096) -> str:
        """A short text in a field."""
        if field.length > limit:
            raise RejectedContent(f"a name of {field.length} bytes is no name")
        return self.source.take(field.start, field.length).decode()

    def chunks(self, field: Field) -> Iterator[bytes]:
        """A field's bytes."""
        return self.source.chunks("", field.start, field.length)

    def numbers(self, field: Field) -> Iterator[int]:
        """The varints of a packed field, or its only one."""
        window, at = self.source.take(field.start, min(field.length, 4096)), 0
        while at < len(window):
            value, taken = varint(window[at:])
            yield value
            at += taken


def varint(data: bytes) -> tuple[int, int]:
    """A varint and how many bytes it takes."""
    value = 0
    for index, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, index + 1
    raise RejectedContent("a number is cut off")
