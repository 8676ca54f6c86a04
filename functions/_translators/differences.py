"""How far two arrays are apart, and whether that is rounding or an error. Knows no framework and no runtime.

A number ``a`` is accepted for ``e`` where

    |a - e| <= relative * |e| + absolute * (the median size of the output's numbers)

so that neither a large offset nor small outputs hide an error: numbers of a billionth are judged like those of ten.
That size is at least a thousandth of the largest, since the least of many probabilities has no digits to speak of.

    >>> compare(numpy.float32([1, 2]), numpy.float32([1, 2])).equal
    True
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from functions._translators.inputs import FLOATS, Array

TOLERANCES: Mapping[str, Mapping[str, Any]] = {
    "float64": {"relative": 1e-8, "absolute": 1e-9, "reason": "53 bits; sums are taken in another order"},
    "float32": {"relative": 1e-4, "absolute": 5e-5, "reason": "24 bits; sums are taken in another order, by depth"},
    "float16": {"relative": 1e-2, "absolute": 5e-3, "reason": "11 bits; one side may sum in float32 and round once"},
    "other": {"relative": 0.0, "absolute": 0.0, "reason": "whole numbers and truth values are exact"},
}
_SMALLEST_SHARE = 1e-3
"""Of an output's largest number: below that its numbers are not what it says, such as all probabilities but one."""
_SMALLEST_NORMALS = 16
"""Numbers next to the smallest normal one of their dtype have few digits, whatever computed them."""
_NOTHING_SCALE = 1e-3
"""Of an output in which there are zeros only."""
_MASKED = 1e30
"""Attention masks and the like put such numbers into outputs; they are no measure of the others."""


@dataclass(frozen=True)
class Difference:
    """How far one output is from what was expected; ``problem`` says what no number can."""

    max_abs: float = 0.0
    max_rel: float = 0.0
    equal: bool = True
    within: bool = True
    problem: str | None = None


def compare(
    expected: Array, actual: Array, coarsest: str = "float64", *, undefined: bool = False, largest_of_all: float = 0.0
) -> Difference:
    """The difference of two outputs, judged by the dtype of the expected one.

    Args:
        expected: what the source answers.
        actual: what is judged.
        coarsest: the coarsest dtype that went in, since a float32 model does not become exact by answering in float64.
        undefined: whether anything is accepted in the place of a NaN of the source.
        largest_of_all: the largest number of this output in any case, where there are others.
    """
    expected, actual = _plain(expected), _plain(actual)
    if expected.dtype != actual.dtype or expected.shape != actual.shape:
        return unlike(f"{actual.dtype} {actual.shape} where {expected.dtype} {expected.shape} was expected")
    if expected.dtype.name not in FLOATS:
        return _compare_exact(expected, actual)
    wanted, given = expected.astype("float64"), actual.astype("float64")
    if undefined:
        wanted, given = wanted[~numpy.isnan(wanted)], given[~numpy.isnan(wanted)]
    finite = numpy.isfinite(wanted)
    same_places = numpy.array_equal(wanted[~finite], given[~finite], equal_nan=True)
    if not same_places or not numpy.isfinite(given[finite]).all():
        return unlike("NaN or infinity in other places than expected")
    return _compare_numbers(wanted[finite], given[finite], _coarser(expected, coarsest), largest_of_all)


def largest(expected: Array) -> float:
    """The size of an output's largest number; masks and infinity are none, and 0 stands for no number at all."""
    if expected.dtype.name not in FLOATS:
        return 0.0
    sizes = numpy.abs(expected[numpy.isfinite(expected)].astype("float64"))
    return float(numpy.max(sizes[sizes < _MASKED], initial=0.0))


def unlike(problem: str) -> Difference:
    """Not comparable at all, for the reason given."""
    return Difference(math.inf, math.inf, False, False, problem)


def rows_apart(expected: Array, actual: Array, like: Array, coarsest: str = "float64") -> Array:
    """For each row of two outputs of one shape, whether it is not within tolerance.

    Args:
        expected: what the source answers.
        actual: what is judged.
        like: the output whose numbers say what size is usual; ``expected`` may be some rows of it.
        coarsest: as for ``compare``.
    """
    expected, actual = _plain(expected), _plain(actual)
    if expected.dtype.name not in FLOATS:
        return _by_row(expected != actual)
    wanted, given = expected.astype("float64"), actual.astype("float64")
    finite = numpy.isfinite(wanted) & numpy.isfinite(given)
    odd = ~finite & ~((wanted == given) | (numpy.isnan(wanted) & numpy.isnan(given)))
    wanted, given = (numpy.where(finite, side, 0.0) for side in (wanted, given))
    apart, sizes = numpy.abs(given - wanted), numpy.abs(wanted)
    return _by_row(odd | (apart > allowed(sizes, like, coarsest)))


def allowed(sizes: Array, like: Array, coarsest: str) -> Array:
    """How far numbers of these sizes may be off in an output like this one."""
    dtype = _coarser(like, coarsest)
    usual = _scale(numpy.abs(like[numpy.isfinite(like)].astype("float64")), dtype)
    return _allowed(sizes, usual, TOLERANCES[dtype])


def _by_row(elements: Array) -> Array:
    return numpy.asarray(elements.reshape(len(elements), -1).any(axis=1))


def _plain(array: Array) -> Array:
    """Text as objects, as ONNX Runtime has it; everything else as it is."""
    return array.astype(object) if array.dtype.kind in "US" else array


def _coarser(expected: Array, coarsest: str) -> str:
    return min(expected.dtype.name, coarsest, key=FLOATS.index)


def _compare_exact(expected: Array, actual: Array) -> Difference:
    if numpy.array_equal(expected, actual):
        return Difference()
    count = int(numpy.count_nonzero(expected != actual))
    if expected.dtype.kind == "O":
        return unlike(f"{count} of {expected.size} texts differ")
    apart = numpy.abs(expected.astype("float64") - actual.astype("float64"))
    return Difference(float(apart.max()), 0.0, False, False, f"{count} of {expected.size} whole numbers differ")


def _compare_numbers(wanted: Array, given: Array, dtype: str, largest_of_all: float) -> Difference:
    apart, sizes = numpy.abs(given - wanted), numpy.abs(wanted)
    if not apart.any():
        return Difference()
    scale = _scale(sizes, dtype, largest_of_all)
    within = apart <= _allowed(sizes, scale, TOLERANCES[dtype])
    # Relative to a number next to zero, any rounding is large: those are taken relative to a thousandth of the scale.
    relative = apart / numpy.maximum(sizes, scale * 1e-3)
    return Difference(float(apart.max()), float(relative.max()), False, bool(within.all()))


def _scale(sizes: Array, dtype: str, largest_of_all: float = 0.0) -> float:
    """The median size of an output's numbers, zeros and masks apart, or a share of the largest where that is more."""
    typical = sizes[(sizes > 0) & (sizes < _MASKED)]
    top = max(largest_of_all, float(numpy.max(typical, initial=0.0)))
    if not top:
        return _NOTHING_SCALE
    middle = float(numpy.median(typical)) if typical.size else 0.0
    return max(middle, _SMALLEST_SHARE * top, _SMALLEST_NORMALS * float(numpy.finfo(dtype).tiny))


def _allowed(sizes: Array, scale: float, tolerance: Mapping[str, Any]) -> Array:
    return numpy.asarray(tolerance["relative"] * sizes + tolerance["absolute"] * scale)


def verdict(differences: Sequence[Difference]) -> str:
    """``equal``, ``within-tolerance`` or ``not-equal``; no comparison at all is not equal."""
    if not differences or not all(difference.within for difference in differences):
        return "not-equal"
    return "equal" if all(difference.equal for difference in differences) else "within-tolerance"
