"""TensorFlow's SavedModel: its variables, from the checkpoint beside the graph.

``variables.index`` is a table of LevelDB's format (https://github.com/google/leveldb/blob/main/doc/table_format.md):
names, and for each a ``BundleEntryProto`` that says type, shape, shard and offset
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto).
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from functions._domain.errors import RejectedContent
from functions._domain.formats import ModelFile
from functions._domain.tensors.parts import Flat, Part, Place, hex_of_stream, opened
from functions._domain.tensors.protobuf import MOST_FIELDS, Message, varint

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER = 48
_INDEX_BOUND = 16 << 20
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_AGAIN = "_all_variables/"
"""Where ``model.export`` of Keras lists all variables once more, numbered in the order of a set."""
_TYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64", 10: "bool",
    14: "bfloat16", 19: "float16",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """What the table says of a variable."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    start: int
    length: int


def ignored(prefix: str) -> frozenset[str]:
    """The files of a SavedModel in the folder ``prefix`` that do not count, or whose parts are taken here."""
    names = ("saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables/variables.index")
    return frozenset(prefix + name for name in names)


def parts(files: Mapping[str, ModelFile], prefix: str) -> list[Part]:
    """The variables of the SavedModel in the folder ``prefix``, each once; a model may have none."""
    found = list(_variables(files, prefix))
    named = {(one.dtype, one.shape, one.sha256) for one in found if not one.name.startswith(_AGAIN)}
    return [one for one in found if not (one.name.startswith(_AGAIN) and (one.dtype, one.shape, one.sha256) in named)]


def _variables(files: Mapping[str, ModelFile], prefix: str) -> Iterator[Part]:
    index = files.get(f"{prefix}variables/variables.index")
    if index is None:
        return
    if index.size > _INDEX_BOUND:
        raise RejectedContent("its index is larger than a model's ever is")
    with index.open() as stream:
        table = dict(_table(stream.read(_INDEX_BOUND)))
    shards = _shards(table.pop(b"", b""))
    for name, value in table.items():
        entry = _entry(value)
        if name.decode() == _OBJECT_GRAPH:
            continue
        path = f"{prefix}variables/variables.data-{entry.shard:05d}-of-{shards:05d}"
        if path not in files:
            raise RejectedContent(f"{path} is missing")
        with opened(files[path], as_archive=False) as source:
            digest = hex_of_stream(source.chunks("", entry.start, entry.length))
        place = Place(path, "", entry.start, entry.length)
        yield Part(f"{prefix}variables", name.decode(), digest, entry.dtype, entry.shape, place=place)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer = data[-_FOOTER:]
    if len(data) < _FOOTER or not footer.endswith(_MAGIC):
        raise RejectedContent("its index is no table of variables")
    _, _, start, length = _numbers(footer, 4)  # a block of notes about the table, then that of its blocks
    for _, handle in _block(data, start, length):
        yield from _block(data, *_numbers(handle, 2))


def _numbers(data: bytes, count: int) -> list[int]:
    found = []
    for _ in range(count):
        number, taken = varint(data)
        found.append(number)
        data = data[taken:]
    return found


def _block(data: bytes, start: int, length: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block: keys share their beginnings, and where they do not stands at the end."""
    block = data[start : start + length]
    if len(block) != length or length < 4 or data[start + length : start + length + 1] != b"\0":
        raise RejectedContent("its index is cut off, or compressed")
    end = length - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        sizes = []
        for _ in range(3):
            number, taken = varint(block[at : at + 10])
            sizes.append(number)
            at += taken
        shared, more, size = sizes
        key = key[:shared] + block[at : at + more]
        yield key, block[at + more : at + more + size]
        at += more + size


def _message(data: bytes) -> Message:
    source = Flat(ModelFile("", len(data), lambda: io.BytesIO(data)), io.BytesIO(data))
    return Message(source, 0, len(data), [MOST_FIELDS])


def _shards(header: bytes) -> int:
    return next((field.value for field in _message(header) if field.number == 1), 1)


def _entry(data: bytes) -> Entry:
    message = _message(data)
    said = {field.number: field.value for field in message}
    shapes = [message.within(field) for field in message if field.number == 2]
    shape = [_size(message.within(dim)) for one in shapes for dim in one if dim.number == 2]
    dtype = _TYPES.get(said.get(1, 0), f"type {said.get(1, 0)}")
    return Entry(dtype, tuple(shape), said.get(3, 0), said.get(4, 0), said.get(5, 0))


def _size(dimension: Message) -> int:
    return next((field.value for field in dimension if field.number == 1), 0)
