"""Gradient boosting as ONNX: sums of trees, and the function that makes predictions of them. Knows no framework.

Trees are written here rather than by a converter. onnxmltools 1.16, the released one, was measured with XGBoost 3.2 and
LightGBM 4.7: of 27 and 24 settings of objective, booster and data it refused 4 and 5, and wrote 9 and 6 that answer
something else without an error (hinge, logits, AFT, Cox, ranking, several targets or quantiles, parallel trees; steeper
sigmoids, zeros as missing, one against all, square roots, averages, linear trees). Trees are what it got right.

    label, probabilities      where the objective tells classes, which are numbered from 0
    prediction                where it does not: what the framework's own ``predict`` says, one column for each target
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.columns import Column, columns_like, draw_table
from functions._translators.ensemble import DOMAIN, OPERATOR, attributes
from functions._translators.equivalence import Source
from functions._translators.flips import TIE, Choice
from functions._translators.inputs import Array, Case, Input, Signature, sample_arrays
from functions._translators.probes import probes, threshold_columns
from functions._translators.splits import Tree

INPUT = "X"
OPSETS = tuple(range(13, 24))
SIZES = {"batch": (1, 3, 256)}
_ML_OPSET = 3
_ZERO = 1e-35
"""What LightGBM takes for zero is no larger."""


@dataclass(frozen=True)
class Booster:
    """What a gradient boosting has learnt.

    Attributes:
        features: how many columns it takes.
        trees: in the order in which they are added up.
        targets: for each tree, the sums to which its values are added.
        base: what each sum begins with.
        link: what makes predictions of the sums: a name in ``LINKS``.
        factor: what the sums are multiplied with before.
        classes: how many it tells apart; 0 where it predicts numbers.
        zeros_missing: columns in which zero means that the number is missing.
        columns: where the numbers of its columns lie, where it says so.
    """

    features: int
    trees: Sequence[Tree]
    targets: Sequence[Sequence[int]]
    base: Array
    link: str = "identity"
    factor: float = 1.0
    classes: int = 0
    zeros_missing: Sequence[int] = ()
    columns: tuple[Column, ...] = ()


def vetted(booster: Booster) -> Booster:
    """A booster whose trees are trees. Raises RejectedContent otherwise."""
    if not booster.trees or not booster.features:
        raise RejectedContent("it has no trees, so it is no trained model: save it after training")
    if not all(tree.is_sound(booster.features) for tree in booster.trees):
        raise RejectedContent("one of its trees is none: its nodes point at others that are not there")
    return booster


def source_of(booster: Booster, predict: Callable[[Array], Array], folder: Path, seed: int) -> Source:
    """A source that is run by its framework and exported here.

    Args:
        booster: what it has learnt.
        predict: the framework's prediction for rows of float32: probabilities where it tells classes.
        folder: where samples may lie.
        seed: what rows are drawn by.
    """
    columns = _columns(folder, booster)
    generator = numpy.random.default_rng(seed)
    rows = probes(booster.trees, columns, generator)
    gaps = draw_table(generator, columns, 256, "even").astype("float32")
    cases = [Case("both sides of its splits", (rows,))] if len(rows) else []
    choice = Choice(classes=numpy.arange(booster.classes), by_scores=_always) if booster.classes else None
    return Source(
        lambda arrays: _answers(predict(arrays[0]), booster.classes),
        Signature((Input(INPUT, "float32", ("batch", booster.features), columns=columns),), SIZES),
        (*cases, Case("missing numbers and zeros", (_with_zeros(generator, gaps),))),
        "the trees themselves",
        _exporter(booster),
        choice=choice,
        flips=(TIE,),
    )


def _always(arrays: Sequence[Array]) -> Array:
    return numpy.ones(len(arrays[0]), dtype=bool)


def _with_zeros(generator: numpy.random.Generator, rows: Array) -> Array:
    return numpy.asarray(numpy.where(generator.random(rows.shape) < 0.1, numpy.float32(0), rows))


def _columns(folder: Path, booster: Booster) -> tuple[Column, ...]:
    rows = sample_arrays(folder)
    table = rows.get(INPUT, rows.get("inputs"))
    if table is not None and table.ndim == 2 and table.shape[1] == booster.features and len(table):
        return columns_like(table)
    return booster.columns or threshold_columns(booster.trees, booster.features, missing=True)


def _answers(predicted: Array, classes: int) -> list[Array]:
    if not classes:
        return [numpy.asarray(predicted.reshape(len(predicted), -1), dtype="float32")]
    scores = numpy.asarray(predicted, dtype="float32")
    if scores.ndim == 1:
        scores = numpy.stack([1 - scores, scores], axis=1)
        return [(scores[:, 1] > 0.5).astype("int64"), scores]
    return [numpy.asarray(scores.argmax(axis=1), dtype="int64"), scores]


class _Graph:
    """Nodes and constants of a graph that grows."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, operator: str, *inputs: str, to: str = "", domain: str = "", **attributes: Any) -> str:
        import onnx

        to = to or f"step_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [to], domain=domain, **attributes))
        return to

    def constant(self, values: Any, dtype: str = "float32") -> str:
        import onnx

        name = f"constant_{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(numpy.asarray(values, dtype=dtype), name))
        return name


LINKS: dict[str, Callable[[_Graph, str], str]] = {
    "identity": lambda graph, sums: sums,
    "sigmoid": lambda graph, sums: graph.node("Sigmoid", sums),
    "softmax": lambda graph, sums: graph.node("Softmax", sums, axis=1),
    "exp": lambda graph, sums: graph.node("Exp", sums),
    "softplus": lambda graph, sums: graph.node("Softplus", sums),
    "signed square": lambda graph, sums: graph.node("Mul", sums, graph.node("Abs", sums)),
    "step": lambda graph, sums: graph.node(
        "Where", graph.node("Greater", sums, graph.constant(0)), graph.constant(1), graph.constant(0)
    ),
}
"""What makes predictions of sums."""


def _exporter(booster: Booster) -> Callable[[Path, int], int]:
    def export(path: Path, opset: int) -> int:
        import onnx

        graph = _Graph()
        outputs = _outputs(graph, booster, LINKS[booster.link](graph, _sums(graph, booster)))
        inputs = [onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["batch", booster.features])]
        opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid(DOMAIN, _ML_OPSET)]
        model = onnx.helper.make_model(
            onnx.helper.make_graph(graph.nodes, "model", inputs, outputs, graph.constants),
            opset_imports=opsets,
            ir_version=onnx.helper.find_min_ir_version_for(opsets),
        )
        onnx.save(model, str(path))
        return opset

    return export


def _sums(graph: _Graph, booster: Booster) -> str:
    rows = INPUT
    if booster.zeros_missing:
        asked = numpy.isin(numpy.arange(booster.features), booster.zeros_missing)
        small = graph.node("LessOrEqual", graph.node("Abs", rows), graph.constant(_ZERO))
        gone = graph.node("And", small, graph.constant(asked, "bool"))
        rows = graph.node("Where", gone, graph.constant(numpy.nan), rows)
    sums = graph.node(OPERATOR, rows, domain=DOMAIN, **attributes(booster.trees, booster.targets))
    if booster.factor != 1:
        sums = graph.node("Mul", sums, graph.constant(booster.factor))
    return graph.node("Add", sums, graph.constant(booster.base)) if numpy.any(booster.base) else sums


def _outputs(graph: _Graph, booster: Booster, predicted: str) -> list[Any]:
    import onnx

    declared = onnx.helper.make_tensor_value_info
    if not booster.classes:
        graph.node("Identity", predicted, to="prediction")
        count = max(target for sums in booster.targets for target in sums) + 1
        return [declared("prediction", onnx.TensorProto.FLOAT, ["batch", count])]
    if booster.classes == 2:
        other = graph.node("Sub", graph.constant(1), predicted)
        graph.node("Concat", other, predicted, to="probabilities", axis=1)
    else:
        graph.node("Identity", predicted, to="probabilities")
    # The first of equal ones, so that one half is no yes.
    graph.node("ArgMax", "probabilities", to="label", axis=1, keepdims=0)
    return [
        declared("label", onnx.TensorProto.INT64, ["batch"]),
        declared("probabilities", onnx.TensorProto.FLOAT, ["batch", booster.classes]),
    ]
