r"""Finds out what a trained model is by looking at its bytes: nothing is executed, and no file name is believed.

Only heads of files and directories of archives are read, so a model of many gigabytes costs some kilobytes. Formats
that run code when they are loaded (pickles, in all their clothes) are refused with the way out.

    >>> detect([ModelFile("model.txt", 16, lambda: io.BytesIO(b"tree\nversion=v4\n"))])
    Format(framework='lightgbm', name='text', main='model.txt')
"""

import io
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from functions._domain.errors import PolyglotError, RejectedContent

TAKEN = (
    "PyTorch .pt2 (torch.export.save) or TorchScript, TensorFlow SavedModel, Keras .keras, JAX (what jax.export "
    "serializes), scikit-learn .skops, XGBoost .json or .ubj, LightGBM text, ONNX"
)
_WAYS_OUT = {
    "torch": "torch.export.save(torch.export.export(model, (example,)), 'model.pt2')",
    "sklearn": "skops.io.dump(model, 'model.skops')",
    "numpy": "numpy.savez('samples.npz', …) with arrays of numbers only",
}
_HEAD = 4096
_DIRECTORY_BOUND = 4 * 2**20
_CONTENT_BOUND = 16 * 2**20
_RATIO_BOUND = 200
_FIELDS_BOUND = 10_000
_MLIR_FIELD = 30
"""Where the table of ``jax.export``'s ``Exported`` says where its module lies: in its fourteenth field."""
_ONNX_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_OBJECT_DTYPE = re.compile(rb"['\"][|<>=]?O\d*['\"]")
_PICKLED_NAMES = (".pkl", ".pickle", ".joblib")


@dataclass(frozen=True)
class ModelFile:
    """One file of a model's folder: its path, its size in bytes, and a way to open it for reading and seeking."""

    path: str
    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Format:
    """What a model is: its framework, the framework's format, and the path of its main file."""

    framework: str
    name: str
    main: str


class _Bounded(io.RawIOBase):
    """A file of which at most ``budget`` bytes can be read, so that a hostile directory cannot fill the memory."""

    def __init__(self, inner: BinaryIO, size: int) -> None:
        super().__init__()
        self._inner, self._size, self.budget = inner, size, _DIRECTORY_BOUND

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def read(self, size: int = -1) -> bytes:
        wanted = min(size if size >= 0 else self._size, max(0, self._size - self.tell()))
        if wanted > self.budget:
            raise RejectedContent("its directory or heads are larger than a model's ever are")
        self.budget -= wanted
        return self._inner.read(wanted)


def detect(files: Sequence[ModelFile]) -> Format:
    """The one model among a folder's files; others beside it (metrics, labels, samples) are fine.

    Raises:
        RejectedContent: a file that runs code when loaded, or is broken; no model, or more than one. The message
            names the file and what to do.
    """
    found = [known for file in sorted(files, key=lambda file: file.path) for known in _inspect(file)]
    if not found:
        names = _listed([file.path for file in files])
        raise RejectedContent(f"no model was found among {names}; taken are {TAKEN} (weights alone are no model)")
    if len(found) > 1:
        models = _listed([f"{known.main} ({known.framework})" for known in found])
        raise RejectedContent(f"more than one model was found: {models}; keep the one that counts")
    return found[0]


def format_of(file: ModelFile) -> Format | None:
    """What a single file is; None where it is the main file of no model.

    Raises:
        RejectedContent: it runs code when loaded, or is broken.
    """
    return next(_inspect(file), None)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:120]) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown or "no files at all"


def _inspect(file: ModelFile) -> Iterator[Format]:
    try:
        yield from _recognized(file)
    except PolyglotError as error:
        if isinstance(error, RejectedContent):
            raise RejectedContent(f"{file.path[:200]!r}: {error}") from error
        raise  # the store did not answer: that says nothing about the bytes
    except Exception as error:  # whatever hostile bytes provoke in a parser is the bytes' fault
        raise RejectedContent(f"{file.path[:200]!r} is broken or cut off ({error}): save the model again") from error


def _recognized(file: ModelFile) -> Iterator[Format]:
    with file.open() as stream:
        head = stream.read(_HEAD)
        stream.seek(max(0, file.size - 1))
        _refuse_pickle(file.path, head, stream.read(1))
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            known = _archive(stream, file)
        elif head.startswith(b"\x93NUMPY"):
            _refuse_objects(head)
            known = None
        else:
            known = _text(head) or _flatbuffer(stream, head) or _protobuf(stream, file)
    if known:
        yield Format(*known, file.path)


def _refuse_pickle(path: str, head: bytes, last: bytes) -> None:
    if path.lower().endswith(_PICKLED_NAMES) or _is_pickle(head, last):
        raise RejectedContent(
            "this is a pickle, which runs code when it is loaded; "
            f"for PyTorch save {_WAYS_OUT['torch']}, for scikit-learn {_WAYS_OUT['sklearn']}"
        )


def _is_pickle(head: bytes, last: bytes) -> bool:
    """Whether the bytes read as pickle opcodes, or at least begin and end like a pickle; looked at, never run."""
    if len(head) < 2 or head[0] != 0x80 or not 2 <= head[1] <= 5:
        return False
    read = 0
    try:
        for _ in pickletools.genops(head):
            read += 1
    except Exception:  # noqa: BLE001  the head ends in the middle of an opcode, or this is no pickle
        return read > 2 or last == b"."
    return True


def _refuse_objects(head: bytes) -> None:
    if _OBJECT_DTYPE.search(head[:_HEAD]):
        raise RejectedContent(f"it holds pickled Python objects; use {_WAYS_OUT['numpy']}")


def _text(head: bytes) -> tuple[str, str] | None:
    if re.match(rb"\{L\x00{7}\x07learner\{", head):
        return "xgboost", "ubj"
    if re.match(rb'\s*\{\s*"learner"\s*:\s*\{', head) or re.match(rb'\s*\{\s*"version"[^{}]*"learner"\s*:\s*\{', head):
        return "xgboost", "json"
    return ("lightgbm", "text") if re.match(rb"tree\r?\nversion=v\d", head) else None


def _archive(stream: BinaryIO, file: ModelFile) -> tuple[str, str] | None:
    with archive_in(stream, file, _CONTENT_BOUND) as archive:
        names = set(archive.namelist())
        return _torch(archive, names) or _zipped(archive, names)


@contextmanager
def archive_in(stream: BinaryIO, file: ModelFile, budget: int) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose directory is sound and of a model's size; at most ``budget`` bytes are then read of it.

    Raises:
        RejectedContent: a zip bomb, cut off, or ambiguous.
    """
    bounded = _Bounded(stream, file.size)
    with zipfile.ZipFile(bounded) as archive:
        bounded.budget = budget
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > _RATIO_BOUND * file.size + 2**20:
            raise RejectedContent("it unpacks to far more than its own size: this is a zip bomb")
        # An archive inside a cut-off one would otherwise be taken for it.
        if any(entry.header_offset == 0 for entry in entries) is not bool(entries):
            raise RejectedContent("it is cut off, or something was put before it: save the model again")
        if len({entry.filename for entry in entries}) != len(entries):
            raise RejectedContent("two of its entries have the same name: save the model again")
        yield archive


def _torch(archive: zipfile.ZipFile, names: set[str]) -> tuple[str, str] | None:
    roots = {name.split("/", 1)[0] for name in names}
    root = f"{next(iter(roots))}/" if len(roots) == 1 else ""
    if f"{root}archive_format" in names and f"{root}archive_version" in names:
        return ("torch", "pt2") if _start(archive, f"{root}archive_format").strip() == b"pt2" else None
    if "serialized_exported_program.json" in names:
        raise RejectedContent("this .pt2 file has the layout of PyTorch 2.7 or older: save it again with a newer one")
    if f"{root}data.pkl" not in names:
        return None
    if f"{root}constants.pkl" in names and any(name.startswith(f"{root}code/") for name in names):
        return "torch", "torchscript"
    raise RejectedContent(
        f"torch.save wrote a pickle, which runs code when it is loaded; save {_WAYS_OUT['torch']} instead"
    )


def _zipped(archive: zipfile.ZipFile, names: set[str]) -> tuple[str, str] | None:
    for name in sorted(names):
        if name.lower().endswith(_PICKLED_NAMES):
            raise RejectedContent(f"its entry {name[:120]!r} is a pickle, which runs code when loaded: leave it out")
    if "schema.json" in names and b"__class__" in _start(archive, "schema.json"):
        return "sklearn", "skops"
    if {"config.json", "metadata.json"} <= names and b"keras_version" in _start(archive, "metadata.json"):
        return "keras", "keras"
    for name in sorted(names):
        if name.endswith(".npy"):
            _refuse_objects(_start(archive, name))
    return None


def _start(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as entry:
        return entry.read(_HEAD)


def _protobuf(stream: BinaryIO, file: ModelFile) -> tuple[str, str] | None:
    """Tells ONNX and SavedModel by the numbers and types of their outermost protobuf fields."""
    fields = _fields(stream, file.size)
    if {1, 7, 8} <= set(fields) and all(_ONNX_FIELDS.get(number) == kind for number, kind in fields.items()):
        return "onnx", "onnx"
    if file.path.rsplit("/", 1)[-1] == "saved_model.pb" and fields == {1: 0, 2: 2}:
        return "tensorflow", "saved-model"
    return None


def _flatbuffer(stream: BinaryIO, head: bytes) -> tuple[str, str] | None:
    """Tells what ``jax.export`` serialized: a flatbuffer, one field of which is StableHLO in MLIR's bytecode.

    A flatbuffer (https://flatbuffers.dev/internals) begins with the place of a table, and that with the distance back
    to a list of where its fields lie.
    """
    if len(head) < 64:
        return None
    table = _number(head, 0)
    fields = table - _number(head, table)
    if not 0 < fields <= len(head) - _MLIR_FIELD - 2 or _number(head, fields, 2) <= _MLIR_FIELD:
        return None
    place = table + _number(head, fields + _MLIR_FIELD, 2)
    start = place + _number(head, place)
    stream.seek(start + 4)
    module = stream.read(32)
    return ("jax", "stablehlo") if module.startswith(b"ML\xefR") and b"StableHLO" in module else None


def _number(data: bytes, place: int, size: int = 4) -> int:
    """A whole number as flatbuffers have it; 0 where the data has ended."""
    return int.from_bytes(data[place : place + size], "little") if place >= 0 else 0


def _fields(stream: BinaryIO, size: int) -> dict[int, int]:
    """Outermost fields of a protobuf message, number to wire type; empty where the bytes are no whole message."""
    seen: dict[int, int] = {}
    at = 0
    for _ in range(_FIELDS_BOUND):
        if at == size:
            return seen
        stream.seek(at)
        key, taken = _varint(window := stream.read(20))
        number, kind = key >> 3, key & 7
        value, more = _varint(window[taken:])
        if kind not in (0, 2) or not (taken and more) or seen.setdefault(number, kind) != kind:
            return {}
        at += taken + more + (value if kind == 2 else 0)
        if at > size or number not in _ONNX_FIELDS:
            return {}
    return {}


def _varint(data: bytes) -> tuple[int, int]:
    """A protobuf varint and how many bytes it takes; 0 bytes where there is none."""
    value = 0
    for index, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, index + 1
    return 0, 0
