"""What a benchmark found, as rows of one table: on the terminal, in ``results.md`` and in ``results.json``."""

import json
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HEAD = ("what", "ours", "theirs", "ratio", "target", "met")


@dataclass(frozen=True)
class Row:
    """One comparison.

    ``ours``, ``theirs`` and ``ratio`` are for reading; ``samples`` holds every measurement behind them, in seconds or
    megabytes. ``met`` is None where nothing was promised.
    """

    what: str
    ours: str
    theirs: str
    ratio: str
    target: str
    met: bool | None
    note: str = ""
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns of ``HEAD``."""
        met = {True: "yes", False: "NO", None: ""}[self.met]
        return (self.what, self.ours, self.theirs, self.ratio, self.target, met)


@dataclass(frozen=True)
class Pair:
    """The same work by us and by them, measured in turns."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def row(self, what: str, least: float | None = None, most: float | None = None, note: str = "") -> Row:
        """A row of medians: ``least`` bounds our speed in theirs, ``most`` our time in theirs."""
        mine, other = statistics.median(self.ours), statistics.median(self.theirs)
        ratio = mine / other if most is not None else other / mine
        target, met = "", None
        if least is not None:
            target, met = f"at least {least:g} × its speed", ratio >= least
        elif most is not None:
            target, met = f"at most {most:g} × its time", ratio <= most
        samples = {"ours": self.ours, "theirs": self.theirs}
        note = f"best {_seconds(min(self.ours))} against {_seconds(min(self.theirs))}; {note}"
        return Row(what, _seconds(mine), _seconds(other), f"{ratio:.2f}", target, met, note, samples)


def in_turns(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> Pair:
    """Measure both sides alternately, each going first every other time; each call returns its seconds."""
    found = Pair()
    for number in range(rounds):
        sides = [(ours, found.ours), (theirs, found.theirs)]
        for measure, kept in sides if number % 2 else reversed(sides):
            kept.append(measure())
    return found


def settle() -> None:
    """Have what was written reach the disk, so that no measurement pays for the one before."""
    os.sync()


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 0.995 else f"{value * 1000:.0f} ms"


def text(rows: Iterable[Row]) -> str:
    """The table for a terminal, notes below."""
    rows = list(rows)
    lines = [HEAD, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*shown, "", *(f"{row.what}: {row.note}" for row in rows if row.note)])


def markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """The table of stored rows as Markdown, notes below."""
    found = [Row(**row) for row in rows]
    lines = [HEAD, ("---",) * len(HEAD), *(row.cells for row in found)]
    notes = [f"- {row.what}: {row.note}" for row in found if row.note]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *notes])


def stored(path: Path) -> dict[str, Any]:
    """Earlier results by row group."""
    return json.loads(path.read_text()) if path.exists() else {}


def store(path: Path, results: Mapping[str, Any]) -> None:
    """Write ``results.json``."""
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def group(rows: Iterable[Row], **about: object) -> dict[str, Any]:
    """One row group as it is stored: the rows, when and where they were measured, how long it took."""
    return {**about, "rows": [asdict(row) for row in rows]}


def document(results: Mapping[str, Mapping[str, Any]], program: str, about: str) -> str:
    """All results as a page of Markdown: a table for each group, with when and on what ``program`` measured it."""
    parts = [f"# Results\n\n{about}\n"]
    for name, found in results.items():
        parts.append(
            f"## {name}\n\n`{program} {name}`, {found['date']}, {found['seconds']} s, "
            f"load {found['load']}, on {found['machine']}\n\n{markdown(found['rows'])}\n"
        )
    return "\n".join(parts)
