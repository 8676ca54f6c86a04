"""Tells rounding that crossed a step from an error: models with steps, such as trees and labels, answer in jumps.

Where an input lies within rounding of a threshold, or the scores of two classes within rounding of each other, float32
arithmetic may step to the other side: the answers are then far apart although nothing is wrong. Such a row is a flip:

- a tie, where all scores agree and the label of ONNX is one of those that the source's own scores call best; or
- a step, where the source itself gives the answer of ONNX for an input that differs by no more than float32 rounds.
  (Numerical analysis calls this backward error: Higham, Accuracy and Stability of Numerical Algorithms, 1.5.)

Flips are counted and named. A row that neither explains is an error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from functions._translators.differences import allowed, rows_apart
from functions._translators.inputs import FLOATS, Array

Run = Callable[[Sequence[Array]], Sequence[Array]]

_UNITS = (*(4,) * 16, *(32,) * 16)
"""Tries, with how far each moves an input: a difference of two sums loses more than a single comparison."""

TIE, STEP = "tie", "step"
"""What may explain a flip; what compares numbers just as they come, as a forest does, has no steps to excuse."""

_TIED = "the source's scores of both labels are the same within tolerance"
_STEPPED = f"the source answers the same for inputs moved by at most {_UNITS[-1]} units in the last place of float32"
_ROWS_BOUND = 512


@dataclass(frozen=True)
class Choice:
    """A classifier's outputs: which one is the label, which one the scores, and the labels of their columns.

    ``by_scores`` says for some inputs in which rows the source itself goes by its scores, in its own precision.
    """

    label: int = 0
    scores: int = 1
    classes: Array | None = None
    by_scores: Callable[[Sequence[Array]], Array] | None = None


def settle(
    run: Run,
    arrays: Sequence[Array],
    wanted: Sequence[Array],
    given: Sequence[Array],
    coarsest: str,
    choice: Choice | None = None,
    kinds: Sequence[str] = (TIE, STEP),
) -> tuple[list[Array], dict[int, str]]:
    """The source's answers, with those of flipped rows in the place of the first ones; and those rows with the reason.

    Args:
        run: the source.
        arrays: what both sides were given; each has one row for each answer.
        wanted: what the source answered.
        given: what ONNX Runtime answered.
        coarsest: the coarsest dtype that went in.
        choice: which outputs are label and scores, where the model is a classifier.
        kinds: what may explain a flip.
    """
    settled = [array.copy() for array in wanted]
    waiting = rows_that_differ(wanted, given, coarsest=coarsest)
    if waiting is None or not 0 < len(waiting) <= _ROWS_BOUND:
        return settled, {}
    flips: dict[int, str] = {}
    if choice and TIE in kinds:
        ties = _ties(arrays, wanted, given, waiting, coarsest, choice)
        settled[choice.label][ties] = given[choice.label][ties]
        flips.update(dict.fromkeys(map(int, ties), _TIED))
        waiting = numpy.setdiff1d(waiting, ties)
    generator = numpy.random.default_rng(0)
    for units in _UNITS if STEP in kinds else ():
        if not len(waiting):
            break
        answers = run([_nudged(generator, array, waiting, units) for array in arrays])
        apart = rows_that_differ(answers, [array[waiting] for array in given], wanted, coarsest)
        if apart is None:
            break
        explained = numpy.setdiff1d(numpy.arange(len(waiting)), apart)
        for array, answer in zip(settled, answers, strict=True):
            array[waiting[explained]] = answer[explained]
        flips.update(dict.fromkeys(map(int, waiting[explained]), _STEPPED))
        waiting = waiting[apart]
    return settled, flips


def rows_that_differ(
    wanted: Sequence[Array], given: Sequence[Array], scale: Sequence[Array] | None = None, coarsest: str = "float32"
) -> Array | None:
    """The rows in which some output is not within tolerance; None where the outputs do not have rows alike.

    Args:
        wanted: what the source answers.
        given: what is judged.
        scale: outputs whose numbers say what size is usual, where ``wanted`` are only some rows of them.
        coarsest: the coarsest dtype that went in.
    """
    alike = len(wanted) == len(given) and all(
        one.shape == other.shape and one.ndim and len(one) == len(wanted[0])
        for one, other in zip(wanted, given, strict=True)
    )
    if not alike:
        return None
    apart = [rows_apart(*each, coarsest) for each in zip(wanted, given, scale or wanted, strict=True)]
    return numpy.flatnonzero(numpy.logical_or.reduce(apart))


def _ties(
    arrays: Sequence[Array],
    wanted: Sequence[Array],
    given: Sequence[Array],
    rows: Array,
    coarsest: str,
    choice: Choice,
) -> Array:
    """Those of some rows in which only the label differs, and the source's own scores leave it open."""
    if choice.by_scores is None or choice.classes is None:
        return numpy.array([], dtype="int64")
    like = wanted[choice.scores]
    scores = like[rows].astype("float64")
    best, at = scores.max(axis=1), numpy.arange(len(rows))
    columns = {label: column for column, label in enumerate(choice.classes.tolist())}
    others = numpy.array([columns.get(label, -1) for label in given[choice.label][rows].tolist()])
    close = (others >= 0) & (scores[at, others] >= best - 2 * allowed(best, like, coarsest))
    agree = ~rows_apart(like[rows], given[choice.scores][rows], like, coarsest)
    # Where a source does not go by its own scores, they leave nothing open.
    return numpy.asarray(rows[close & agree & choice.by_scores([array[rows] for array in arrays])])


def _nudged(generator: numpy.random.Generator, array: Array, rows: Array, units: int) -> Array:
    """Some rows with every number moved by some units of its own size, or of its column's: means are subtracted."""
    chosen = array[rows]
    if array.dtype.name not in FLOATS:
        return chosen
    sizes = numpy.abs(numpy.nan_to_num(array.astype("float64")))
    unit = numpy.finfo("float32").eps * numpy.maximum(sizes[rows], numpy.median(sizes, axis=0))
    moved = chosen.astype("float64") + units * unit * generator.uniform(-1, 1, chosen.shape)
    return numpy.asarray(moved.astype(array.dtype))
