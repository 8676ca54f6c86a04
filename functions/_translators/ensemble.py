"""Sums of trees as ONNX's ``TreeEnsembleRegressor``.

Its page is https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html. A split by categories becomes a
chain of comparisons, whose answers "it is this one" all lead to the same node: ONNX Runtime reads it as one question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy

from functions._translators.splits import Tree, not_above, not_below

DOMAIN, VERSION, OPERATOR = "ai.onnx.ml", 1, "TreeEnsembleRegressor"


@dataclass
class _Nodes:
    """The lists that the operator wants, one number for each node."""

    treeids: list[int] = field(default_factory=list)
    nodeids: list[int] = field(default_factory=list)
    featureids: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    truenodeids: list[int] = field(default_factory=list)
    falsenodeids: list[int] = field(default_factory=list)
    missing_value_tracks_true: list[int] = field(default_factory=list)

    def add(self, *node: Any) -> None:
        for numbers, number in zip(vars(self).values(), node, strict=True):
            numbers.append(number)


def attributes(trees: Sequence[Tree], targets: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The operator's attributes for sums of trees.

    Args:
        trees: in the order in which they are added up.
        targets: for each tree, the sums to which the columns of its values are added.
    """
    nodes = _Nodes()
    leaves: dict[str, list[Any]] = {"target_treeids": [], "target_nodeids": [], "target_ids": [], "target_weights": []}
    for number, (tree, sums) in enumerate(zip(trees, targets, strict=True)):
        _add_nodes(nodes, number, tree)
        for leaf in numpy.flatnonzero(tree.left < 0):
            for target, value in zip(sums, tree.values[leaf], strict=True):
                for numbers, each in zip(leaves.values(), (number, int(leaf), target, float(value)), strict=True):
                    numbers.append(each)
    count = max(target for sums in targets for target in sums) + 1
    return {"n_targets": count, **{f"nodes_{name}": numbers for name, numbers in vars(nodes).items()}, **leaves}


def _add_nodes(nodes: _Nodes, number: int, tree: Tree) -> None:
    mode = "BRANCH_LT" if tree.strict else "BRANCH_LEQ"
    thresholds = (not_below if tree.strict else not_above)(tree.threshold)
    spare = len(tree.left)
    for node in range(len(tree.left)):
        left, right, missing = int(tree.left[node]), int(tree.right[node]), int(tree.missing_left[node])
        feature = int(tree.feature[node])
        if left < 0:
            nodes.add(number, node, 0, "LEAF", 0.0, 0, 0, 0)
        elif node in tree.categories:
            *others, last = tree.categories[node]
            ids = [node, *range(spare, spare + len(others))]
            spare += len(others)
            for own, after, category in zip(ids, ids[1:], others, strict=False):
                nodes.add(number, own, feature, "BRANCH_EQ", float(category), left, after, missing)
            nodes.add(number, ids[-1], feature, "BRANCH_EQ", float(last), left, right, missing)
        else:
            nodes.add(number, node, feature, mode, float(thresholds[node]), left, right, missing)
