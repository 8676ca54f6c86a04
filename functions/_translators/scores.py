"""What a difference means for the model's task: agreement on the best class, accuracy, root mean square error."""

import math
from collections.abc import Iterable, Sequence

import numpy

from functions._translators.inputs import FLOATS, Array, Samples

_CLASSES = "iubUSO"
"""Kinds of numpy's dtypes that name classes: whole numbers and texts."""


def top1_agreement(
    pairs: Iterable[tuple[Sequence[Array], Sequence[Array]]], samples: Samples | None, label: int | None = None
) -> float | None:
    """How often both sides choose the same class; None for what is no classifier.

    Args:
        pairs: the outputs of each side, for some inputs; none where a side has failed.
        samples: real-valued labels there say that the model is no classifier.
        label: which output is the chosen class; without one it is the best score of the first output.
    """
    if samples and samples.labels is not None and samples.labels.dtype.kind not in _CLASSES:
        return None
    chosen = [(_chosen(wanted, label), _chosen(given, label)) for wanted, given in pairs]
    both = [(one, other) for one, other in chosen if one is not None and other is not None and len(one) == len(other)]
    total = sum(len(one) for one, _ in both)
    return sum(int((one == other).sum()) for one, other in both) / total if total else None


def task_metric(
    source: Sequence[Array], onnx: Sequence[Array], samples: Samples | None, label: int | None = None
) -> dict[str, object] | None:
    """Accuracy or root mean square error on the labelled samples, before and after; None where there are no labels."""
    if not samples or samples.labels is None or not source or not onnx:
        return None
    kind = "accuracy" if samples.labels.dtype.kind in _CLASSES else "rmse"
    before, after = (_score(kind, outputs, samples.labels, label) for outputs in (source, onnx))
    if before is None or after is None:
        return None
    return {"name": kind, "rows": samples.rows, "source": before, "onnx": after}


def _chosen(outputs: Sequence[Array], label: int | None) -> Array | None:
    if len(outputs) <= (label or 0):
        return None
    if label is not None:
        return outputs[label].reshape(-1)
    return numpy.asarray(outputs[0].argmax(1)) if _are_scores(outputs[0]) else None


def _are_scores(output: Array) -> bool:
    return output.dtype.name in FLOATS and output.ndim == 2 and output.shape[1] > 1


def _score(kind: str, outputs: Sequence[Array], labels: Array, label: int | None) -> float | None:
    if kind == "accuracy":
        chosen = _chosen(outputs, label)
        fits = chosen is not None and chosen.size == labels.size
        return float((chosen == labels.reshape(-1)).mean()) if chosen is not None and fits else None
    output = outputs[0]
    if output.size != labels.size or output.dtype.name not in FLOATS:
        return None
    value = float(numpy.sqrt(numpy.mean((output.reshape(-1).astype("float64") - labels.reshape(-1)) ** 2)))
    return value if math.isfinite(value) else None
