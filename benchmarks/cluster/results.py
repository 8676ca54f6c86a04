"""Rows of a table whose target is a difference, and how times are written."""

import statistics
from collections.abc import Sequence

from benchmarks.table import Row


def written(seconds: float) -> str:
    """A time as a reader wants it.

    >>> written(0.00525), written(0.42), written(2.5)
    ('5.2 ms', '420 ms', '2.50 s')
    """
    if abs(seconds) >= 99.5:
        return f"{seconds:.0f} s"
    if abs(seconds) >= 0.9995:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if abs(seconds) >= 0.0995 else f"{seconds * 1000:.1f} ms"


def added(what: str, ours: Sequence[float], theirs: Sequence[float], most: float | None, note: str) -> Row:
    """A row of medians in which ours may take ``most`` seconds more; nothing was promised where that is None."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    more = mine - other
    return Row(
        what,
        written(mine),
        written(other),
        f"{'+' if more >= 0 else '−'}{written(abs(more))}",
        f"at most +{written(most)}" if most is not None else "",
        None if most is None else more <= most,
        f"best {written(min(ours))} against {written(min(theirs))}; {note}",
        {"ours": list(ours), "theirs": list(theirs)},
    )
