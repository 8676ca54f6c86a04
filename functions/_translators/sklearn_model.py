"""What a scikit-learn estimator answers, as arrays in the order of its ONNX form.

    classifier          label, and probabilities; or scores, where it has none (two columns for two classes)
    outlier detector    label (1 or -1), scores
    clustering          label, distances
    regressor           prediction, one column for each target
    transformer         transformed

It is run on the float32 numbers that ONNX is given, cast up to float64, in which scikit-learn computes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.flips import Choice
from functions._translators.inputs import Array

_NO_ANSWER = "it has neither predict nor transform, so there is nothing to translate"
_ONE_ANSWER = (
    "it answers several questions at once, which the exporter does not write as tensors: train one model for each"
)


@dataclass(frozen=True)
class Answers:
    """The names of what a model answers, and a function that answers it for some rows."""

    names: tuple[str, ...]
    run: Callable[[Sequence[Array]], list[Array]]
    choice: Choice | None


def answers_of(model: Any) -> Answers:
    """What a fitted estimator answers. Raises RejectedContent for one whose answers cannot be translated."""
    names, methods = _methods(model)

    def run(arrays: Sequence[Array]) -> list[Array]:
        import joblib

        rows = arrays[0].astype("float64")
        # A model may ask for processes of its own, which would each load everything again.
        with joblib.parallel_config(backend="sequential"):
            return [_plain(name, method(rows)) for name, method in zip(names, methods, strict=True)]

    return Answers(names, run, _choice(model, names))


def _choice(model: Any, names: Sequence[str]) -> Choice | None:
    if names[0] != "label":
        return None
    classes = getattr(model, "classes_", None)
    if names[-1] != "probabilities" or not isinstance(classes, numpy.ndarray) or classes.ndim != 1:
        return Choice()

    def by_scores(arrays: Sequence[Array]) -> Array:
        rows = arrays[0].astype("float64")
        return numpy.asarray(classes[model.predict_proba(rows).argmax(axis=1)] == model.predict(rows))

    return Choice(classes=classes, by_scores=by_scores)


def _methods(model: Any) -> tuple[tuple[str, ...], tuple[Callable[[Array], Any], ...]]:
    from sklearn.utils import get_tags

    kind = get_tags(model).estimator_type
    if hasattr(model, "predict_proba"):
        return ("label", "probabilities"), (model.predict, model.predict_proba)
    if kind in ("classifier", "outlier_detector") and hasattr(model, "decision_function"):
        return ("label", "scores"), (model.predict, model.decision_function)
    if kind == "classifier":
        return ("label",), (model.predict,)
    if kind == "clusterer" and hasattr(model, "transform"):
        return ("label", "distances"), (model.predict, model.transform)
    if hasattr(model, "predict"):
        return ("prediction",), (model.predict,)
    if hasattr(model, "transform"):
        return ("transformed",), (model.transform,)
    raise RejectedContent(_NO_ANSWER)


def _plain(name: str, answer: Any) -> Array:
    """Labels as texts or int64 in one dimension, everything else as float32 in two."""
    if isinstance(answer, list):
        raise RejectedContent(_ONE_ANSWER)
    answer = numpy.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
    if name == "label":
        if answer.ndim > 1 and answer.shape[1] > 1:
            raise RejectedContent(_ONE_ANSWER)
        flat = answer.reshape(-1)
        return numpy.asarray(flat, dtype=object if flat.dtype.kind in "UO" else "int64")
    if answer.ndim == 1 and name == "scores":
        answer = numpy.stack([-answer, answer], axis=1)
    return numpy.asarray(answer.reshape(len(answer), -1), dtype="float32")
