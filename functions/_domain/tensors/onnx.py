"""ONNX: initializers and nodes (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), read field by field."""

import hashlib
from collections.abc import Iterator

from functions._domain.tensors.parts import Flat, Part, Place, hex_of_stream
from functions._domain.tensors.protobuf import MOST_FIELDS, Field, Message

_MODEL = {1: "ir version", 8: "operator sets", 20: "training", 25: "functions"}
_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_OF_THE_GRAPH = {11: "inputs", 12: "outputs", 14: "quantization", 15: "sparse initializers"}
_NOTES = frozenset((6, 9))
"""Of a node: documentation and metadata."""

_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
_TYPED = {4: "float32", 10: "float64"}
"""Fields with elements one after another, in the order of bytes of ``raw_data``."""
_VALUES = frozenset((3, 4, 5, 6, 7, 9, 10, 11, 13, 14))
_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


def parts(source: Flat) -> Iterator[Part]:
    """A model's parts; external data are files of their own."""
    model = Message(source, 0, source.file.size, [MOST_FIELDS])
    said: dict[str, hashlib._Hash] = {}
    for field in model:
        if field.number == _GRAPH:
            yield from _graph(model.within(field), source.file.path, said)
        elif field.number in _MODEL:
            _add(said, _MODEL[field.number], model, field)
    for name, running in said.items():
        yield Part(source.file.path, name, running.hexdigest())


def _add(said: "dict[str, hashlib._Hash]", name: str, message: Message, field: Field) -> None:
    running = said.setdefault(name, hashlib.sha256())
    running.update(f"{field.number}:{field.length}:".encode())  # so that bytes cannot move from one field to another
    for chunk in message.chunks(field):
        running.update(chunk)


def _graph(graph: Message, path: str, said: "dict[str, hashlib._Hash]") -> Iterator[Part]:
    for field in graph:
        if field.number == _INITIALIZER:
            yield _initializer(graph.within(field), path)
        elif field.number == _NODE:
            said.setdefault("nodes", hashlib.sha256()).update(b"node:")
            node = graph.within(field)
            for one in node:
                if one.number not in _NOTES:
                    _add(said, "nodes", node, one)
        elif field.number in _OF_THE_GRAPH:
            _add(said, _OF_THE_GRAPH[field.number], graph, field)


def _initializer(tensor: Message, path: str) -> Part:
    name, kind, shape, values = "", 0, list[int](), list[Field]()
    for field in tensor:
        if field.number == _NAME:
            name = tensor.text(field)
        elif field.number == _TYPE:
            kind = field.value
        elif field.number == _DIMS:
            shape += tensor.numbers(field)
        elif field.number in _VALUES:
            values.append(field)
    dtype = _TYPES.get(kind, f"type {kind}")
    place = None
    if len(values) == 1 and (values[0].number == _RAW or _TYPED.get(values[0].number) == dtype):
        place = Place(path, "", values[0].start, values[0].length)
    digest = hex_of_stream(chunk for one in values for chunk in tensor.chunks(one))
    stored = "" if place else f"fields {[one.number for one in values]}"
    return Part(path, name, digest, dtype, tuple(shape), stored, place)
