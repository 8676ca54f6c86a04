"""NumPy's arrays, alone and in archives: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html."""

import ast
import re
from collections.abc import Iterator

from functions._domain.errors import RejectedContent
from functions._domain.tensors.parts import Part, Place, Source, Zipped, hex_of_stream

MAGIC = b"\x93NUMPY"
_HEADER_BOUND = 10_000
"""As NumPy itself has it."""

_TYPES = {
    "<f2": "float16", "<f4": "float32", "<f8": "float64", "<i8": "int64", "<i4": "int32", "<i2": "int16", "|i1": "int8",
    "|u1": "uint8", "|b1": "bool",
}  # fmt: skip


def array(source: Source, path: str, entry: str, name: str) -> Part:
    """An array in a file or an entry; padding of its header does not count."""
    head = b"".join(source.chunks(entry, 0, _HEADER_BOUND + 12))
    start, described = _header(head)
    shape = described["shape"]
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise RejectedContent(f"the array {name[:100]!r} has no shape")
    dtype = str(described["descr"])
    layout = "fortran" if described["fortran_order"] else ""
    digest, length = _digest_behind(source.chunks(entry), start)
    place = Place(path, entry, start, length)
    return Part(path, name, digest, _TYPES.get(dtype, dtype), shape, layout, place)


def _header(head: bytes) -> tuple[int, dict[str, object]]:
    """Where the elements begin, and what is said of them."""
    wide = 2 if head[6:7] == b"\x01" else 4
    length = int.from_bytes(head[8 : 8 + wide], "little")
    start = 8 + wide + length
    if not head.startswith(MAGIC) or length > _HEADER_BOUND or start > len(head):
        raise RejectedContent("an array has no header, or one that no array has")
    described = ast.literal_eval(head[8 + wide : start].decode("utf-8").strip())
    if not isinstance(described, dict) or described.keys() != {"descr", "fortran_order", "shape"}:
        raise RejectedContent("an array's header does not say what it holds")
    return start, described


def _digest_behind(chunks: Iterator[bytes], start: int) -> tuple[str, int]:
    length = 0

    def behind() -> Iterator[bytes]:
        nonlocal length
        for chunk in _without(chunks, start):
            length += len(chunk)
            yield chunk

    return hex_of_stream(behind()), length


def _without(chunks: Iterator[bytes], start: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[start:]
        start = max(0, start - len(chunk))


def entries(archive: Zipped) -> Iterator[Part]:
    """Any archive: arrays, and other entries as their bytes."""
    for name in archive.names():
        yield entry_of(archive, name, name)


def entry_of(archive: Zipped, entry: str, name: str) -> Part:
    """One entry, as an array where it is one."""
    if b"".join(archive.chunks(entry, 0, len(MAGIC))) == MAGIC:
        return array(archive, archive.file.path, entry, re.sub(r"\.npy$", "", name))
    return archive.whole(entry, name)
