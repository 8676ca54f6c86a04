"""Translates LightGBM: text models, as ``booster.save_model('model.txt')`` writes them.

The text is read here, looked at, and only then given to LightGBM, which runs it. Its trees are written as ONNX by
``functions._translators.boosting``, which says why. What each line means is told by LightGBM's own reader
(https://github.com/microsoft/LightGBM/blob/master/src/io/tree.cpp). Trees with linear models in their leaves are
refused.

    python -I -m functions._translators.lightgbm SOURCE TARGET OPTIONS.json
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy

from functions._domain.errors import RejectedContent
from functions._domain.formats import Format
from functions._translators.boosting import OPSETS, Booster, source_of, vetted
from functions._translators.child import Options, main, refusing
from functions._translators.columns import Column
from functions._translators.equivalence import Source
from functions._translators.exporting import Framework
from functions._translators.inputs import Array
from functions._translators.splits import Tree

_AGAIN = "save it with booster.save_model('model.txt')"
_END, _BEFORE_PARAMETERS = "end of trees", "tree\nversion=v2"
_CATEGORY, _DEFAULT_LEFT = 1, 2
_NEVER_MISSING, _ZERO_IS_MISSING = 0, 1
_ZERO = float(numpy.float32(1e-35))
"""Numbers up to this size are zero to LightGBM."""

_LINKS = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multiclassova": "sigmoid",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    "cross_entropy": "sigmoid",
    "cross_entropy_lambda": "softplus",
}
_PLAIN = (
    "", "none", "custom", "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank",
    "rank_xendcg",
)  # fmt: skip
"""Objectives whose predictions are the sums themselves."""


def read(folder: Path, known: Format, options: Options) -> Source:
    """A loaded LightGBM model. Raises RejectedContent where it cannot be read or measured."""
    with refusing("this LightGBM model cannot be read", _AGAIN):
        text = _whole((folder / known.main).read_text().replace("\r\n", "\n"))
        booster = _booster(text)
        import lightgbm

        loaded = lightgbm.Booster(model_str=f"{text}\n{_END}\n\n")

    def predict(rows: Array) -> Array:
        return numpy.asarray(loaded.predict(rows.astype("float64")))

    return source_of(booster, predict, folder, options.seed)


def _whole(text: str) -> str:
    """The model's text up to the end of its trees, without the sizes by which LightGBM would jump through it blindly.

    It also reads on where what follows is cut off, and that ends the process.

    Raises:
        RejectedContent: it is cut off.
    """
    trees, end, rest = text.partition(f"\n{_END}")
    if not end or (not text.startswith(_BEFORE_PARAMETERS) and "\nend of parameters" not in rest):
        raise RejectedContent(f"it does not come to its end, so it is cut off: {_AGAIN}")
    return re.sub(r"\ntree_sizes=[^\n]*", "", trees)


def _booster(text: str) -> Booster:
    head, *blocks = re.split(r"^Tree=\d+$", text, flags=re.MULTILINE)
    about = _lines(head)
    name, *settings = about.get("objective", "").split(" ")
    if name not in _LINKS and name not in _PLAIN:
        raise RejectedContent(f"its objective {name[:60]!r} is not known: train it with one of LightGBM's own")
    trees = [_tree(_lines(block)) for block in blocks]
    sums, features = int(about["num_tree_per_iteration"]), int(about["max_feature_idx"]) + 1
    averaged = "average_output" in about
    asked = dict(setting.split(":", 1) for setting in settings if ":" in setting)
    factor = float(asked.get("sigmoid", 1)) if _LINKS.get(name) == "sigmoid" else 1.0
    is_square = name == "regression" and "sqrt" in settings
    return vetted(
        Booster(
            features,
            [tree for tree, _ in trees],
            [(number % sums,) for number in range(len(trees))],
            numpy.zeros(sums, dtype="float32"),
            "signed square" if is_square else _LINKS.get(name, "identity"),
            factor / (len(trees) // sums) if averaged and trees else factor,
            {"binary": 2, "multiclass": sums, "multiclassova": sums}.get(name, 0),
            sorted({feature for _, zeros in trees for feature in zeros}),
            tuple(_column(about_it) for about_it in about["feature_infos"].split(" ")),
        )
    )


def _lines(block: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in block.strip().split("\n"))


def _tree(lines: Mapping[str, str]) -> tuple[Tree, set[int]]:
    """A tree, inner nodes first and leaves after them; and the columns of which it takes zeros for missing."""
    if lines.get("is_linear", "0") != "0":
        raise RejectedContent(
            "its leaves hold linear models, which ONNX's trees have not: train it without linear_tree"
        )
    leaves = _numbers(lines, "leaf_value")
    count = len(leaves) - 1
    feature, kinds = (_numbers(lines, name, "int64", count) for name in ("split_feature", "decision_type"))
    threshold = _numbers(lines, "threshold", size=count)
    missing = numpy.where(kinds >> 2 == _NEVER_MISSING, threshold >= 0, kinds & _DEFAULT_LEFT > 0)
    # Where the threshold itself counts as zero, so do all numbers up to its size: they are on one side of it.
    below = float(numpy.nextafter(numpy.float32(-_ZERO), numpy.float32(-1)))
    threshold = numpy.where(abs(threshold) <= _ZERO, numpy.where(threshold < 0, below, _ZERO), threshold)
    # Children below zero are leaves: -1 the first, -2 the second.
    left, right = (
        numpy.where(child < 0, count - 1 - child, child)
        for child in (_numbers(lines, name, "int64", count) for name in ("left_child", "right_child"))
    )
    is_category = kinds & _CATEGORY > 0
    none, zeros = numpy.zeros(count + 1), (kinds >> 2 == _ZERO_IS_MISSING) & ~is_category
    return Tree(
        numpy.concatenate([feature, none.astype("int64")]),
        numpy.concatenate([threshold, none]),
        numpy.concatenate([left, none.astype("int64") - 1]),
        numpy.concatenate([right, none.astype("int64") - 1]),
        numpy.concatenate([missing & ~is_category, none > 0]),
        numpy.concatenate([none[:count], leaves]).reshape(-1, 1),
        categories=_categories(lines, threshold, is_category),
    ), set(map(int, feature[zeros]))


def _numbers(lines: Mapping[str, str], name: str, dtype: str = "float64", size: int | None = None) -> Array:
    words = lines.get(name, "").split()
    if size is not None and len(words) != size:
        raise RejectedContent(f"a tree has {len(words)} numbers of {name} where it needs {size}: {_AGAIN}")
    return numpy.array(words, dtype=dtype)


def _categories(lines: Mapping[str, str], threshold: Array, is_category: Array) -> dict[int, tuple[int, ...]]:
    """Of each node that asks for categories, those that go left: they are bits of words of 32."""
    begins, words = (_numbers(lines, name, "int64") for name in ("cat_boundaries", "cat_threshold"))
    found = {}
    for node in map(int, numpy.flatnonzero(is_category)):
        at = int(threshold[node])
        own = words[begins[at] : begins[at + 1]]
        found[node] = tuple(32 * word + bit for word, bits in enumerate(own) for bit in range(32) if bits >> bit & 1)
    return found


def _column(about: str) -> Column:
    """From ``[smallest:largest]`` or the list of categories that the training saw."""
    if about.startswith("["):
        low, high = map(float, about.strip("[]").split(":"))
        return Column((low, (low + high) / 2, high), (high - low) / 4 or 1.0, missing=True)
    seen: Sequence[float] = [float(category) for category in about.split(":")] if about != "none" else []
    return Column((*seen, max(seen) + 1), 0.0, missing=True) if seen else Column(missing=True)


LIGHTGBM = Framework("lightgbm", "LightGBM", OPSETS, ("lightgbm",), read)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], LIGHTGBM.translate))
