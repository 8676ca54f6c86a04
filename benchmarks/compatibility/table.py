"""docs/compatibility.md, from rows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

GOOD = ("equal", "within-tolerance")
PACKAGES = (
    "torch", "torchvision", "timm", "transformers", "tensorflow-cpu", "keras", "tf2onnx", "scikit-learn", "skl2onnx",
    "skops", "xgboost-cpu", "xgboost", "lightgbm", "onnxmltools", "jax", "flax", "onnx", "onnxruntime", "onnxscript",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One architecture: bytes of the model, verdict, opset, the largest errors of any output, seconds it took."""

    library: str
    name: str
    framework: str
    size: int = 0
    verdict: str = "not made"
    opset: int | None = None
    max_abs: float | None = None
    max_rel: float | None = None
    seconds: float = 0.0
    reason: str = ""


def document(rows: Sequence[Row]) -> str:
    """The page."""
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    good = [row for row in rows if row.verdict in GOOD]
    frameworks = Counter(row.framework for row in rows)
    yield "# Compatibility"
    yield ""
    yield "Written by `make compatibility`; do not edit. Architectures with random weights (estimators and boosters"
    yield "are trained for a moment), translated and measured by the same children as on the platform. Errors are the"
    yield "largest of any output over all cases; seconds are of translating and measuring, start included."
    yield ""
    share = 100 * len(good) / max(1, len(rows))
    yield f"{len(rows)} architectures over {len(frameworks)} frameworks, {len(good)} of them equal or within tolerance"
    yield f"({share:.0f} %). Versions: {', '.join(_versions())}."
    yield ""
    yield "| library | architecture | framework | size | opset | verdict | largest error | relative | seconds |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        cells = (
            row.library, row.name, row.framework, f"{row.size / 1e6:.1f} MB", row.opset or "", row.verdict,
            _number(row.max_abs), _number(row.max_rel), f"{row.seconds:.1f}",
        )  # fmt: skip
        yield f"| {' | '.join(map(str, cells))} |"
    failures = [row for row in rows if row.reason]
    if failures:
        yield ""
        yield "## Why not"
        yield ""
        yield from (f"- **{row.library} {row.name}**, {row.verdict}: {row.reason}" for row in failures)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _versions() -> Iterator[str]:
    for package in PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
