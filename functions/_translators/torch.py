"""Translates PyTorch: ``.pt2`` exported programs (``torch_program``) and TorchScript (``torch_script``).

Exported programs go through ``torch.onnx.export(dynamo=True)`` and keep their dynamic sizes. TorchScript goes through
the older exporter, with its first dimension as the batch. The lowest opset that
works is taken, since runtimes lag behind.

    python -I -m functions._translators.torch SOURCE TARGET OPTIONS.json
"""

import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from functions._domain.errors import RejectedContent
from functions._translators import torch_program, torch_script
from functions._translators.child import Options, main, model_in, refusing
from functions._translators.equivalence import Source, measure
from functions._translators.inputs import draw, read_samples

OPSETS = (18, 19, 20, 21, 22, 23)
_PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript", "numpy")
_LARGE = 10 * 2**20
"""Bytes of a model above which running it costs more than exporting it, so that fewer cases are drawn."""
_ADVICE = "use operators that ONNX has, or ask for another opset"


def translate(source: Path, target: Path, options: Options) -> Mapping[str, object]:
    """Export the model in ``source`` to ``target/model.onnx`` and measure it; returns the report."""
    known = model_in(source)
    if known.framework != "torch":
        raise RejectedContent(f"{known.main!r} is a {known.framework} model; this translator takes PyTorch's")
    if options.opset is not None and options.opset not in OPSETS:
        raise RejectedContent(
            f"PyTorch models are exported to the opsets {OPSETS[0]} to {OPSETS[-1]}, not {options.opset}"
        )
    return _translated(source, known.main, known.name, target / "model.onnx", options)


def _translated(folder: Path, main: str, name: str, model: Path, options: Options) -> Mapping[str, object]:
    import torch

    torch.manual_seed(options.seed)
    with torch.no_grad():
        source = (torch_program if name == "pt2" else torch_script).read(folder / main)
        samples = read_samples(folder, source.signature.inputs)
        opset = _export(source, model, options.opset)
        facts = _checked(model)
        cases = [*source.examples, *draw(source.signature, options.seed, few=model.stat().st_size > _LARGE)]
        measured = measure(model, source.run, cases, samples)
    return {
        **measured,
        **facts,
        "framework": "torch",
        "format": name,
        "exporter": source.exporter,
        "opset": opset,
        "seed": options.seed,
        "versions": {package: version(package) for package in _PACKAGES},
    }


def _export(source: Source, path: Path, asked: int | None) -> int:
    """Writes the model at the opset asked for, or else at the lowest that works; returns it."""
    if asked is not None:
        return _export_at(source, path, asked)
    with suppress(RejectedContent):
        return _export_at(source, path, OPSETS[0])
    # Where the highest fails as well, the opset is not the reason, and those between need no trying.
    highest = _export_at(source, path, OPSETS[-1])
    for opset in OPSETS[1:-1]:
        with suppress(RejectedContent):
            return _export_at(source, path, opset)
    return highest if not path.exists() else _export_at(source, path, OPSETS[-1])


def _export_at(source: Source, path: Path, opset: int) -> int:
    with refusing(f"it cannot be exported to ONNX at opset {opset}", _ADVICE):
        written = source.export(path, opset)
    if written != opset:
        raise RejectedContent(f"the exporter wrote opset {written} where {opset} was asked for; ask for that one")
    return opset


def _checked(path: Path) -> dict[str, object]:
    """ONNX's own checker with full shape inference; the IR version and what goes in and out."""
    import onnx

    with refusing("the exported model is not valid ONNX", "ask for another opset"):
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(str(path), load_external_data=False)
    return {
        "ir_version": model.ir_version,
        "inputs": [_described(value, onnx) for value in model.graph.input],
        "outputs": [_described(value, onnx) for value in model.graph.output],
    }


def _described(value: Any, onnx: Any) -> dict[str, object]:
    tensor = value.type.tensor_type
    sides = [side.dim_param or side.dim_value for side in tensor.shape.dim]
    return {"name": value.name, "dtype": onnx.TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": sides}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], translate))
