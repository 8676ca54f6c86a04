"""Translates XGBoost: models in JSON or UBJ (https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html).

XGBoost reads and runs them; ``functions._translators.boosting`` writes their trees as ONNX, and says why. A booster
without trees (``gblinear``) is refused.

    python -I -m functions._translators.xgboost SOURCE TARGET OPTIONS.json
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._domain.formats import Format
from functions._translators.boosting import OPSETS, Booster, source_of, vetted
from functions._translators.child import Options, main, refusing
from functions._translators.columns import Column
from functions._translators.equivalence import Source
from functions._translators.exporting import Framework, installed
from functions._translators.inputs import Array
from functions._translators.probes import threshold_columns
from functions._translators.splits import Tree
from functions._translators.ubjson import decode

_AGAIN = "save it with booster.save_model('model.json')"
_LINKS = {
    "binary:logistic": "sigmoid",
    "reg:logistic": "sigmoid",
    "binary:logitraw": "identity",
    "binary:hinge": "step",
    "multi:softmax": "softmax",
    "multi:softprob": "softmax",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
    "survival:cox": "exp",
    "survival:aft": "exp",
}
"""What each objective makes of the sums; others, such as ``reg:squarederror``, leave them as they are."""

_KNOWN = ("reg:", "rank:")
_LOGITS = ("binary:logistic", "reg:logistic")


def read(folder: Path, known: Format, options: Options) -> Source:
    """A loaded XGBoost model. Raises RejectedContent where it cannot be read or measured."""
    data = (folder / known.main).read_bytes()
    with refusing("this XGBoost model cannot be read", _AGAIN):
        _booster(json.loads(data) if known.name == "json" else decode(data))  # before the library sees it
        import xgboost

        loaded = xgboost.Booster()
        loaded.load_model(bytearray(data))
        # What it has understood counts; and models of older versions then look like new ones.
        document = json.loads(bytes(loaded.save_raw("json")))
        booster = _booster(document)
        if document["learner"]["objective"]["name"] == "multi:softmax":
            loaded.set_param({"objective": "multi:softprob"})
    return source_of(booster, _predictor(loaded, xgboost), folder, options.seed)


def _predictor(loaded: Any, xgboost: Any) -> Callable[[Array], Array]:
    def predict(rows: Array) -> Array:
        kinds = loaded.feature_types
        table = xgboost.DMatrix(
            rows, feature_names=loaded.feature_names, feature_types=kinds, enable_categorical="c" in (kinds or [])
        )
        return numpy.asarray(loaded.predict(table))

    return predict


def _booster(document: Mapping[str, Any]) -> Booster:
    learner = document["learner"]
    objective, parameters = learner["objective"]["name"], learner["learner_model_param"]
    if objective not in _LINKS and not objective.startswith(_KNOWN):
        raise RejectedContent(f"its objective {objective[:60]!r} is not known: train it with one of XGBoost's own")
    model, weights = _model(learner["gradient_booster"])
    features, classes = int(parameters["num_feature"]), int(parameters["num_class"])
    sums = max(classes, int(parameters.get("num_target", 1)), 1)
    trees = [_tree(tree, weight) for tree, weight in zip(model["trees"], weights, strict=True)]
    targets = [
        range(sums) if tree.values.shape[1] > 1 else (int(target),)
        for tree, target in zip(trees, model["tree_info"], strict=True)
    ]
    found = Booster(
        features,
        trees,
        targets,
        _base(parameters["base_score"], objective, sums),
        _LINKS.get(objective, "identity"),
        classes=2 if objective == "binary:logistic" else classes,
    )
    return replace(vetted(found), columns=_columns(trees, learner.get("feature_types") or ["q"] * features))


def _model(booster: Mapping[str, Any]) -> tuple[Mapping[str, Any], Sequence[float]]:
    """The trees, and the weight of each: with DART some are worth less."""
    name = booster["name"]
    if name == "gbtree":
        return booster["model"], [1.0] * len(booster["model"]["trees"])
    if name == "dart":
        return booster["gbtree"]["model"], [float(weight) for weight in booster["weight_drop"]]
    raise RejectedContent(f"its booster is {str(name)[:60]!r}, which has no trees: train it with booster='gbtree'")


_EACH_NODE = (
    "left_children", "right_children", "parents", "split_conditions", "split_indices", "default_left", "loss_changes",
    "sum_hessian",
)  # fmt: skip


def _tree(tree: Mapping[str, Any], weight: float) -> Tree:
    count = int(tree["tree_param"]["num_nodes"])
    if wrong := [name for name in _EACH_NODE if len(tree[name]) != count]:
        raise RejectedContent(
            f"a tree has {len(tree[wrong[0]])} numbers of {wrong[0]} where it needs {count}: {_AGAIN}"
        )
    left, right = (numpy.array(tree[f"{side}_children"], dtype="int64") for side in ("left", "right"))
    threshold = numpy.array(tree["split_conditions"], dtype="float32")
    width = int(tree["tree_param"]["size_leaf_vector"])
    values = threshold.reshape(-1, 1)
    if width > 1:
        leaves = numpy.array(tree["leaf_weights"], dtype="float32").reshape(-1, width)
        values = leaves[numpy.where(left == -1, right, 0)]
    default_left = numpy.array(tree["default_left"], dtype=bool)
    found = Tree(
        numpy.array(tree["split_indices"], dtype="int64"),
        threshold.astype("float64"),
        left,
        right,
        default_left,
        values * numpy.float32(weight),
        strict=True,
        categories=_node_categories(tree),
    )
    return _turned(found)


def _node_categories(tree: Mapping[str, Any]) -> dict[int, tuple[int, ...]]:
    begins, sizes, members = (tree.get(f"categories{part}", []) for part in ("_segments", "_sizes", ""))
    return {
        int(node): tuple(map(int, members[begin : begin + size]))
        for node, begin, size in zip(tree.get("categories_nodes", []), begins, sizes, strict=True)
    }


def _turned(tree: Tree) -> Tree:
    """XGBoost sends the categories of a node to the right; here they go to the left."""
    nodes = list(tree.categories)
    left, right, missing = tree.left.copy(), tree.right.copy(), tree.missing_left.copy()
    left[nodes], right[nodes], missing[nodes] = tree.right[nodes], tree.left[nodes], ~tree.missing_left[nodes]
    return replace(tree, left=left, right=right, missing_left=missing)


def _base(score: str, objective: str, sums: int) -> Array:
    """What the sums begin with: newer versions write a list, and all write it as a prediction."""
    found = numpy.array(json.loads(score) if score.startswith("[") else [float(score)], dtype="float64")
    if objective in _LOGITS:
        found = numpy.log(found) - numpy.log1p(-found)
    elif _LINKS.get(objective) == "exp":
        found = numpy.log(found)
    return numpy.asarray(numpy.broadcast_to(found, (sums,)), dtype="float32")


def _columns(trees: Sequence[Tree], kinds: Sequence[str]) -> tuple[Column, ...]:
    columns = threshold_columns(trees, len(kinds), missing=True)
    return tuple(_categories(trees, index) if kind == "c" else columns[index] for index, kind in enumerate(kinds))


def _categories(trees: Sequence[Tree], feature: int) -> Column:
    members = {
        member for tree in trees for node, each in tree.categories.items() if tree.feature[node] == feature
        for member in each
    }  # fmt: skip
    return Column(tuple(map(float, range(max(members, default=0) + 2))), 0.0, missing=True)


XGBOOST = Framework("xgboost", "XGBoost", OPSETS, (installed("xgboost-cpu", "xgboost"),), read)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], XGBOOST.translate))
