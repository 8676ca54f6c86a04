"""StableHLO in ONNX: what JAX writes for each operation computes the same, and what is not written is refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from functions._domain.errors import RejectedContent
from functions._translators.inputs import Input
from functions._translators.stablehlo import HANDLERS, refuse_unknown, written
from functions._translators.stablehlo_program import Block, Operation, Value
from tests.labs import in_lab

pytestmark = pytest.mark.slow

LAB = "import sys; from pathlib import Path; from tests.stablehlo_lab import main; main(Path(sys.argv[1]))"
STRUCTURE = {"func.call", "func.return", "stablehlo.return", "stablehlo.custom_call", "stablehlo.composite",
             "stablehlo.while", "stablehlo.case"}  # fmt: skip
NUMBER = Value("float32", ())


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What became of each function of ``tests.stablehlo_lab``, in one process that imports JAX."""
    found: Mapping[str, Any] = in_lab(LAB, tmp_path_factory.mktemp("stablehlo"))
    return found


def test_every_function_computes_the_same_in_onnx_at_every_size(reports: Mapping[str, Any]) -> None:
    found = {name: report for name, report in reports.items() if "operations" in report or "failed" in report}
    wrong = {
        name: report.get("failed") or report.get("refused") or (report["verdict"], report["skipped"], report["figures"])
        for name, report in found.items()
        if report.get("verdict") not in ("equal", "within-tolerance") or report["skipped"]
    }
    assert wrong == {}
    assert len(found) > 70


def test_every_operation_that_is_written_was_tried(reports: Mapping[str, Any]) -> None:
    tried = {name for report in reports.values() for name in report.get("operations", ())}
    assert {f"stablehlo.{name}" for name in HANDLERS} <= tried
    assert tried >= STRUCTURE


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("random", "'stablehlo.shift_left'"),
        ("code elsewhere", "'custom_call house' are not translated"),
        ("effects", "it does more than compute"),
        ("inverse", "custom_call lapack_"),
        ("spectrum", "complex<f32>"),
        ("complex", "complex<f32>"),
        ("short floats", "dtype 'bf16'"),
        ("parts of rows", "it writes parts of rows at places that depend on its input"),
        ("two keys", "it sorts by more than the size of its first numbers"),
        ("own reduction", "by multiply, add, which ONNX has no word for"),
    ],
)
def test_what_onnx_cannot_is_refused_with_the_reason(reports: Mapping[str, Any], name: str, reason: str) -> None:
    assert reason in reports[name]["refused"]


def test_free_sizes_stay_free_also_where_they_are_computed_with(reports: Mapping[str, Any]) -> None:
    report = reports["join and part"]
    assert report["inputs"] == [{"name": "input_0", "dtype": "float", "shape": ["b", 4]}]
    assert report["outputs"][0]["shape"] == ["2*b", 4]


def test_names_in_nested_outputs_are_kept(reports: Mapping[str, Any]) -> None:
    assert [each["name"] for each in reports["nested"]["outputs"]] == ["a", "a_1", "b"]


def test_an_input_that_nothing_needs_is_kept(reports: Mapping[str, Any]) -> None:
    assert [each["shape"] for each in reports["never used"]["inputs"]] == [["b", 4], ["b", 3]]


# ---- programs that no export writes ----


def main_of(*operations: Operation, result: Value = NUMBER) -> dict[str, Block]:
    return {"main": Block((NUMBER,), (*operations, Operation("func.return", (result,), ())))}


def test_code_that_is_not_in_the_program_is_refused_even_where_nothing_needs_it() -> None:
    call = Operation("stablehlo.custom_call", (NUMBER,), (Value("float32", ()),), {"call_target_name": "a_callback"})
    with pytest.raises(RejectedContent, match="'custom_call a_callback'"):
        refuse_unknown(main_of(call))
    with pytest.raises(RejectedContent, match=r"'stablehlo\.infeed'"):
        refuse_unknown({**main_of(), "nobody calls it": Block((), (Operation("stablehlo.infeed", (), ()),))})


def test_a_function_that_calls_itself_is_refused() -> None:
    result = Value("float32", ())
    program = main_of(Operation("func.call", (NUMBER,), (result,), {"callee": "main"}), result=result)
    refuse_unknown(program)
    with pytest.raises(RejectedContent, match="'main' is missing or calls itself"):
        written(program, (Input("x", "float32", ()),), (0,), {"y": ()})


def test_functions_that_grow_without_end_are_refused() -> None:
    """Each calls the next one twice: a hundred of them would be written out 2^100 times."""
    program: dict[str, Block] = {}
    for depth in range(60):
        first, second, taken = (Value("float32", ()) for _ in range(3))
        name = {"callee": f"f{depth + 1}"}
        calls = (Operation("func.call", (taken,), (first,), name), Operation("func.call", (first,), (second,), name))
        program[f"f{depth}" if depth else "main"] = Block((taken,), (*calls, Operation("func.return", (second,), ())))
    taken, given = Value("float32", ()), Value("float32", ())
    last = (Operation("stablehlo.negate", (taken,), (given,)), Operation("func.return", (given,), ()))
    program["f60"] = Block((taken,), last)
    with pytest.raises(RejectedContent, match="more than 50000 operations"):
        written(program, (Input("x", "float32", ()),), (0,), {"y": ()})
