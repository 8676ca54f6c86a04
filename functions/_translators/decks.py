"""Whole numbers that name rows of a table, such as tokens, dealt like cards: none comes twice before all have come.

Rows that no input names are rows that nobody has compared. Drawn by chance, a third of a small vocabulary would be left
out; dealt, the cases together name as many rows as they have places.
"""

from typing import Any

import numpy

Array = numpy.ndarray[Any, numpy.dtype[Any]]

_CARDS_BOUND = 2**20


class Deck:
    """The whole numbers from ``low`` to ``high``, both included.

    After the last card, and in a range that is too large for cards, they are drawn by chance.
    """

    def __init__(self, generator: numpy.random.Generator, low: int, high: int) -> None:
        self._generator, self._low, self._high = generator, low, high
        count = high - low + 1 if high - low < _CARDS_BOUND else 0
        self._cards = low + generator.permutation(count)

    @property
    def left(self) -> int:
        """How many have not come yet."""
        return len(self._cards)

    def deal(self, shape: tuple[int, ...]) -> Array:
        """The next ones, and others where no more are left, in no order."""
        size = int(numpy.prod(shape, dtype="int64"))
        dealt, self._cards = self._cards[:size], self._cards[size:]
        others = self._generator.integers(self._low, self._high + 1, size - len(dealt), dtype="int64")
        return self._generator.permutation(numpy.concatenate([dealt, others])).reshape(shape)
