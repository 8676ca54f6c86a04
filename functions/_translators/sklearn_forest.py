"""Random forests as ONNX, so that a tie of votes is the same tie.

skl2onnx adds shares of 1/n in float32: ten trees of twenty then make 0.49999997 or 0.5000001, and the label of a tie,
which is common where the number of trees is even, is left to chance. Here votes are added up, which is exact for pure
leaves, and divided at the end, as scikit-learn does.
"""

from typing import Any

import numpy

from functions._translators.ensemble import DOMAIN, OPERATOR, VERSION, attributes
from functions._translators.sklearn_trees import trees_in


def convert(scope: Any, operator: Any, container: Any) -> None:
    """A converter for skl2onnx of forests that classify."""
    from onnx import TensorProto

    forest = operator.raw_operator
    label, probabilities = (output.full_name for output in operator.outputs)
    sums, best, share, classes = map(scope.get_unique_variable_name, ("votes", "best", "share", "classes"))
    container.add_node(
        OPERATOR, operator.inputs[0].full_name, sums, op_domain=DOMAIN, op_version=VERSION, **_votes(forest)
    )
    container.add_initializer(share, TensorProto.FLOAT, [], [1 / len(forest.estimators_)])
    container.add_node("Mul", [sums, share], probabilities)
    container.add_node("ArgMax", sums, best, axis=1, keepdims=0)
    texts = forest.classes_.dtype.kind in "UO"
    names = [str(each).encode() for each in forest.classes_] if texts else [int(each) for each in forest.classes_]
    kind = TensorProto.STRING if texts else TensorProto.INT64
    container.add_initializer(classes, kind, [len(names)], names)
    container.add_node("Gather", [classes, best], label)


def _votes(forest: Any) -> dict[str, Any]:
    trees = trees_in(forest)
    return attributes(trees, [range(numpy.size(forest.classes_))] * len(trees))


def is_taken(forest: Any) -> bool:
    """Whether the forest answers one question, about more than one class."""
    return bool(forest.n_outputs_ == 1 and numpy.size(forest.classes_) > 1)
