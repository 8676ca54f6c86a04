"""What `make compatibility` sweeps, and the page that it writes; no model is made here."""

import subprocess
import sys
from importlib.metadata import version

from benchmarks.compatibility.architectures import ARCHITECTURES, LABELS
from benchmarks.compatibility.making import MAKERS
from benchmarks.compatibility.table import Row, document, versions
from functions.declaration import TRANSLATORS

FOUND = Row("flax", "mixer", "", "jax", 10_668, "equal", 18, 0.0, 0.0, 3.2, 2.4)
REFUSED = Row("timm", "odd", "", "torch", 5, "refused", reason="RejectedContent: no such operator")
FLIP = {"row": 7, "reason": "both scores are the same"}
SPLIT = Row(
    "scikit-learn",
    "SVC",
    "iris",
    "sklearn",
    5,
    "within-tolerance",
    13,
    labels={"rows": 38, "same": 37, "flips": [FLIP]},
)


def test_the_sweep_is_as_wide_as_was_promised() -> None:
    assert len(ARCHITECTURES) >= 40
    assert len({one.framework for one in ARCHITECTURES}) >= 6
    assert {one.framework for one in ARCHITECTURES} <= {one.filter["framework"] for one in TRANSLATORS}


def test_every_architecture_is_told_apart_and_has_a_maker() -> None:
    everything = (*ARCHITECTURES, *LABELS)
    assert len({one.key for one in everything}) == len(everything)
    assert {one.library for one in everything} == set(MAKERS)


def test_the_code_of_every_architecture_is_an_expression() -> None:
    for one in (*ARCHITECTURES, *LABELS):
        compile(one.code, " ".join(one.key), "eval")


def test_no_framework_is_imported_before_it_is_needed() -> None:
    names = [f"functions._translators.{each.filter['framework']}" for each in TRANSLATORS]
    program = f"import sys, {', '.join(names)}, benchmarks.compatibility.making; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"torch", "tensorflow", "keras", "jax", "sklearn", "xgboost", "lightgbm", "onnx", "onnxruntime", "scipy"}
    assert set(ended.stdout.split()) & heavy == set()


def test_failures_stay_on_the_page_with_their_reason() -> None:
    page = document([FOUND, REFUSED], [], {"torch": "2.13.0"}, "2 × a processor")
    assert (
        "**2 architectures over 2 frameworks: 1 equal, 0 equal within\ntolerance (together 50 %), 1 neither.**" in page
    )
    assert "| flax | mixer | jax | 0.01 MB | 18 | equal | 0 | 0 | 3.2 | 2.4 |" in page
    assert "- **timm odd**, refused: RejectedContent: no such operator" in page
    assert "Machine: 2 × a processor. Versions: torch 2.13.0." in page


def test_labels_that_differ_are_counted_and_named() -> None:
    page = document([FOUND], [SPLIT], {}, "")
    assert "Together 37 of 38." in page
    assert "| SVC | 37 of 38 |" in page
    assert "- **SVC** on iris, row 7 of the test split: both scores are the same." in page
    assert "1 architectures over 1 frameworks" in page, "a split is no architecture of its own"


def test_versions_are_those_that_are_installed() -> None:
    assert versions()["onnx"] == version("onnx")
