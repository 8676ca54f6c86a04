"""Writes scikit-learn estimators as ONNX with skl2onnx (https://onnx.ai/sklearn-onnx/), and mends what it gets wrong.

It is the converter that scikit-learn's own documentation names, and covers most of its estimators. What is mended here
was found by measuring version 1.20:

- the trees of decision trees, forests and gradient boostings send NaN to the right, wherever it belongs;
- forests leave the label of a tie to chance (``sklearn_forest``);
- histogram gradient boostings cannot be written at all (a truth value where ONNX wants a number), and their thresholds
  are rounded to the nearest float32, which moves rows that lie in between to the other side;
- the scores of support vector machines with two classes have their signs turned around;
- ``LinearSVC`` fails as the last step of a pipeline, for want of an option;
- an opset is declared twice, batch sizes have no name, and some outputs declare another shape than they have.

The rest is for the equivalence engine to find.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy

from functions._translators import sklearn_forest
from functions._translators.inputs import Array
from functions._translators.sklearn_model import Answers
from functions._translators.sklearn_trees import trees_in
from functions._translators.splits import not_above

INPUT = "X"
_TREES = ("DecisionTree", "ExtraTree", "ExtraTrees", "RandomForest", "GradientBoosting", "HistGradientBoosting")
_ML_OPSET = 3


def exporter(model: Any, answers: Answers, example: Array) -> Callable[[Path, int], int]:
    """A function that writes a fitted estimator to a path at an opset."""

    def export(path: Path, opset: int) -> int:
        import onnx

        _mend_converters()
        written = _converted(model, example.shape[1], opset)
        _declare_once(written, opset)
        _reshape_outputs(written, answers, example)
        onnx.save(written, str(path))
        return opset

    return export


def _converted(model: Any, features: int, opset: int) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    asked = {
        "initial_types": [(INPUT, FloatTensorType([None, features]))],
        "target_opset": {"": opset, "ai.onnx.ml": _ML_OPSET},
        "name": "model",
    }
    try:
        return to_onnx(model, options={id(model): {"zipmap": False}}, **asked)
    except NameError:  # what skl2onnx raises for a model that has no such option, since it needs none
        return to_onnx(model, **asked)


def _declare_once(written: Any, opset: int) -> None:
    """Each operator set once: skl2onnx writes for the opset that it was asked for, and says so twice, or not at all."""
    versions = {one.domain: one.version for one in written.opset_import}
    del written.opset_import[:]
    for domain, version in {**versions, "": opset}.items():
        one = written.opset_import.add()
        one.domain, one.version = domain, version


def _reshape_outputs(written: Any, answers: Answers, example: Array) -> None:
    """Gives every output the name and the shape that the source's answer has, with the batch as its first size."""
    import onnx

    found, outputs = _run(written, example), list(written.graph.output)
    _rename(written, {output.name: f"{output.name}_raw" for output in outputs})
    written.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    del written.graph.output[:], written.graph.value_info[:]
    for name, wanted, given, output in zip(answers.names, answers.run([example]), found, outputs, strict=False):
        written.graph.node.extend(_shaped(written, f"{output.name}_raw", name, wanted, given))
        kind = output.type.tensor_type.elem_type
        written.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, ["batch", *wanted.shape[1:]]))


def _run(written: Any, example: Array) -> list[Array]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(written.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [numpy.asarray(each) for each in session.run(None, {INPUT: example})]


def _rename(written: Any, names: dict[str, str]) -> None:
    for node in written.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]


def _shaped(written: Any, old: str, new: str, wanted: Array, given: Array) -> list[Any]:
    import onnx

    node = onnx.helper.make_node
    if given.shape == (len(wanted), 1) and wanted.shape[1:] == (2,):
        return [node("Neg", [old], [f"{new}_other"]), node("Concat", [f"{new}_other", old], [new], axis=1)]
    if new == "scores" and wanted.shape[1:] == (2,) and numpy.allclose(given, -wanted, rtol=1e-3):
        return [node("Neg", [old], [new])]
    if given.shape == wanted.shape:
        return [node("Identity", [old], [new])]
    sides = numpy.array([-1, *wanted.shape[1:]], dtype="int64")
    written.graph.initializer.append(onnx.numpy_helper.from_array(sides, f"{new}_shape"))
    return [node("Reshape", [old, f"{new}_shape"], [new])]


def _mend_converters() -> None:
    """Puts a mending step around skl2onnx's own converters; once is enough."""
    from skl2onnx.common._registration import get_converter, register_converter

    linear = get_converter("SklearnLinearSVC")
    options = {**linear.get_allowed_options(), "zipmap": [True, False]}
    register_converter("SklearnLinearSVC", linear._fct, overwrite=True, options=options)
    for family in _TREES:
        for kind in ("Classifier", "Regressor"):
            name = f"Sklearn{family}{kind}"
            original = get_converter(name)
            if original._fct.__module__ != __name__:
                register_converter(name, _mended(original), overwrite=True, options=original.get_allowed_options())


def _mended(original: Any) -> Callable[[Any, Any, Any], None]:
    from sklearn.ensemble._forest import ForestClassifier

    def convert(scope: Any, operator: Any, container: Any) -> None:
        estimator = operator.raw_operator
        if isinstance(estimator, ForestClassifier) and sklearn_forest.is_taken(estimator):
            sklearn_forest.convert(scope, operator, container)
        else:
            original._fct(scope, operator, _Mending(container, estimator))

    return convert


class _Mending:
    """A container of skl2onnx's that looks at the trees that are put into it."""

    def __init__(self, inner: Any, estimator: Any) -> None:
        self._inner, self._estimator = inner, estimator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """As the container's own."""
        if op_type.startswith("TreeEnsemble"):
            attributes.update(_exact(self._estimator, attributes["nodes_treeids"], attributes["nodes_modes"]))
        self._inner.add_node(op_type, inputs, outputs, **attributes)


def _exact(estimator: Any, tree_ids: Sequence[int], modes: Sequence[str]) -> dict[str, Any]:
    """Thresholds and the ways of NaN, for the nodes in the order in which they were written."""
    trees = trees_in(estimator)
    counts = [len(tree.left) for tree in trees]
    if [int(each) for each in tree_ids] != numpy.repeat(range(len(trees)), counts).tolist():
        raise ValueError("the exporter wrote other trees than the model has")
    branches = numpy.array([mode != "LEAF" for mode in modes])
    thresholds = not_above(numpy.concatenate([tree.threshold for tree in trees]))
    missing = numpy.concatenate([tree.missing_left for tree in trees])
    return {
        "nodes_values": numpy.where(branches, thresholds, numpy.float32(0)),
        "nodes_missing_value_tracks_true": [int(each) for each in missing & branches],
    }
