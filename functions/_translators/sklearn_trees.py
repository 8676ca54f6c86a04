"""The trees of scikit-learn's estimators, as plain arrays, and the rows that try their splits.

scikit-learn compares a float32 number with a float64 threshold; a histogram gradient boosting compares float64 numbers.
Both come to the same for float32 inputs, and to ``functions._translators.splits.not_above`` in ONNX.
"""

from collections.abc import Iterator
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.columns import Column, Table
from functions._translators.inputs import Array
from functions._translators.probes import probes, threshold_columns
from functions._translators.splits import Tree

_GAPS = (1e-4, 3e-3)
"""A split behind a scaler is tried this far from its threshold: nearer, the scaler's own rounding may decide."""

_NEAR = 1e-3

_MEMBERS = ("estimators_", "estimator_", "best_estimator_", "calibrated_classifiers_", "estimator")


def trees_in(estimator: Any) -> list[Tree]:
    """The trees that an estimator consults itself, in the order in which its exporter writes them; mostly none.

    Raises:
        RejectedContent: trees that ONNX cannot express.
    """
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting

    if isinstance(estimator, BaseForest | BaseGradientBoosting):
        return [_tree(member.tree_) for member in numpy.ravel(getattr(estimator, "estimators_", []))]
    if hasattr(estimator, "_predictors"):
        return [_histogram_tree(tree.nodes) for row in estimator._predictors for tree in row]
    return [_tree(estimator.tree_)] if type(getattr(estimator, "tree_", None)).__name__ == "Tree" else []


def _tree(tree: Any) -> Tree:
    missing = getattr(tree, "missing_go_to_left", numpy.zeros(tree.node_count)).astype(bool)
    values = tree.value.reshape(tree.node_count, -1)
    if tree.max_n_classes > 1:
        values = values / values.sum(axis=1, keepdims=True)
    return Tree(tree.feature, tree.threshold, tree.children_left, tree.children_right, missing, values)


def _histogram_tree(nodes: Array) -> Tree:
    if nodes["is_categorical"].any():
        raise RejectedContent(
            "it splits by categories, which the exporter does not know: encode them with OneHotEncoder instead"
        )
    leaf = nodes["is_leaf"].astype(bool)
    left, right = (numpy.where(leaf, -1, nodes[side].astype("int64")) for side in ("left", "right"))
    missing, values = nodes["missing_go_to_left"].astype(bool), nodes["value"].reshape(-1, 1)
    return Tree(nodes["feature_idx"], nodes["num_threshold"], left, right, missing, values)


def _reached(estimator: Any, features: int) -> Iterator[Tree]:
    """The trees that are given the estimator's own columns: its own, and those of its members that take as many."""
    if getattr(estimator, "n_features_in_", None) != features:
        return
    own = trees_in(estimator)
    yield from own
    if hasattr(estimator, "steps"):
        yield from _reached(estimator.steps[0][1], features)
    elif not own:
        for name in _MEMBERS:
            for member in numpy.ravel(numpy.array(getattr(estimator, name, []), dtype=object)):
                yield from _reached(member, features)


def split_rows(model: Any, columns: tuple[Column, ...], generator: numpy.random.Generator) -> Table:
    """Rows in the model's own columns that try the splits of its trees from both sides; none where it has none.

    Where transformers come before the trees, the rows are led back through them, if they have a way back.
    """
    before, last = [], model
    while hasattr(last, "steps"):
        before += [step for _, step in last.steps[:-1] if step not in (None, "passthrough")]
        last = last.steps[-1][1]
    features = getattr(last, "n_features_in_", 0)
    trees = list(_reached(last, features))
    if not trees:
        return numpy.empty((0, len(columns)), dtype="float32")
    if not before:
        return probes(trees, columns, generator)
    own = threshold_columns(trees, features)
    wanted = numpy.concatenate([probes(trees, own, generator, gap) for gap in _GAPS])
    return _led_back(before, wanted.astype("float64"), len(columns))


def _led_back(steps: list[Any], wanted: Table, width: int) -> Table:
    """Rows that become those that are wanted; none where a step has no way back, or rounds them away."""
    rows = wanted
    for step in reversed(steps):
        back = getattr(step, "inverse_transform", None)
        rows = numpy.asarray(back(rows)) if back else rows
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError("the steps have no way back")
    rows = rows.astype("float32")
    forward: Any = rows.astype("float64")
    for step in steps:
        forward = step.transform(forward)
    near = numpy.isclose(forward, wanted, rtol=_NEAR, atol=_NEAR).all(axis=1)
    return numpy.asarray(rows[near])
