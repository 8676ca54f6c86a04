"""What a difference means for the model's task: agreement on the best class, accuracy, root mean square error."""

import math
from collections.abc import Iterable, Sequence

import numpy

from functions._translators.inputs import FLOATS, Array, Samples


def top1_agreement(pairs: Iterable[tuple[Array, Array]], samples: Samples | None) -> float | None:
    """How often both sides choose the same class; None for what is no classifier.

    Args:
        pairs: the first output of each side, for some inputs.
        samples: real-valued labels there say that the model is no classifier.
    """
    if samples and samples.labels is not None and samples.labels.dtype.kind not in "iub":
        return None
    scored = [(wanted, given) for wanted, given in pairs if _are_scores(wanted) and wanted.shape == given.shape]
    total = sum(len(wanted) for wanted, _ in scored)
    same = sum(int((wanted.argmax(1) == given.argmax(1)).sum()) for wanted, given in scored)
    return same / total if total else None


def task_metric(source: Sequence[Array], onnx: Sequence[Array], samples: Samples | None) -> dict[str, object] | None:
    """Accuracy or root mean square error on the labelled samples, before and after; None where there are no labels."""
    if not samples or samples.labels is None or not source or not onnx:
        return None
    kind = "accuracy" if samples.labels.dtype.kind in "iub" else "rmse"
    before, after = (_score(kind, outputs[0], samples.labels) for outputs in (source, onnx))
    if before is None or after is None:
        return None
    return {"name": kind, "rows": samples.rows, "source": before, "onnx": after}


def _are_scores(output: Array) -> bool:
    return output.dtype.name in FLOATS and output.ndim == 2 and output.shape[1] > 1


def _score(kind: str, output: Array, labels: Array) -> float | None:
    if kind == "accuracy":
        fits = _are_scores(output) and labels.size == len(output)
        return float((output.argmax(1) == labels.reshape(-1)).mean()) if fits else None
    if output.size != labels.size:
        return None
    value = float(numpy.sqrt(numpy.mean((output.reshape(-1).astype("float64") - labels.reshape(-1)) ** 2)))
    return value if math.isfinite(value) else None
