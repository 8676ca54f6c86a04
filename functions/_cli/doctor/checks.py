"""Checks: one thing looked at, what was found, and what to do where it is not as it should be."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from functions._domain.errors import PolyglotError, RejectedForbidden

SKEW = 60
"""Seconds by which clocks may differ. S3 refuses signatures that are 15 minutes off; marks and gaps go wrong before."""


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        ok: False where something is wrong.
        known: False where one could not look, or where it may be meant so.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    known: bool = True

    def __str__(self) -> str:
        """One line for a person."""
        mark = "✗" if not self.ok else "✓" if self.known else "?"
        return f"{mark} {self.name:<22} {self.found}" + (f" — {self.remedy}" if self.remedy else "")


Look = Callable[[], Iterable[Check]]


def fine(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, True, found)


def wrong(name: str, found: str, remedy: str) -> Check:
    """Something has to be done."""
    return Check(name, False, found, remedy)


def unknown(name: str, found: str, remedy: str = "") -> Check:
    """Nobody can tell from here, or it depends on what is wanted."""
    return Check(name, True, found, remedy, known=False)


def judged(name: str, found: str, remedy: str) -> Check:
    """Wrong where there is something to do, else fine."""
    return Check(name, not remedy, found, remedy)


def guarded(name: str, look: Look, remedy: str, is_near: bool = True) -> Iterator[Check]:
    """What a look finds, up to the first thing that does not answer.

    Args:
        name: of what is looked at.
        look: yields checks.
        remedy: what to do where it does not answer.
        is_near: whether it must answer from here; what only a cluster reaches need not.
    """
    try:
        yield from look()
    except RejectedForbidden as error:
        yield unknown(name, f"not allowed to look: {error}", "run it as somebody who may")
    except PolyglotError as error:
        yield wrong(name, str(error), remedy) if is_near else unknown(name, f"from here: {error}", remedy)


def clock(name: str, ahead: float) -> Check:
    """How far a clock is ahead of this machine's, in seconds."""
    found = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine" if abs(ahead) >= 2 else "in step"
    return judged(name, found, "" if abs(ahead) < SKEW else "set the clocks by NTP, theirs and this machine's")


def listed(things: Iterable[str], most: int = 5) -> str:
    """Some things in a sentence."""
    found = list(things)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
