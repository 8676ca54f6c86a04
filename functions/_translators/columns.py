"""What the columns of a table hold: where their numbers lie, and how to draw some, for models trained on tables.

A tree asks whether a number is below a threshold, an encoder which of its categories it is; numbers around zero would
ask neither. So a column names the points that matter to its model, and numbers are drawn around those.

    >>> columns_like(numpy.array([[1.0, 20.0], [0.0, 20.5], [1.0, numpy.nan]]))[0]
    Column(points=(0.0, 1.0), spread=0.0, missing=False, positive=True, guessed=False)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

_MISSING_SHARE = 0.125
_DECADES = 2
_FEW = 16
"""A column with at most so many whole numbers holds categories: others were never there."""

Table = numpy.ndarray[Any, numpy.dtype[Any]]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        points: numbers that matter to the model.
        spread: how far around them to draw; 0 where only the points are legal, as categories are.
        missing: whether NaN is legal.
        positive: whether numbers below zero are never there.
        guessed: whether the spread is a guess; some rows are then drawn much further away, where scores saturate.
    """

    points: tuple[float, ...] = (0.0,)
    spread: float = 1.0
    missing: bool = False
    positive: bool = False
    guessed: bool = False


def columns_like(rows: Table) -> tuple[Column, ...]:
    """What the columns of a table hold, told by some of its rows."""
    return tuple(_like(rows[:, index].astype("float64")) for index in range(rows.shape[1]))


def _like(numbers: Table) -> Column:
    missing = bool(numpy.isnan(numbers).any())
    finite = numbers[numpy.isfinite(numbers)]
    if not finite.size:
        return Column(missing=missing)
    distinct = numpy.unique(finite)
    if len(distinct) <= _FEW and (distinct == numpy.round(distinct)).all():
        return Column(tuple(map(float, distinct)), 0.0, missing, bool(distinct[0] >= 0))
    return Column((float(finite.mean()),), float(finite.std()) or 1.0, missing, bool(distinct[0] >= 0))


def draw_table(generator: numpy.random.Generator, columns: Sequence[Column], rows: int, manner: str) -> Table:
    """A table of float64: ``normal`` around the points, or ``even`` across them, with gaps where NaN is legal."""
    table = numpy.stack([_numbers(generator, column, rows, manner) for column in columns], axis=1)
    guessed = numpy.array([column.guessed for column in columns])
    if guessed.any():
        table[:, guessed] *= 10 ** generator.uniform(0, _DECADES, (rows, 1))
    positive = numpy.array([column.positive for column in columns])
    table[:, positive] = numpy.abs(table[:, positive])
    if manner == "even":
        gaps = generator.random(table.shape) < _MISSING_SHARE
        table[gaps & numpy.array([column.missing for column in columns])] = numpy.nan
    return numpy.asarray(table)


def _numbers(generator: numpy.random.Generator, column: Column, rows: int, manner: str) -> Table:
    points = numpy.array(column.points, dtype="float64")
    if not column.spread:
        return numpy.asarray(generator.choice(points, rows))
    if manner == "normal":
        return numpy.asarray(generator.choice(points, rows) + column.spread * generator.standard_normal(rows))
    reach = 1.75 * column.spread
    return numpy.asarray(generator.uniform(points.min() - reach, points.max() + reach, rows))
