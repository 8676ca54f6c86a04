"""All benchmarks, or some: ``python -m benchmarks [--quick] [GROUP …]``.

    python -m benchmarks                 everything
    python -m benchmarks upload verify   these groups only
    python -m benchmarks --quick         small sizes, to see that everything still runs; nothing is kept

Both sides of each row are measured in the same run. Results are kept in ``results.md`` and ``results.json``; a group
that is not run keeps its earlier rows. Exit status 1 where a target is missed, at full size.
"""

import argparse
import importlib
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine, table
from benchmarks.sizes import FULL, QUICK

GROUPS = ("upload", "verify", "evidence", "translate", "memory", "cold", "gas", "carry", "reproduction")
HERE = Path(__file__).parent
ABOUT = (
    "Written by `python -m benchmarks`; do not edit. What each row measures, and how: [README](README.md). "
    "The load is that of the minute before the group began: much above 0, others used the machine too."
)


def main() -> int:
    """Run the groups that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ours and theirs in one run.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"any of {', '.join(GROUPS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a smoke test; nothing is kept")
    parser.add_argument("--scratch", type=Path, help="where files of up to 12 GB are written and removed again")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}: choose from {', '.join(GROUPS)}")
    print(machine.description(), file=sys.stderr)
    results = table.stored(HERE / "results.json")
    rows: list[dict[str, Any]] = []
    for group in arguments.groups or GROUPS:
        found = _measured(group, arguments.quick, arguments.scratch)
        print(table.text(table.Row(**row) for row in found["rows"]), flush=True)
        results[group], rows = found, [*rows, *found["rows"]]
    if not arguments.quick:
        results = {group: results[group] for group in GROUPS if group in results}
        table.store(HERE / "results.json", results)
        (HERE / "results.md").write_text(table.document(results, "python -m benchmarks", ABOUT))
    return 1 if not arguments.quick and any(row["met"] is False for row in rows) else 0


def _measured(group: str, quick: bool, scratch: Path | None) -> dict[str, Any]:
    print(f"\n{group} …", file=sys.stderr, flush=True)
    started, load = time.perf_counter(), machine.busy()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=scratch) as folder:
        rows = importlib.import_module(f"benchmarks.{group}").rows(QUICK if quick else FULL, Path(folder))
    seconds = round(time.perf_counter() - started)
    about = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": machine.description(), "seconds": seconds}
    return table.group(rows, **about, load=round(load, 2))


if __name__ == "__main__":
    sys.exit(main())
