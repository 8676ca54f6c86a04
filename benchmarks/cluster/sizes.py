"""How much each group does: what the targets say, or little of it for a smoke test."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Repetitions; of starts, one more is made and not counted."""

    starts: int = 9
    heavy_starts: int = 7
    translations: int = 3
    hops: int = 200
    chains: int = 50


FULL = Sizes()
QUICK = Sizes(starts=1, heavy_starts=1, translations=1, hops=10, chains=2)
