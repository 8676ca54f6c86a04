"""All groups on a cluster, or some: ``python -m benchmarks.cluster [--quick] [GROUP …]``; see ``benchmarks/README.md``.

Finds the cluster as ``tests/cluster`` does, and the images by ``POLYGLOT_IMAGES`` or in ``build/images.json``. Results
are kept in ``benchmarks/cluster.md`` and ``cluster.json``; a group that is not run keeps its earlier rows. Exit status
1 where a target is missed, at full size; 3 where there is no cluster.
"""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine, table
from benchmarks.cluster.site import Site, running, say
from benchmarks.cluster.sizes import FULL, QUICK, Sizes
from tests.cluster.tenants import IMAGES, ROOT

GROUPS = ("cold", "heavy", "hop", "broker", "images", "chains")
HERE = Path(__file__).parents[1]
ABOUT = (
    "Written by `python -m benchmarks.cluster`; do not edit. What each row measures, and how: [README](README.md). "
    "The load is that of the minute before the group began: much above 1, others used the machine too."
)


def main() -> int:
    """Run the groups that were asked for, on a tenant of their own."""
    arguments = _arguments()
    images = Path(os.environ.get(IMAGES) or ROOT / "build" / "images.json")
    if not images.is_file():
        print(f"no images to measure: {images} is not there; `make images` writes it, {IMAGES} names another")
        return 3
    try:
        with running(images, arguments.namespace, arguments.admin) as site:
            return _measured(site, arguments.groups or GROUPS, arguments.quick, arguments.below)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description="Measure ours and theirs.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"any of {', '.join(GROUPS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="few repetitions, for a smoke test; nothing is kept")
    parser.add_argument("--below", type=float, metavar="LOAD", help="before each group, wait until the load is below")
    parser.add_argument("--namespace", default="", help="a tenant's, made where it is missing, and left there")
    parser.add_argument("--admin", type=Path, help="with --namespace: the folder of its admin key")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}: choose from {', '.join(GROUPS)}")
    if bool(arguments.namespace) != bool(arguments.admin):
        parser.error("--namespace and --admin go together")
    return arguments


def _measured(site: Site, groups: Sequence[str], quick: bool, below: float | None) -> int:
    results, missed = table.stored(HERE / "cluster.json"), False
    for group in groups:
        while below is not None and machine.busy() >= below:
            time.sleep(5)
        found = _group(site, group, QUICK if quick else FULL)
        print(table.text(table.Row(**row) for row in found["rows"]), flush=True)
        missed = missed or any(row["met"] is False for row in found["rows"])
        if not quick:  # after each group, since the next may take an hour
            results[group] = found
            results = {name: results[name] for name in GROUPS if name in results}
            table.store(HERE / "cluster.json", results)
            (HERE / "cluster.md").write_text(table.document(results, "python -m benchmarks.cluster", ABOUT))
    return 1 if missed and not quick else 0


def _group(site: Site, group: str, sizes: Sizes) -> dict[str, Any]:
    say(f"\n{group} …")
    started, load = time.perf_counter(), machine.busy()
    rows = importlib.import_module(f"benchmarks.cluster.{group}").rows(site, sizes)
    about = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": f"{site.version}, {machine.description()}"}
    return table.group(rows, **about, seconds=round(time.perf_counter() - started), load=round(load, 2))


if __name__ == "__main__":
    sys.exit(main())
