"""Waiting for what may come back, and stopping when asked to."""

import time
from collections.abc import Callable
from typing import TypeVar

from functions._domain.errors import Rejected, Unavailable

_Result = TypeVar("_Result")


CANCELLED = "cancelled"
"""Why a run failed that somebody wished stopped, whatever trained it."""


class Cancelled(Rejected):
    """Somebody wishes the run stopped."""


def patiently(action: Callable[[], _Result], check: Callable[[], None], seconds: float = 300) -> _Result:
    """Do it again, with growing gaps, as long as it is unavailable.

    Args:
        action: what to do; it must bear being done twice.
        check: called between tries and while waiting; raises to stop.
        seconds: after this long the last ``Unavailable`` is raised.
    """
    until, gap = time.monotonic() + seconds, 0.2
    while True:
        check()
        try:
            return action()
        except Unavailable:
            if time.monotonic() + gap > until:
                raise
        _wait(gap, check)
        gap = min(gap * 2, 10)


def _wait(seconds: float, check: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check()
        time.sleep(min(0.2, seconds))
