"""TorchScript as a source. It does not say what shapes it takes, so the samples of the training run say it.

Loading it runs TorchScript, not Python, and TorchScript can write files; an archive whose code does so is refused.
"""

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.child import refusing
from functions._translators.equivalence import Source
from functions._translators.inputs import Array, Input, Signature, sample_arrays
from functions._translators.torch_program import arrays_of, dtype_of

_FILE_ACCESS = re.compile(r"(?:torch|ops\.\w+)\.(?:save|load|from_file)\b")
_CODE_BOUND = 64 * 2**20
_NO_SHAPES = (
    "TorchScript does not say what shapes it takes: save the model with torch.export.save, or leave samples.npz with "
    "an array of rows for each of its inputs, here "
)


def read(path: Path) -> Source:
    """The source that an archive holds. Raises RejectedContent where it cannot be read or measured."""
    _refuse_file_access(path)
    import torch

    with refusing("this TorchScript archive cannot be read", "save the model again, best with torch.export.save"):
        module = torch.jit.load(str(path), map_location="cpu").eval()
        names = [argument.name for argument in module.forward.schema.arguments[1:]]
    rows = _rows(path.parent, names)
    examples = tuple(torch.from_numpy(array[:2].copy()) for array in rows.values())

    def run(arrays: Sequence[Array]) -> list[Array]:
        return arrays_of(module(*(torch.from_numpy(numpy.array(array)) for array in arrays)))

    inputs = tuple(
        Input(name, dtype_of(name, example.dtype), ("batch", *example.shape[1:])).like(array)
        for (name, array), example in zip(rows.items(), examples, strict=True)
    )
    signature = Signature(inputs, {"batch": (1, 2, 5)})
    return Source(run, signature, (), "torch.onnx.export, TorchScript", _exporter(module, names, examples))


def _refuse_file_access(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        code = [entry for entry in archive.infolist() if entry.filename.endswith(".py")]
        if sum(entry.file_size for entry in code) > _CODE_BOUND:
            raise RejectedContent(f"its code has more than {_CODE_BOUND} bytes: save it with torch.export.save")
        for entry in code:
            # Spaces and line joins are no part of a name, so they cannot hide one.
            text = re.sub(r"[\s\\\\]+", "", archive.read(entry).decode())
            if found := _FILE_ACCESS.search(text):
                raise RejectedContent(f"its code reads or writes files ({found.group()}): a model may not")


def _rows(folder: Path, names: Sequence[str]) -> Mapping[str, Array]:
    found = sample_arrays(folder)
    if len(names) == 1 and names[0] not in found and "inputs" in found:
        found = {**found, names[0]: found["inputs"]}
    if missing := [name for name in names if name not in found or not found[name].ndim]:
        raise RejectedContent(_NO_SHAPES + ", ".join(map(repr, missing)))
    return {name: found[name] for name in names}


def _exporter(module: Any, names: Sequence[str], examples: Sequence[Any]) -> Callable[[Path, int], int]:
    import torch

    outputs = [f"output_{index}" for index in range(len(arrays_of(module(*examples))))]
    batch = {name: {0: "batch"} for name in (*names, *outputs)}

    def export(path: Path, opset: int) -> int:
        torch.onnx.export(
            module,
            tuple(examples),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=list(names),
            output_names=outputs,
            dynamic_axes=batch,
        )
        return opset

    return export
