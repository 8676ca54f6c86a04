"""How far two arrays are apart, and whether that is rounding or an error. Knows no framework and no runtime.

A number ``a`` is accepted for ``e`` where

    |a - e| <= relative * |e| + absolute * (the median size of the output's numbers)

so that neither a large offset nor small outputs hide an error.

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
_SMALLEST_SCALE = 1e-3
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


def compare(expected: Array, actual: Array, coarsest: str = "float64", *, undefined: bool = False) -> Difference:
    """The difference of two outputs, judged by the dtype of the expected one.

    Args:
        expected: what the source answers.
        actual: what is judged.
        coarsest: the coarsest dtype that went in, since a float32 model does not become exact by answering in float64.
        undefined: whether anything is accepted in the place of a NaN of the source.
    """
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
    tolerance = TOLERANCES[min(expected.dtype.name, coarsest, key=FLOATS.index)]
    return _compare_numbers(wanted[finite], given[finite], tolerance)


def unlike(problem: str) -> Difference:
    """Not comparable at all, for the reason given."""
    return Difference(math.inf, math.inf, False, False, problem)


def _compare_exact(expected: Array, actual: Array) -> Difference:
    if numpy.array_equal(expected, actual):
        return Difference()
    apart = numpy.abs(expected.astype("float64") - actual.astype("float64"))
    count = int(numpy.count_nonzero(expected != actual))
    return Difference(float(apart.max()), 0.0, False, False, f"{count} of {expected.size} whole numbers differ")


def _compare_numbers(wanted: Array, given: Array, tolerance: Mapping[str, Any]) -> Difference:
    apart, sizes = numpy.abs(given - wanted), numpy.abs(wanted)
    if not apart.any():
        return Difference()
    typical = sizes[(sizes > 0) & (sizes < _MASKED)]
    scale = max(float(numpy.median(typical)) if typical.size else 0.0, _SMALLEST_SCALE)
    within = apart <= tolerance["relative"] * sizes + tolerance["absolute"] * scale
    # Relative to a number next to zero, any rounding is large: those are taken relative to a thousandth of the scale.
    relative = apart / numpy.maximum(sizes, scale * 1e-3)
    return Difference(float(apart.max()), float(relative.max()), False, bool(within.all()))


def verdict(differences: Sequence[Difference]) -> str:
    """``equal``, ``within-tolerance`` or ``not-equal``; no comparison at all is not equal."""
    if not differences or not all(difference.within for difference in differences):
        return "not-equal"
    return "equal" if all(difference.equal for difference in differences) else "within-tolerance"
