"""Sweeps architectures with random weights through the translators, and writes docs/compatibility.md.

    python -m benchmarks.compatibility                        all of them
    python -m benchmarks.compatibility torchvision xgboost    some libraries; the others keep their rows

Failures stay in the table, with their reason. Each model is made and translated with its measuring by processes of
their own, one after the other. Rows are kept in ``compatibility.json``, each as soon as it is there, but for those that
were found with other versions or on another machine. Exit status 1 where less than nine in ten are equal or within
tolerance.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.compatibility.architectures import ARCHITECTURES, LABELS, Architecture
from benchmarks.compatibility.table import Row, document, versions
from functions._backends.translator import GIB, ChildTranslator, Limits
from functions._domain.errors import PolyglotError

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "compatibility.md"
KEPT = HERE / "compatibility.json"
_SECONDS, _MEMORY, _REASON = 900, 8 * GIB, 400
_SHARE = 0.9


def main() -> int:
    """Sweep what was asked for."""
    libraries = sorted({one.library for one in ARCHITECTURES})
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compatibility", description=__doc__)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"any of {', '.join(libraries)} (default: all)")
    asked = parser.parse_args().libraries or libraries
    if unknown := set(asked) - set(libraries):
        parser.error(f"there is no library {', '.join(sorted(unknown))}: choose from {', '.join(libraries)}")
    made_with = {"versions": versions(), "machine": machine.description()}
    rows = _kept(made_with)
    for one in (*ARCHITECTURES, *LABELS):
        if one.library in asked:
            rows[one.key] = row = swept(one)
            print(f"{' '.join(one.key)}: {row.verdict} in {row.seconds} s {row.reason}", flush=True)
            _keep(rows, made_with)
    known = [rows[one.key] for one in ARCHITECTURES if one.key in rows]
    return 0 if sum(row.good for row in known) >= _SHARE * len(known) else 1


Rows = dict[tuple[str, str, str], Row]


def _kept(made_with: Mapping[str, object]) -> Rows:
    """Earlier rows, where they were found with the same versions on the same kind of machine."""
    earlier = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    same = all(earlier.get(name) == value for name, value in made_with.items())
    return {row.key: row for row in (Row(**one) for one in earlier["rows"])} if same else {}


def _keep(rows: Rows, made_with: Mapping[str, Any]) -> None:
    def found(architectures: Iterable[Architecture]) -> list[Row]:
        return [rows[one.key] for one in architectures if one.key in rows]

    both = [vars(row) for row in found((*ARCHITECTURES, *LABELS))]
    KEPT.write_text(json.dumps({**made_with, "rows": both}, indent=1) + "\n")
    PAGE.write_text(document(found(ARCHITECTURES), found(LABELS), **made_with))


def swept(one: Architecture) -> Row:
    """Make one model and translate it; whatever becomes of it is a row."""
    with tempfile.TemporaryDirectory(prefix="compatibility-") as scratch:
        source, target = Path(scratch, "source"), Path(scratch, "target")
        source.mkdir()
        if problem := _made(one, source):
            return Row(*one.key, one.framework, reason=f"could not be made: {problem}")
        about: dict[str, Any] = {"size": sum(path.stat().st_size for path in source.rglob("*") if path.is_file())}
        started, worked = time.monotonic(), _work()
        try:
            report = ChildTranslator(Limits(memory=_MEMORY)).translate(one.framework, source, target, {"opset": None})
            about.update(_found(report))
        except PolyglotError as error:
            about.update(verdict="refused", reason=f"{type(error).__name__}: {error}"[:_REASON])
        seconds, work = time.monotonic() - started, _work() - worked
        return Row(*one.key, one.framework, **about, seconds=round(seconds, 1), work=round(work, 1))


def _made(one: Architecture, source: Path) -> str:
    """Why a model could not be made, or nothing."""
    program = [sys.executable, "-W", "ignore", "-m", "benchmarks.compatibility.making", *one.key, str(source)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        subprocess.run(program, env=environment, capture_output=True, text=True, check=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it took more than {_SECONDS} seconds"
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.strip().splitlines() if line.strip("- ")]
        return lines[-1][:_REASON] if lines else f"it ended with the status {error.returncode} and said nothing"
    return ""


def _work() -> float:
    """Seconds of processors that all children which have ended used: others on the machine do not lengthen them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _found(report: Mapping[str, Any]) -> dict[str, object]:
    figures = report["figures"].values()
    worst = {key: max((one[key] or 0.0 for one in figures), default=0.0) for key in ("max_abs", "max_rel")}
    return {
        **worst,
        "verdict": report["verdict"],
        "opset": report["opset"],
        "reason": _unlike(report) if report["verdict"] == "not-equal" else "",
        "labels": _labels(report),
    }


def _unlike(report: Mapping[str, Any]) -> str:
    """What is not equal: the first output that cannot be compared, or else the one that is farthest off."""
    figures = report["figures"].items()
    problems = [f"output {name!r}: {one['problem']}" for name, one in figures if one["problem"]]
    farthest, off = max(figures, key=lambda each: each[1]["max_rel"] or 0.0)
    what = problems[0] if problems else f"output {farthest!r} is up to {off['max_abs']:.2g} off, beyond tolerance"
    tie = report["tie_break"]
    return f"{what}; ONNX's reference evaluator sides with {tie['sides_with']}"[:_REASON] if tie else what[:_REASON]


def _labels(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """What became of the labels of a test split; None for what is no classifier with one."""
    metric, flips = report["metric"], report["flips"] or {"rows": []}
    if not metric or metric["name"] != "accuracy" or report["top1_agreement"] is None:
        return None
    rows = metric["rows"]
    return {
        "rows": rows,
        "same": round(report["top1_agreement"] * rows),
        "flips": [{"row": one["row"], "reason": one["reason"]} for one in flips["rows"] if one["case"] == "samples"],
    }


if __name__ == "__main__":
    sys.exit(main())
