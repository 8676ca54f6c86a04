"""Inputs that try every split of some trees from both sides.

A split that differs from its source is seen only by a row that reaches it, lies between the two thresholds, and is told
something else on the other side. So pairs of rows are made: the path to a split says in which box they must lie, they
lie next to its threshold, and where chance does not find a pair that is told two things, two leaves are chosen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy

from functions._translators.columns import Column, Table, draw_table
from functions._translators.inputs import Array
from functions._translators.splits import Tree, not_above, not_below

_SPLITS_BOUND = 16384
"""Splits that are tried at once; of more, the seed chooses some."""

_POINTS_BOUND = 64
_DRAWS, _PAIRS_BOUND = 4, 100


@dataclass(frozen=True)
class _Side:
    """What a path asks of one column: between two numbers, or one of some categories and none of others.

    Above infinity there is what is missing: scikit-learn has splits that nothing else passes.
    """

    low: float = -numpy.inf
    high: float = numpy.inf
    only: frozenset[int] | None = None
    never: frozenset[int] = frozenset()

    def meet(self, other: "_Side") -> "_Side":
        """What both ask."""
        both = [each for each in (self.only, other.only) if each is not None]
        only = frozenset.intersection(*both) if both else None
        return _Side(max(self.low, other.low), min(self.high, other.high), only, self.never | other.never)

    @property
    def is_open(self) -> bool:
        """Whether there is anything that it asks for."""
        return (self.low < self.high or self.low == numpy.inf) and (self.only is None or bool(self.only - self.never))

    def takes(self, number: float) -> bool:
        """Whether a number is what it asks for."""
        fits = self.only is None or number in self.only
        return self.low < number < self.high and fits and number not in self.never

    def choose(self, column: Column) -> float:
        """A number that it takes, like those of a column if possible."""
        if self.only is not None:
            return float(min(self.only - self.never, default=0))  # nothing: no row comes this way
        if self.never:
            found = next((point for point in column.points if self.takes(point)), None)
            return float(max(self.never) + 1) if found is None else found
        if self.low == numpy.inf:
            return numpy.nan
        if numpy.isfinite(self.low) and numpy.isfinite(self.high):
            return (self.low + self.high) / 2
        spread = column.spread or 1.0
        return self.low + spread if numpy.isfinite(self.low) else self.high - spread


_Box = Mapping[int, _Side]


def threshold_columns(trees: Sequence[Tree], features: int, *, missing: bool = False) -> tuple[Column, ...]:
    """Where the numbers of columns lie, told by what trees compare them with."""
    asked = numpy.concatenate([tree.feature[tree.splits] for tree in trees])
    thresholds = numpy.concatenate([tree.threshold[tree.splits] for tree in trees])
    return tuple(_around(thresholds[asked == index], missing) for index in range(features))


def _around(thresholds: Array, missing: bool) -> Column:
    thresholds = thresholds[_is_between(thresholds)]
    if not thresholds.size:
        return Column(missing=missing)
    points = numpy.quantile(thresholds, numpy.linspace(0, 1, min(_POINTS_BOUND, thresholds.size)))
    return Column(tuple(map(float, points)), float(thresholds.std()) or max(1.0, abs(float(points[0]))), missing)


def probes(
    trees: Sequence[Tree], columns: Sequence[Column], generator: numpy.random.Generator, gap: float = 0.0
) -> Table:
    """Rows of float32 in pairs that reach a split and go two ways there; none without splits.

    Args:
        trees: all that take the model's own columns.
        columns: where other numbers of these rows lie.
        generator: which splits are taken where there are too many, and those other numbers.
        gap: how far from the threshold, as a share of its column's spread; at 0 the next numbers that float32 has.
    """
    counts = [len(tree.splits) for tree in trees]
    chosen = numpy.arange(sum(counts))
    if len(chosen) > _SPLITS_BOUND:
        chosen = numpy.sort(generator.choice(chosen, _SPLITS_BOUND, replace=False))
    rows, before = [numpy.empty((0, len(columns)), dtype="float32")], 0
    for tree, count in zip(trees, counts, strict=True):
        nodes = tree.splits[chosen[(chosen >= before) & (chosen < before + count)] - before]
        before += count
        rows.append(_pairs(tree, nodes, columns, generator, gap))
    return numpy.concatenate(rows)


def _pairs(tree: Tree, nodes: Array, columns: Sequence[Column], generator: numpy.random.Generator, gap: float) -> Table:
    """A pair of rows for each of some splits, made again where both end in leaves that say the same."""
    found = numpy.empty((2 * len(nodes), len(columns)), dtype="float32")
    parents, waiting = tree.parents, numpy.arange(len(nodes))
    for last in (*(False,) * _DRAWS, True):
        drawn = numpy.repeat(draw_table(generator, columns, len(waiting), "normal"), 2, axis=0)
        for index, node in enumerate(map(int, nodes[waiting])):
            box, ways = _told_apart(tree, node, parents) if last else _reaching(tree, node, parents)
            _put(drawn[2 * index : 2 * index + 2], box, columns)
            feature = int(tree.feature[node])
            drawn[2 * index : 2 * index + 2, feature] = _beside(tree, node, gap, columns[feature], ways)
        found[numpy.stack([2 * waiting, 2 * waiting + 1], axis=1).reshape(-1)] = drawn
        said = tree.values[tree.leaves(drawn.astype("float32"))]
        waiting = waiting[(said[::2] == said[1::2]).all(axis=1)]
        if not len(waiting):
            break
    return found


def _box(tree: Tree, node: int, parents: Array, top: int = -1) -> _Box:
    """What the path to a node asks of the columns, from the root or from below another node on it."""
    box: dict[int, _Side] = {}
    child, above = node, int(parents[node])
    while above >= 0 and child != top:
        feature, limit = int(tree.feature[above]), tree.threshold[above]
        threshold = float(limit) if _is_between(limit) else float(numpy.copysign(numpy.inf, limit))
        goes_left = bool(tree.left[above] == child)
        if above in tree.categories:
            members = frozenset(tree.categories[above])
            side = _Side(only=members) if goes_left else _Side(never=members)
        else:
            side = _Side(high=threshold) if goes_left else _Side(low=threshold)
        box[feature] = box[feature].meet(side) if feature in box else side
        child, above = above, int(parents[above])
    return box


def _met(*boxes: _Box) -> _Box | None:
    """What all boxes ask; None where they contradict each other."""
    found: dict[int, _Side] = {}
    for box in boxes:
        for feature, side in box.items():
            found[feature] = found[feature].meet(side) if feature in found else side
    return found if all(side.is_open for side in found.values()) else None


_Ways = tuple[_Side, _Side]
"""What the split's own column has to be, to the left and to the right."""


def _reaching(tree: Tree, node: int, parents: Array) -> tuple[_Box, _Ways]:
    """A box in which rows reach a node, and both ways on."""
    own, box = int(tree.feature[node]), _box(tree, node, parents)
    left, right = (_box(tree, int(child), parents)[own] for child in (tree.left[node], tree.right[node]))
    return box, (left, right)


def _told_apart(tree: Tree, node: int, parents: Array) -> tuple[_Box, _Ways]:
    """A box in which rows reach two leaves below a node that say different things; or else one to reach the node."""
    own, above = int(tree.feature[node]), _box(tree, node, parents)
    sides = [list(_leaves_below(tree, int(child))) for child in (tree.left[node], tree.right[node])]
    for left, right in islice(product(*sides), _PAIRS_BOUND):
        if (tree.values[left] == tree.values[right]).all():
            continue
        below = [_box(tree, leaf, parents, top=node) for leaf in (left, right)]
        # The split's own column is put next to its threshold, where the rest of both paths has no say.
        found = _met(above, *({feature: side for feature, side in box.items() if feature != own} for box in below))
        ways = [_box(tree, leaf, parents)[own] for leaf in (left, right)]
        if found is not None and all(way.is_open for way in ways):
            return found, (ways[0], ways[1])
    return _reaching(tree, node, parents)


def _leaves_below(tree: Tree, node: int) -> Iterator[int]:
    waiting = [node]
    while waiting:
        at = waiting.pop(0)
        if tree.left[at] < 0:
            yield at
        else:
            waiting += [int(tree.left[at]), int(tree.right[at])]


def _put(rows: Table, box: _Box, columns: Sequence[Column]) -> None:
    """Puts equal rows into a box, and leaves numbers alone that lie in it already."""
    for feature, side in box.items():
        if not side.takes(float(rows[0, feature])):
            rows[:, feature] = side.choose(columns[feature])


def _beside(tree: Tree, node: int, gap: float, column: Column, ways: _Ways) -> Array:
    """A number that goes left at a node, and one that goes right."""
    if node in tree.categories:
        return numpy.array([way.choose(column) for way in ways])
    threshold = tree.threshold[node : node + 1]
    if not _is_between(threshold)[0]:
        return numpy.array([column.points[0] if column.points else 0.0, numpy.nan])
    if gap:
        apart = gap * (column.spread or 1.0)
        return numpy.concatenate([threshold - apart, threshold + apart])
    if tree.strict:
        right = not_below(threshold)
        return numpy.concatenate([numpy.nextafter(right, numpy.float32(-numpy.inf)), right])
    left = not_above(threshold)
    return numpy.concatenate([left, numpy.nextafter(left, numpy.float32(numpy.inf))])


def _is_between(thresholds: Array) -> Any:
    """Which thresholds have numbers of float32 on both sides; on the other side of the rest is what is missing."""
    return numpy.abs(thresholds) < numpy.finfo("float32").max
