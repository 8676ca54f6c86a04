"""What a person or a script sees: results on stdout, everything else on stderr, bars only on a terminal."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]

EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


def result(args: argparse.Namespace, text: str, document: object) -> None:
    """Write a command's result to stdout: a text, or with ``--json`` a document."""
    print(json.dumps(document, indent=2, ensure_ascii=False) if args.json else text, flush=True)


def say(text: str) -> None:
    """Tell the person something, on stderr."""
    print(text, file=sys.stderr, flush=True)


def short(uuid: object) -> str:
    """The first eight digits of a UUID."""
    return str(uuid)[:8]


def amount(size: float) -> str:
    """A number of bytes for a person.

    >>> amount(10_240), amount(3)
    ('10.2 kB', '3 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(files: int, size: int) -> str:
    """A number of files and their bytes, for a person."""
    return f"{files:,} file{'' if files == 1 else 's'} ({amount(size)})"


@contextmanager
def progress(label: str, size: int) -> Iterator[Advance]:
    """A bar on a terminal, a line now and then elsewhere; the value is called with the bytes that are done."""
    if sys.stderr.isatty():
        try:
            import rich.progress  # noqa: F401 - an extra: without it there are lines
        except ImportError:
            pass
        else:
            with _bar(label, size) as advance:
                yield advance
            return
    yield _lines(label, size)


@contextmanager
def _bar(label: str, size: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    text = TextColumn("{task.description}")
    columns = (text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=size)
        yield lambda done: bar.advance(task, done)


def _lines(label: str, size: int) -> Advance:
    done, last = 0, time.monotonic()

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        if time.monotonic() - last >= EVERY:
            last = time.monotonic()
            say(f"{label}: {amount(done)} of {amount(size)}")

    return advance
