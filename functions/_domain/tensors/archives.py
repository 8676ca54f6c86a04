"""Frameworks' archives: what of their entries is tensor, what is program, and what is only of this one saving."""

import pickletools
import re
from collections.abc import Iterator
from typing import Any

from functions._domain.errors import RejectedContent
from functions._domain.tensors.arrays import entry_of
from functions._domain.tensors.parts import ITEM, JSON_BOUND, Part, Place, Zipped, hex_of_stream, part, sorted_json

_CONFIGURATION = re.compile(r"data/(?P<kind>weights|constants)/(?P<model>.+)_(?P=kind)_config\.json")
_GRAPH = re.compile(r"models/.+\.json")
_OF_ONE_SAVING = re.compile(r"\.data/.*|data/sample_inputs/.*|.*\.debug_pkl")
_TORCH_TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16",
}  # fmt: skip
"""``torch._export.serde.schema.ScalarType``."""

_STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip
_ADDRESS = re.compile(rb'"__id__":\s*\d+')
_MENTION = re.compile(rb'"file":\s*"([^"\\]{1,200})"')
_TEXT_BOUND = 4 << 20


def _inner(archive: Zipped) -> tuple[str, list[str]]:
    """PyTorch puts all entries in one folder, named like the file: its name, and theirs inside that count."""
    root = archive.names()[0].split("/", 1)[0] + "/"
    names = [name.removeprefix(root) for name in archive.names()]
    return root, [name for name in names if not _OF_ONE_SAVING.fullmatch(name)]


def exported(archive: Zipped) -> Iterator[Part]:
    """``torch.export.save``: https://docs.pytorch.org/docs/stable/export/pt2_archive.html."""
    root, names = _inner(archive)
    named: set[str] = set()
    for name in names:
        if match := _CONFIGURATION.fullmatch(name):
            document: Any = archive.document(root + name)
            prefix = match["kind"] if match["model"] == "model" else f"{match['model']}/{match['kind']}"
            for label, payload in ({} if document is None else document["config"]).items():
                entry = f"data/{match['kind']}/{payload['path_name']}"
                named.add(entry)
                yield _exported_tensor(archive, root + entry, f"{prefix}/{label}", payload)
            if document is not None:
                named.add(name)
    for name in names:
        if name in named:
            continue
        graph = archive.document(root + name) if _GRAPH.fullmatch(name) else None
        if graph is None:
            yield archive.whole(root + name, name)
        else:
            yield part(archive.file.path, sorted_json(_without_notes(graph)), name)


def _exported_tensor(archive: Zipped, entry: str, name: str, payload: Any) -> Part:
    if payload["use_pickle"]:
        return archive.whole(entry, name)
    said = payload["tensor_meta"]
    shape, strides = ([size["as_int"] for size in said[field]] for field in ("sizes", "strides"))
    layout = f"strides {strides} offset {said['storage_offset']['as_int']}"
    dtype = _TORCH_TYPES.get(said["dtype"], f"type {said['dtype']}")
    place = Place(archive.file.path, entry, 0, archive.size(entry))
    return Part(archive.file.path, name, archive.digest(entry), dtype, tuple(shape), layout, place)


def _without_notes(value: Any) -> Any:
    """A graph without what tells of the machine that traced it: stack traces, paths, guards in Python."""
    if isinstance(value, dict):
        return {key: _without_notes(one) for key, one in value.items() if key not in ("metadata", "guards_code")}
    return [_without_notes(one) for one in value] if isinstance(value, list) else value


def scripted(archive: Zipped) -> Iterator[Part]:
    """TorchScript: storages by number; ``data.pkl`` says where each goes, and is looked at, never unpickled."""
    root, names = _inner(archive)
    types = _storage_types(archive, f"{root}data.pkl")
    for name in names:
        dtype = types.get(name, "")
        if not dtype:
            yield archive.whole(root + name, name)
            continue
        size = archive.size(root + name)
        place = Place(archive.file.path, root + name, 0, size)
        shape = (size // ITEM[dtype],) if dtype in ITEM else (size,)
        yield Part(archive.file.path, name, archive.digest(root + name), dtype, shape, place=place)


def _storage_types(archive: Zipped, entry: str) -> dict[str, str]:
    """The type of each storage: a pickle names ``torch FloatStorage``, then the storage's number."""
    if archive.size(entry) > JSON_BOUND:
        return {}
    memo: dict[object, str] = {}
    found: dict[str, str] = {}
    last, wanted = "", ""
    for code, argument, _ in pickletools.genops(b"".join(archive.chunks(entry))):
        match code.name:
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = last
                continue
            case "BINGET" | "LONG_BINGET":
                last = memo.get(argument, "")
            case "GLOBAL" | "BINUNICODE":
                last = str(argument)
            case _:
                last = ""
        if wanted and last:
            found[f"data/{last}"] = wanted
        wanted = _STORAGES.get(last.removeprefix("torch "), "") if last.startswith("torch ") else ""
    return found


def scikit(archive: Zipped) -> Iterator[Part]:
    """skops: arrays are files named by their address, so they are numbered as the schema mentions them."""
    numbers: dict[str, int] = {}
    there = set(archive.names())

    def numbered(match: re.Match[bytes]) -> bytes:
        name = match[1].decode()
        if name not in there:
            return match[0]
        return b'"file": "%d"' % numbers.setdefault(name, len(numbers))

    def schema() -> Iterator[bytes]:
        for piece in _pieces(archive.chunks("schema.json")):
            yield _MENTION.sub(numbered, _ADDRESS.sub(b'"__id__": 0', piece))

    yield Part(archive.file.path, "schema.json", hex_of_stream(schema()))
    for name in sorted(there - {"schema.json"}):
        number = numbers.get(name)
        yield entry_of(archive, name, name if number is None else f"array {number}")


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """A JSON text in pieces that end where no name or number is cut in two."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        end = max(rest.rfind(b"\n"), rest.rfind(b",")) + 1
        yield rest[:end]
        rest = rest[end:]
        if len(rest) > _TEXT_BOUND:
            raise RejectedContent("its schema has a text that no model has")
    yield rest


def keras(archive: Zipped) -> Iterator[Part]:
    """Keras 3: all entries as bytes, without the date and addresses; Keras writes no times into HDF5."""
    for name in archive.names():
        document: Any = archive.document(name) if name in ("metadata.json", "config.json") else None
        if document is None:
            yield archive.whole(name, name)
            continue
        if name == "metadata.json":
            document = {key: value for key, value in document.items() if key != "date_saved"}
        yield part(archive.file.path, sorted_json(_renumbered(document, {})), name)


def _renumbered(value: Any, known: dict[object, int]) -> Any:
    """A configuration whose objects have numbers, in the order of their mention, for the addresses they had."""
    if isinstance(value, dict):
        renumbered = {}
        for key, one in value.items():
            is_address = key == "shared_object_id" and isinstance(one, int)
            renumbered[key] = known.setdefault(one, len(known)) if is_address else _renumbered(one, known)
        return renumbered
    return [_renumbered(one, known) for one in value] if isinstance(value, list) else value
