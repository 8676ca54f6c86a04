"""Sweeps architectures with random weights through the translators, and writes docs/compatibility.md.

    python -m benchmarks.compatibility                     all of them
    python -m benchmarks.compatibility torchvision xgboost    some libraries; the others keep their rows

Failures stay in the table, with their reason. Each model is made, exported by the bare process, and translated with its
measuring, one after the other.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compatibility.architectures import ARCHITECTURES, Architecture
from benchmarks.compatibility.table import Row, document
from functions._backends.translator import GIB, ChildTranslator, Limits
from functions._domain.errors import PolyglotError

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "compatibility.md"
KEPT = HERE / "compatibility.json"


def main() -> int:
    """Sweep what was asked for; exit status 1 where a framework has no row that is equal."""
    libraries = sorted({one.library for one in ARCHITECTURES})
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compatibility", description=__doc__)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"any of {', '.join(libraries)} (default: all)")
    asked = parser.parse_args().libraries or libraries
    if unknown := set(asked) - set(libraries):
        parser.error(f"there is no library {', '.join(sorted(unknown))}: choose from {', '.join(libraries)}")
    rows = {(one["library"], one["name"]): Row(**one) for one in json.loads(KEPT.read_text())} if KEPT.exists() else {}
    for one in ARCHITECTURES:
        if one.library in asked:
            rows[one.library, one.name] = row = _row(one)
            print(f"{one.library} {one.name}: {row.verdict} in {row.seconds} s {row.reason}", flush=True)
    known = [rows[one.library, one.name] for one in ARCHITECTURES if (one.library, one.name) in rows]
    KEPT.write_text(json.dumps([vars(row) for row in known], indent=1) + "\n")
    PAGE.write_text(document(known))
    return 0


def _row(one: Architecture) -> Row:
    with tempfile.TemporaryDirectory(prefix="compatibility-") as scratch:
        source, target = Path(scratch, "source"), Path(scratch, "target")
        source.mkdir()
        making = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "benchmarks.compatibility.making",
            one.library,
            one.name,
            str(source),
        ]
        made = subprocess.run(making, capture_output=True, text=True, check=False, timeout=900)
        if made.returncode:
            last = made.stderr.strip().splitlines()[-1] if made.stderr.strip() else "it said nothing"
            return Row(one.library, one.name, one.framework, reason=f"could not be made: {last[:300]}")
        size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
        started = time.monotonic()
        try:
            report = ChildTranslator(Limits(memory=8 * GIB)).translate(one.framework, source, target, {"opset": None})
        except PolyglotError as error:
            seconds = round(time.monotonic() - started, 1)
            return Row(
                one.library, one.name, one.framework, size, "refused", None, None, None, seconds, str(error)[:400]
            )
        figures: dict[str, dict[str, float | None]] = report["figures"]  # type: ignore[assignment]
        worst = [max((one[key] or 0.0 for one in figures.values()), default=0.0) for key in ("max_abs", "max_rel")]
        return Row(
            one.library, one.name, one.framework, size, str(report["verdict"]), int(str(report["opset"])), worst[0],
            worst[1], round(time.monotonic() - started, 1),
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
