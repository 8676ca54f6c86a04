"""Models of one framework, each translated once by a real child, two at a time; and changed translations, measured."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import numpy_helper

from functions._backends.translator import ChildTranslator
from functions._domain.errors import RejectedContent

Change = Callable[[onnx.ModelProto], None]


@dataclass(frozen=True)
class Translations:
    """Folders of models below ``models``, what became of them below ``targets``, and the reports to come."""

    framework: str
    models: Path
    targets: Path
    reports: dict[str, "Future[dict[str, Any]]"]

    def report(self, name: str) -> dict[str, Any]:
        return self.reports[name].result()

    def onnx(self, name: str) -> onnx.ModelProto:
        self.report(name)
        return onnx.load(self.targets / name / "model.onnx")

    def measured(self, name: str, change: Change, target: Path) -> dict[str, Any]:
        """The report of measuring a translation again, after it was changed."""
        model = self.onnx(name)
        change(model)
        target.mkdir()
        onnx.save(model, str(target / "model.onnx"))
        return ChildTranslator().translate(self.framework, self.models / name, target, {"seed": 5, "measure": True})

    def refused(self, source: Path, target: Path, **options: object) -> str:
        """Why a model is refused."""
        with pytest.raises(RejectedContent) as caught:
            ChildTranslator().translate(self.framework, source, target, options)
        assert not (target / "model.onnx").exists() or not (target / "report.json").exists()
        return str(caught.value)

    def copy(self, name: str, target: Path) -> Path:
        """A model's own folder, to be changed."""
        return Path(shutil.copytree(self.models / name, target))


@contextmanager
def translating(framework: str, models: Path, targets: Path, names: Iterable[str]) -> Iterator[Translations]:
    """Start translating the models of these names."""
    with ThreadPoolExecutor(2) as pool:
        reports = {
            name: pool.submit(
                ChildTranslator().translate, framework, models / name, targets / name, {"opset": None, "seed": 3}
            )
            for name in names
        }
        yield Translations(framework, models, targets, reports)


def with_another_weight(model: onnx.ModelProto) -> None:
    """One number of the largest weight becomes half again as large."""
    tensor = max(model.graph.initializer, key=lambda known: numpy.prod(known.dims, dtype=int))
    values = numpy_helper.to_array(tensor).copy()
    place = numpy.abs(values).argmax()
    values.flat[place] *= 1.5
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def with_another_operator(old: str, new: str) -> Change:
    """The first operator of one type becomes another one."""

    def change(model: onnx.ModelProto) -> None:
        next(node for node in model.graph.node if node.op_type == old).op_type = new

    return change
