"""Reproducing the examples: each is trained, then ten times more by ``polyglot verify --level reproduction``.

There is nothing to compare with: what counts is the class that each retraining reaches, R1 (identical bytes) or R2
(identical tensors). How long the whole command takes, from its start to the ledger entry, is in the note.
"""

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.site import POLYGLOT, Site, command, running
from benchmarks.sizes import Sizes
from benchmarks.table import Row

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("digits", "diabetes")


def rows(sizes: Sizes, scratch: Path) -> list[Row]:
    """One row for each example."""
    with running(scratch / "reproduction") as site:
        return [_row(site, name, scratch / name, sizes.reproductions) for name in NAMES]


def _row(site: Site, name: str, dataset: Path, times: int) -> Row:
    model = _trained(site, name, dataset)
    found, seconds = [], []
    for _ in range(times):
        started = time.perf_counter()
        found.append(_reproduced(site, model))
        seconds.append(time.perf_counter() - started)
    classes = Counter(claim["detail"]["class"] for claim in found)
    farthest = max(claim["detail"]["distance"]["files_differing"] or 0 for claim in found)
    digests = {claim["detail"]["compared"]["reproduced"]["tensors"] for claim in found}
    note = (
        f"whole commands, median {statistics.median(seconds):.2f} s; files that differed at most {farthest}; "
        f"{len(digests)} canonical tensor digest{'' if len(digests) == 1 else 's'} in all; "
        f"{next(one for one in found[0]['findings'] if 'trained on' in one)}"
    )
    return Row(
        what=f"classes of example {name}, trained once more {times} times",
        ours=", ".join(f"{name} ×{count}" for name, count in sorted(classes.items())),
        theirs="",
        ratio="",
        target="R1 or R2 each time",
        met=classes.keys() <= {"R1", "R2"},
        note=note,
        samples={"seconds": seconds},
    )


def _trained(site: Site, name: str, dataset: Path) -> str:
    command([sys.executable, str(EXAMPLES / name / "make_dataset.py"), str(dataset)], site.environment)
    registered = command([*POLYGLOT, "dataset", "register", str(dataset), "--wait"], site.environment).strip()
    image = str(EXAMPLES / name / "image")
    asked = [*POLYGLOT, "model", "register", "--dataset", registered, "--image", image, "--wait"]
    return command(asked, site.environment).strip()


def _reproduced(site: Site, model: str) -> dict[str, Any]:
    """What a reproduction found; one that diverged has exit status 1 and says so as well."""
    asked = [*POLYGLOT, "verify", model, "--level", "reproduction", "--json"]
    ended = subprocess.run(asked, env=site.environment, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1) or not ended.stdout:
        raise RuntimeError(f"{' '.join(asked[1:])} ended with {ended.returncode}:\n{ended.stderr}")
    claim: dict[str, Any] = json.loads(ended.stdout)["claims"][0]
    return claim
