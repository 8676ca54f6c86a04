"""Takes a model's files apart: which rule is whose, and what is hostile is refused by name."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from functions._domain.errors import PolyglotError, RejectedContent
from functions._domain.formats import ModelFile, format_of
from functions._domain.tensors import archives, arrays, onnx, saved_model
from functions._domain.tensors.parts import MOST_PARTS, Flat, Part, Rule, Zipped, hex_of_stream, opened

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ARCHIVES: Mapping[str, Rule] = {
    "pt2": archives.exported,
    "torchscript": archives.scripted,
    "skops": archives.scikit,
    "keras": archives.keras,
}
_SETTINGS = re.compile(rb"\nparameters:.*?\nend of parameters\n", re.DOTALL)
_TAIL = 1 << 20
"""How near to the end of a LightGBM model its settings are."""


def read(files: Sequence[ModelFile]) -> list[Part]:
    """All parts of a model.

    Raises:
        RejectedContent: a file that is broken, runs code when it is loaded, or has more in it than a model.
    """
    found: list[Part] = []
    for one in _parts({file.path: file for file in files}):
        found.append(one)
        if len(found) > MOST_PARTS:
            raise RejectedContent(f"it has more than {MOST_PARTS:,} tensors and other parts")
    return found


def _parts(files: Mapping[str, ModelFile]) -> Iterator[Part]:
    formats = {path: format_of(file) for path, file in files.items()}
    taken: set[str] = set()
    for path, known in formats.items():
        if known is not None and known.name == "saved-model":
            prefix = path.removesuffix("saved_model.pb")
            variables = list(_guarded(path, saved_model.parts, files, prefix))
            yield from variables
            taken |= saved_model.ignored(prefix) | {one.place.path for one in variables if one.place}
    for path, known in formats.items():
        if path not in taken:
            yield from _guarded(path, _of_file, files[path], known.name if known else "")


def _guarded(path: str, rule: Callable[..., Iterable[Part]], *arguments: object) -> Iterator[Part]:
    """What a rule makes of a file; whatever it raises says what is wrong with the file."""
    try:
        yield from rule(*arguments)
    except PolyglotError as error:
        if isinstance(error, RejectedContent):
            raise RejectedContent(f"{path[:200]!r}: {error}") from error
        raise  # the store did not answer: that says nothing about the bytes
    except Exception as error:  # whatever hostile bytes provoke in a parser is the bytes' fault
        raise RejectedContent(f"{path[:200]!r} cannot be taken apart ({error!r:.200})") from error


def _of_file(file: ModelFile, format_: str) -> Iterator[Part]:
    with file.open() as stream:
        head = stream.read(8)
    with opened(file, as_archive=head.startswith(_ZIP)) as source:
        if isinstance(source, Zipped):
            yield from _ARCHIVES.get(format_, arrays.entries)(source)
        elif format_ == "onnx":
            yield from onnx.parts(source)
        elif head.startswith(arrays.MAGIC):
            yield arrays.array(source, file.path, "", "")
        else:
            yield Part(file.path, "", hex_of_stream(_trees(source) if format_ == "text" else source.chunks()))


def _trees(source: Flat) -> Iterator[bytes]:
    """LightGBM's text without the settings that it ends with."""
    start = max(0, source.file.size - _TAIL)
    yield from source.chunks("", 0, start)
    yield _SETTINGS.sub(b"\n", b"".join(source.chunks("", start)))
