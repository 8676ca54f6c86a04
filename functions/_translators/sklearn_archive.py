"""Reads a skops file (https://skops.readthedocs.io) without running anything that it names.

skops builds objects of types that are allowed by name. Its own list has scikit-learn's estimators, numpy's arrays and
functions, and plain containers; ours adds the parts that fitted estimators are made of. Nothing on either list runs
code of the file, and a type on neither is refused by name. Trees hold indices that scikit-learn follows blindly, so
they are looked at here. What a hostile file may still provoke in compiled code meets a translator's limits.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.child import refusing
from functions._translators.sklearn_trees import trees_in

AGAIN = "save the fitted estimator with skops.io.dump(model, 'model.skops')"

_PARTS: Mapping[str, str] = {
    "numpy": "dtype",
    "sklearn._loss.loss": "HalfTweedieLoss HalfTweedieLossIdentity",
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.feature_selection._mutual_info": "mutual_info_classif mutual_info_regression",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif f_regression r_regression",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation "
    "Matern Product RBF RationalQuadratic Sum WhiteKernel",
    "sklearn.metrics._dist_metrics": "ChebyshevDistance64 EuclideanDistance64 ManhattanDistance64 MinkowskiDistance64",
    "sklearn.metrics._scorer": "_PassthroughScorer",
    "sklearn.model_selection._split": "KFold StratifiedKFold",
    "sklearn.neighbors._ball_tree": "BallTree",
    "sklearn.neighbors._kd_tree": "KDTree",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.tree._tree": "Tree",
    "sklearn.utils._bunch": "Bunch",
}
ALLOWED = frozenset(f"{module}.{name}" for module, names in _PARTS.items() for name in names.split())
"""Types and functions that a file may name, beside those that skops 0.16 allows itself."""


def load(path: Path) -> Any:
    """The fitted estimator that a file holds.

    Raises:
        RejectedContent: it holds anything but a fitted estimator, names a type that is not allowed, or is broken.
    """
    with refusing("this skops file cannot be read", AGAIN):
        import skops.io

        named = skops.io.get_untrusted_types(file=path)
        if refused := sorted(set(named) - ALLOWED):
            raise RejectedContent(_refusal(refused))
        model = skops.io.load(path, trusted=named)
        _vet(model)
    return model


def _refusal(names: list[str]) -> str:
    shown = ", ".join(name[:120] for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (
        f"it holds {shown}, which a model may not bring along: "
        "use scikit-learn's estimators and numpy's functions only, none of your own"
    )


def _vet(model: Any) -> None:
    from sklearn.base import BaseEstimator

    if not isinstance(model, BaseEstimator):
        raise RejectedContent(f"it holds a {type(model).__name__}, which is no estimator of scikit-learn: {AGAIN}")
    for part in parts(model):
        for tree in trees_in(part):
            if not tree.is_sound(part.n_features_in_):
                raise RejectedContent("one of its trees is none: its nodes point at others that are not there")


def parts(model: Any) -> Iterator[Any]:
    """The estimators that an estimator is made of, itself first, each once."""
    from sklearn.base import BaseEstimator

    seen, waiting = {id(model)}, [model]
    while waiting:
        part = waiting.pop()
        if isinstance(part, BaseEstimator):
            yield part
        for inner in _held(part):
            if id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner)


def _held(part: Any) -> list[Any]:
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, list | tuple | set):
        return list(part)
    if isinstance(part, numpy.ndarray):
        return list(part.flat) if part.dtype.kind == "O" else []
    is_own = type(part).__module__.startswith("sklearn.")
    return list(getattr(part, "__dict__", {}).values()) if is_own else []
