"""Comparing two trainings of one model: the class that holds, how far apart their metrics are, what they ran on.

>>> Interval().holds(0.950, 0.951), Interval().holds(0.95, 0.85)
(True, False)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Class = Literal["R1", "R2", "R3", "diverged"]
"""Identical bytes; identical tensors; the same metrics within an interval; none of these."""

VERDICTS: Mapping[Class, str] = {"R1": "passed", "R2": "passed", "R3": "within-tolerance", "diverged": "failed"}
_SHOWN = 10


@dataclass(frozen=True)
class Interval:
    """How far two metrics may be apart: ``relative`` to the original, or ``absolute`` where that is next to nothing.

    Two per cent is the standard deviation of test accuracy that was measured over trainings with fixed seeds, on GPUs
    whose arithmetic alone was not repeatable (https://arxiv.org/abs/2001.11396). Less would call their ordinary noise
    a divergence; more would also hold for what another seed does.
    """

    relative: float = 0.02
    absolute: float = 1e-6

    def holds(self, original: float, reproduced: float) -> bool:
        """Whether two values of a metric are the same within it."""
        return abs(reproduced - original) <= max(self.absolute, self.relative * abs(original))


@dataclass(frozen=True)
class Metrics:
    """What two trainings measured of their models."""

    original: Mapping[str, float]
    reproduced: Mapping[str, float]

    @property
    def differences(self) -> dict[str, float | None]:
        """The reproduced minus the original, by name; None where only one side has it."""
        both = self.original.keys() & self.reproduced.keys()
        names = sorted(self.original.keys() | self.reproduced.keys())
        return {name: self.reproduced[name] - self.original[name] if name in both else None for name in names}

    def hold(self, interval: Interval) -> bool:
        """Whether there are any, the same on both sides, and all within the interval."""
        same = bool(self.original) and self.original.keys() == self.reproduced.keys()
        return same and all(interval.holds(self.original[name], self.reproduced[name]) for name in self.original)

    def findings(self, interval: Interval) -> Iterator[str]:
        """What differs, for a person."""
        for name, difference in self.differences.items():
            if difference is None:
                side = "original" if name in self.original else "reproduced"
                yield f"{name}: measured of the {side} model only"
            elif difference:
                original, reproduced = self.original[name], self.reproduced[name]
                far = "" if interval.holds(original, reproduced) else f", more than {interval.relative:.0%} apart"
                yield f"{name}: {original:g} originally, {reproduced:g} reproduced{far}"
        if not self.original and not self.reproduced:
            yield "neither training wrote metrics"


def class_of(
    same_bytes: bool, original_tensors: str | None, reproduced_tensors: str | None, metrics: Metrics, interval: Interval
) -> Class:
    """The strongest class that holds."""
    if same_bytes:
        return "R1"
    if original_tensors is not None and original_tensors == reproduced_tensors:
        return "R2"
    return "R3" if metrics.hold(interval) else "diverged"


def environments(original: Mapping[str, Any], reproduced: Mapping[str, Any]) -> Iterator[str]:
    """What both trainings ran on, for a person: once where it is the same."""
    first, second = described(original), described(reproduced)
    if first == second:
        yield f"both trained on {first}"
    else:
        yield f"originally trained on {first}"
        yield f"reproduced on {second}"
    packages = list(_differing(original.get("packages"), reproduced.get("packages")))
    if packages:
        yield f"packages that differ: {_listed(packages)}"
    settings = list(_differing(original.get("settings"), reproduced.get("settings")))
    if settings:
        yield f"settings that differ: {_listed(settings)}"
    flags = _flags(original) ^ _flags(reproduced)
    if flags and original and reproduced:
        yield f"features that only one of the processors has: {_listed(sorted(flags))}"


def described(environment: Mapping[str, Any]) -> str:
    """An environment in short: processor, threads, GPUs, Python."""
    if not environment:
        return "a machine of which nothing is known"
    cpu = environment.get("cpu") or {}
    threads = environment.get("threads", "?")
    parts = [str(cpu.get("model") or "an unknown processor"), f"{threads} thread{'' if threads == 1 else 's'}"]
    parts.append(", ".join(environment.get("gpus") or ["no GPU"]))
    if environment.get("python"):
        parts.append(f"Python {environment['python']}")
    return ", ".join(parts)


def _flags(environment: Mapping[str, Any]) -> set[str]:
    return set((environment.get("cpu") or {}).get("flags") or ())


def _differing(original: Mapping[str, Any] | None, reproduced: Mapping[str, Any] | None) -> Iterator[str]:
    first, second = original or {}, reproduced or {}
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            yield f"{name} {first.get(name, 'absent')} and {second.get(name, 'absent')}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
