"""What every translator does with a loaded model: export it at the lowest opset that works, check it, measure it.

A framework's file names itself and says how to read its formats:

    TORCH = Framework("torch", opsets=(18, …), packages=("torch", …), read=read)

    if __name__ == "__main__":
        sys.exit(main(sys.argv[1:], TORCH.translate))

With ``measure`` among the options nothing is exported: the ``model.onnx`` that lies in TARGET is measured again.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from functions._domain.errors import RejectedContent
from functions._domain.formats import Format
from functions._translators.child import Options, model_in, refusing
from functions._translators.equivalence import Source, measure
from functions._translators.inputs import draw, read_samples

_LARGE = 10 * 2**20
"""Bytes of a model above which running it costs more than exporting it, so that fewer cases are drawn."""

_ADVICE = "use operators that ONNX has, or ask for another opset"
_ALWAYS = ("numpy", "onnx", "onnxruntime")

Read = Callable[[Path, Format, Options], Source]
"""Makes a source of the model in a folder."""


@dataclass(frozen=True)
class Framework:
    """How models of one framework are translated.

    Attributes:
        name: the framework, as ``functions._domain.formats`` has it.
        title: as people call it.
        opsets: what its exporter can write, the lowest first; that is taken where nobody asks for another.
        packages: whose versions are recorded, apart from those of ONNX.
        read: loads a model.
    """

    name: str
    title: str
    opsets: Sequence[int]
    packages: Sequence[str]
    read: Read

    def translate(self, source: Path, target: Path, options: Options) -> Mapping[str, object]:
        """Export the model in ``source`` to ``target/model.onnx`` and measure it; returns the report.

        Raises:
            RejectedContent: it cannot be translated, with the reason and what to do.
        """
        known = model_in(source)
        if known.framework != self.name:
            raise RejectedContent(f"{known.main!r} is a {known.framework} model; this translator takes {self.title}'s")
        if options.opset is not None and options.opset not in self.opsets:
            raise RejectedContent(
                f"{self.title} models are exported to the opsets {self.opsets[0]} to {self.opsets[-1]}, "
                f"not {options.opset}"
            )
        return self._translated(source, known, target / "model.onnx", options)

    def _translated(self, folder: Path, known: Format, model: Path, options: Options) -> Mapping[str, object]:
        loaded = self.read(folder, known, options)
        samples = read_samples(folder, loaded.signature.inputs)
        opset = (
            opset_of(model) if options.measure else exported(loaded, model, options.opset or loaded.opset, self.opsets)
        )
        facts = checked(model)
        cases = [*loaded.examples, *draw(loaded.signature, options.seed, few=_size(model) > _LARGE)]
        measured = measure(
            model, loaded.run, cases, samples, options.accelerator, choice=loaded.choice, flips=loaded.flips
        )
        return {
            **measured,
            **facts,
            "framework": self.name,
            "format": known.name,
            "exporter": loaded.exporter,
            "source_run_by": loaded.runner or self.title,
            "opset": opset,
            "seed": options.seed,
            "versions": {package: version(package) for package in sorted({*self.packages, *_ALWAYS})},
        }


def _size(model: Path) -> int:
    """The bytes of a model with the weights beside it."""
    return sum(path.stat().st_size for path in model.parent.iterdir() if path.is_file())


def installed(*names: str) -> str:
    """Which of a package's names it is installed under here, or else the last: some have one without GPU parts."""
    for name in names:
        with suppress(PackageNotFoundError):
            version(name)
            return name
    return names[-1]


def exported(source: Source, path: Path, asked: int | None, opsets: Sequence[int]) -> int:
    """Write the model at the opset asked for, or else at the lowest that works; returns it.

    Raises:
        RejectedContent: it cannot be exported, with the exporter's reason.
    """
    if asked is not None:
        return _export_at(source, path, asked)
    with suppress(RejectedContent):
        return _export_at(source, path, opsets[0])
    # Where the highest fails as well, the opset is not the reason, and those between need no trying.
    highest = _export_at(source, path, opsets[-1])
    for opset in opsets[1:-1]:
        with suppress(RejectedContent):
            return _export_at(source, path, opset)
    return highest if not path.exists() else _export_at(source, path, opsets[-1])


def _export_at(source: Source, path: Path, opset: int) -> int:
    with refusing(f"it cannot be exported to ONNX at opset {opset}", _ADVICE):
        written = source.export(path, opset)
    if written != opset:
        raise RejectedContent(f"the exporter wrote opset {written} where {opset} was asked for; ask for that one")
    return opset


def checked(path: Path) -> dict[str, object]:
    """ONNX's own checker with full shape inference; the IR version and what goes in and out.

    Raises:
        RejectedContent: it is not valid.
    """
    import onnx

    with refusing("the exported model is not valid ONNX", "ask for another opset"):
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(str(path), load_external_data=False)
    return {
        "ir_version": model.ir_version,
        "inputs": [_described(value, onnx) for value in model.graph.input],
        "outputs": [_described(value, onnx) for value in model.graph.output],
    }


def opset_of(path: Path) -> int:
    """The version of ONNX's own operators that a model uses; 1 where it declares none, and so uses none.

    Raises RejectedContent where it is no model.
    """
    import onnx

    with refusing("the translation cannot be read", "translate the model again"):
        model = onnx.load(str(path), load_external_data=False)
        return next((int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)


def _described(value: Any, onnx: Any) -> dict[str, object]:
    tensor = value.type.tensor_type
    sides = [side.dim_param or side.dim_value for side in tensor.shape.dim]
    return {"name": value.name, "dtype": onnx.TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": sides}
