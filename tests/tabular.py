"""What tests of translators for tables share: models trained in a process of their own, translated, altered."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import numpy_helper

from functions._backends.translator import ChildTranslator
from functions._domain.errors import RejectedContent

SPLIT = """\
import numpy, sys
from pathlib import Path
folder = Path(sys.argv[1])
generator = numpy.random.default_rng(5)

def table(rows=600, columns=6):
    return generator.normal([0, 5, -3, 100, 0.01, 1][:columns], [1, 2, 3, 20, 0.01, 1][:columns], (rows, columns))

def question(x, classes=2):
    score = x[:, 0] * 2 + numpy.sin(x[:, 1]) * 2 + (x[:, 3] - 100) / 20 + generator.normal(0, 0.3, len(x))
    return numpy.digitize(score, numpy.quantile(score, numpy.linspace(0, 1, classes + 1)[1:-1]))

def place(name):
    (folder / name).mkdir(parents=True)
    return folder / name

def split(name, x, labels):
    numpy.savez(place(name) / "samples.npz", inputs=x.astype("float32"), labels=labels)
    return folder / name
"""
"""The beginning of a script that trains: a table whose columns have very different sizes, a question about its rows."""


def trained(script: str, folder: Path) -> Path:
    """Run such a script in a process of its own; the folder then has one folder for each model."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", SPLIT + script, str(folder)], check=True)
    return folder


AT_ONCE = """\
import importlib, json, logging, sys, warnings
from pathlib import Path
from functions._domain.errors import RejectedContent
from functions._translators.child import Options
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
name, found = sys.argv[1], []
framework = getattr(importlib.import_module(f"functions._translators.{name}"), name.upper())
for source, target, options in json.load(sys.stdin):
    Path(target).mkdir(parents=True, exist_ok=True)
    try:
        found.append(framework.translate(Path(source), Path(target), Options(**options)))
    except RejectedContent as error:
        found.append({"refusal": str(error)})
json.dump(found, sys.stdout)
"""
Job = tuple[Path, Path, Mapping[str, object]]


def translated(framework: str, source: Path, target: Path, **options: object) -> dict[str, Any]:
    """What the real child makes of a model."""
    return ChildTranslator().translate(framework, source, target, {"seed": 3, **options})


def at_once(framework: str, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """The same translator on many models in one process, since a framework takes seconds to import."""
    asked = json.dumps([(str(source), str(target), dict(options)) for source, target, options in jobs])
    ended = subprocess.run(
        [sys.executable, "-c", AT_ONCE, framework], input=asked, stdout=subprocess.PIPE, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def refused(framework: str, source: Path, target: Path, **options: object) -> str:
    with pytest.raises(RejectedContent) as caught:
        ChildTranslator().translate(framework, source, target, options)
    return str(caught.value)


def altered(path: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    """Change an exported model where it lies."""
    model = onnx.load(str(path))
    change(model)
    onnx.save(model, str(path))


def attribute(model: onnx.ModelProto, name: str) -> Any:
    return next(each for node in model.graph.node for each in node.attribute if each.name == name)


def one_threshold(place: int, by: float = 1.0001, more: float = 0.0) -> Callable[[onnx.ModelProto], None]:
    """Moves one threshold of the first ensemble."""

    def change(model: onnx.ModelProto) -> None:
        values, modes = attribute(model, "nodes_values"), attribute(model, "nodes_modes")
        branches = [index for index, mode in enumerate(modes.strings) if mode != b"LEAF"]
        index = branches[place % len(branches)]
        values.floats[index] = values.floats[index] * by + more

    return change


def one_leaf(place: int, name: str = "target_weights") -> Callable[[onnx.ModelProto], None]:
    """Adds to what one leaf says."""

    def change(model: onnx.ModelProto) -> None:
        weights = attribute(model, name).floats
        weights[place % len(weights)] += 0.25

    return change


def no_way_of_missing(model: onnx.ModelProto) -> None:
    """Sends every missing number the same way."""
    ways = attribute(model, "nodes_missing_value_tracks_true")
    assert sum(ways.ints) > 0
    ways.ints[:] = [0] * len(ways.ints)


def one_operator(old: str, new: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        next(node for node in model.graph.node if node.op_type == old).op_type = new

    return change


def one_weight(model: onnx.ModelProto) -> None:
    """Changes one number of the largest tensor of weights by a twentieth."""
    tensor = max(
        (each for each in model.graph.initializer if each.data_type == onnx.TensorProto.FLOAT),
        key=lambda each: numpy.prod(each.dims),
    )
    values = numpy_helper.to_array(tensor).copy()
    values.flat[numpy.abs(values).argmax()] *= 1.05
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def holds(report: Mapping[str, Any]) -> bool:
    return report["verdict"] in ("equal", "within-tolerance")
