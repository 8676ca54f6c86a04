"""How much each benchmark does: what the targets say, or little of it for a smoke test."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Bytes, numbers of files, and repetitions."""

    large: int = 10**9
    files: int = 5000
    file: int = 10_000
    rounds: int = 5
    huge: int = 5 * 10**9
    inventory: int = 300_000
    starts: int = 15
    carried: int = 200
    reproductions: int = 10


FULL = Sizes()
QUICK = Sizes(
    large=5 * 10**7, files=200, rounds=1, huge=2 * 10**8, inventory=3000, starts=2, carried=20, reproductions=1
)
