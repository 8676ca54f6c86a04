"""A third opinion where a source and ONNX Runtime differ: ONNX's reference evaluator runs the ONNX text itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy

from functions._translators.differences import compare
from functions._translators.flips import rows_that_differ
from functions._translators.inputs import Array, Case
from functions._translators.runtime import Session

_SIZE_BOUND = 64 * 2**20
_ROWS_BOUND = 16
"""The evaluator is written in Python: some of the rows that differ say as much as all of them."""


def tie_break(
    model: Path, differing: set[str], expected: Sequence[tuple[Case, list[Array]]], *, by_row: bool
) -> dict[str, str] | None:
    """With whom the evaluator sides in the first case that differs; None where none does.

    Args:
        model: the ONNX file.
        differing: names of the cases that differ.
        expected: all cases with what the source answers.
        by_row: whether each row of a case is answered for itself, so that a few rows can be asked.
    """
    disputed = next(((case, wanted) for case, wanted in expected if case.name in differing), None)
    if disputed is None:
        return None
    case, wanted = disputed
    if model.stat().st_size > _SIZE_BOUND:
        return {"case": case.name, "sides_with": "not asked: the model is too large for the reference evaluator"}
    try:
        return {"case": case.name, "sides_with": _judged(model, case.arrays, wanted, by_row)}
    except Exception as error:  # noqa: BLE001  it lacks some operators; then there is no third opinion
        return {"case": case.name, "sides_with": f"no opinion: {type(error).__name__}"}


def _judged(model: Path, arrays: Sequence[Array], wanted: Sequence[Array], by_row: bool) -> str:
    import onnx.reference

    runtime = Session(model, "on")(arrays)
    if by_row and (rows := rows_that_differ(wanted, runtime)) is not None and len(rows):
        arrays, wanted, runtime = ([array[rows[:_ROWS_BOUND]] for array in each] for each in (arrays, wanted, runtime))
    evaluator = onnx.reference.ReferenceEvaluator(str(model))
    given = evaluator.run(None, dict(zip(evaluator.input_names, arrays, strict=True)))
    if len(given) == len(wanted) and all(map(_within, wanted, given)):
        return "source"
    return "ONNX Runtime" if len(runtime) == len(given) and all(map(_within, runtime, given)) else "neither"


def _within(expected: Array, actual: Array) -> bool:
    return compare(expected, numpy.asarray(actual)).within
