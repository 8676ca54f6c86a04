"""docs/compatibility.md, from rows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

GOOD = ("equal", "within-tolerance")
PACKAGES = (
    "torch", "torchvision", "timm", "transformers", "tensorflow-cpu", "tensorflow", "keras", "tf2onnx",
    "scikit-learn", "skl2onnx", "skops", "xgboost-cpu", "xgboost", "lightgbm", "jax", "flax", "numpy", "onnx",
    "onnxruntime", "onnxscript",
)  # fmt: skip
HEAD = ("library", "architecture", "framework", "model", "opset", "verdict", "max. error", "relative", "s", "s of CPU")


@dataclass(frozen=True)
class Row:
    """One architecture, as it was found.

    ``size`` is in bytes, ``max_abs`` and ``max_rel`` are the largest errors of any output, ``seconds`` those that
    translating and measuring took, ``work`` those of processors. ``labels`` tells of a classifier's test split how many
    ``rows`` it has, in how many the label is the ``same``, and the ``flips`` by row, with the reason of each.
    """

    library: str
    name: str
    data: str
    framework: str
    size: int = 0
    verdict: str = "not made"
    opset: int | None = None
    max_abs: float | None = None
    max_rel: float | None = None
    seconds: float = 0.0
    work: float = 0.0
    reason: str = ""
    labels: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others."""
        return self.library, self.name, self.data

    @property
    def good(self) -> bool:
        """Whether the translation may be used without a second thought."""
        return self.verdict in GOOD


def versions() -> dict[str, str]:
    """The versions of what is installed here, of all that have a say."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def document(rows: Sequence[Row], splits: Sequence[Row], versions: Mapping[str, str], machine: str) -> str:
    """The page.

    Args:
        rows: the architectures.
        splits: estimators of which only the labels are told.
        versions: of packages, by name.
        machine: on what the rows were found.
    """
    return (
        "\n".join(
            [*_head(rows, versions, machine), *_table(rows), *_reasons([*rows, *splits]), *_labels([*rows, *splits])]
        )
        + "\n"
    )


def _head(rows: Sequence[Row], versions: Mapping[str, str], machine: str) -> Iterator[str]:
    good, frameworks = sum(row.good for row in rows), Counter(row.framework for row in rows)
    equal = sum(row.verdict == "equal" for row in rows)
    yield "# Compatibility"
    yield ""
    yield "Written by `make compatibility`; do not edit. Architectures with random weights (estimators and boosters are"
    yield "trained for a moment), translated and measured by the same children as on the platform, at the lowest opset"
    yield "that works. Errors are the largest of any output over all cases, with ONNX Runtime's optimizations off and"
    yield "on; what is within tolerance, `functions/_translators/differences.py` says. Seconds are of translating and"
    yield "measuring, start included; those of the CPU are less disturbed by what else ran on the machine."
    yield ""
    yield f"**{len(rows)} architectures over {len(frameworks)} frameworks: {equal} equal, {good - equal} equal within"
    yield f"tolerance (together {100 * good / max(1, len(rows)):.0f} %), {len(rows) - good} neither.**"
    yield ""
    yield f"Machine: {machine}. Versions: {', '.join(f'{name} {one}' for name, one in versions.items())}."
    yield ""


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{'---|' * len(HEAD)}"
    for row in rows:
        cells = (
            row.library, row.name, row.framework, f"{row.size / 1e6:.2f} MB", row.opset or "", row.verdict,
            _number(row.max_abs), _number(row.max_rel), f"{row.seconds:.1f}", f"{row.work:.1f}",
        )  # fmt: skip
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    failures = [row for row in rows if not row.good]
    if failures:
        yield "## Why not"
        yield ""
        yield from (f"- **{' '.join(filter(None, row.key))}**, {row.verdict}: {row.reason}" for row in failures)
        yield ""


def _labels(rows: Sequence[Row]) -> Iterator[str]:
    """Estimators against tables: in how many rows of the test split both sides say the same label."""
    told = [row for row in rows if row.data and row.labels]
    if not told:
        return
    tables = {row.data: row.labels["rows"] for row in told if row.labels}
    same, every = (sum(row.labels[key] for row in told if row.labels) for key in ("same", "rows"))
    yield "## Labels"
    yield ""
    yield "Classifiers of scikit-learn on a quarter of each table that it brings along, which training did not see:"
    yield f"rows in which the label is the same before and after. Together {same} of {every}."
    yield ""
    yield f"| estimator | {' | '.join(tables)} |"
    yield f"|{'---|' * (len(tables) + 1)}"
    for name in dict.fromkeys(row.name for row in told):
        cells = {
            row.data: f"{row.labels['same']} of {row.labels['rows']}" for row in told if row.labels and row.name == name
        }
        yield f"| {name} | {' | '.join(cells.get(data, '') for data in tables)} |"
    yield ""
    yield from _flips(told)


def _flips(told: Sequence[Row]) -> Iterator[str]:
    flips = [(row, flip) for row in told if row.labels for flip in row.labels["flips"]]
    if not flips:
        yield "No row was excused as a flip of rounding."
    for row, flip in flips:
        yield f"- **{row.name}** on {row.data}, row {flip['row']} of the test split: {flip['reason']}."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
