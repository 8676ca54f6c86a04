"""The trees of a forest as plain arrays, whatever framework has grown them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy

from functions._translators.inputs import Array

_LEAF = -1


@dataclass(frozen=True)
class Tree:
    """One tree; each array has one number for each node, the root first.

    A row goes left where its ``feature`` is at most the ``threshold``, or below it where the tree is ``strict``; where
    a node has ``categories``, if it is one of these. NaN goes left where ``missing_left`` is true. The ``left`` child
    of a leaf is -1, and its row of ``values`` is what it says.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    values: Array
    strict: bool = False
    categories: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def splits(self) -> Array:
        """The nodes that are no leaves."""
        return numpy.flatnonzero(self.left != _LEAF)

    @property
    def parents(self) -> Array:
        """The node above each node; -1 above the root."""
        found = numpy.full(len(self.left), -1)
        for children in (self.left, self.right):
            found[children[self.splits]] = self.splits
        return found

    def leaves(self, rows: Array) -> Array:
        """The leaf in which each row ends."""
        at = numpy.zeros(len(rows), dtype="int64")
        members = {node: numpy.array(each) for node, each in self.categories.items()}
        while len(inner := numpy.flatnonzero(self.left[at] != _LEAF)):
            nodes = at[inner]
            numbers = rows[inner, self.feature[nodes]].astype("float64")
            goes_left = numbers < self.threshold[nodes] if self.strict else numbers <= self.threshold[nodes]
            for node in members.keys() & set(nodes.tolist()):
                goes_left[nodes == node] = numpy.isin(numbers[nodes == node], members[node])
            goes_left = numpy.where(numpy.isnan(numbers), self.missing_left[nodes], goes_left)
            at[inner] = numpy.where(goes_left, self.left[nodes], self.right[nodes])
        return at

    def is_sound(self, features: int) -> bool:
        """Whether it is a tree, over features that are there: others crash what follows them, or never end."""
        nodes, size = self.splits, len(self.left)
        children = numpy.concatenate([self.left[nodes], self.right[nodes]]).astype("int64")
        if not size or ((children <= 0) | (children >= size)).any():
            return False
        # With one parent for each node and none for the root, nothing that the root reaches leads back.
        alone = (numpy.bincount(children, minlength=size) <= 1).all()
        return bool(alone and ((self.feature[nodes] >= 0) & (self.feature[nodes] < features)).all())


def not_above(thresholds: Array) -> Array:
    """The largest float32 that is at most each threshold: ``x <= t`` is the same for every float32 ``x``."""
    rounded = thresholds.astype("float32")
    above = rounded.astype("float64") > thresholds
    return numpy.asarray(numpy.where(above, numpy.nextafter(rounded, numpy.float32(-numpy.inf)), rounded))


def not_below(thresholds: Array) -> Array:
    """The smallest float32 that is at least each threshold: ``x < t`` is the same for every float32 ``x``."""
    return numpy.asarray(-not_above(-thresholds))
