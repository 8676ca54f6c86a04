"""Flips: rounding over a step or a tie is named and excused, everything else is an error."""

from collections.abc import Sequence

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._translators.differences import compare, rows_apart
from functions._translators.equivalence import measure
from functions._translators.flips import STEP, TIE, Choice, settle
from functions._translators.inputs import Array, Samples
from functions._translators.scores import task_metric, top1_agreement

ROWS = numpy.linspace(-1, 1, 41, dtype="float32").reshape(-1, 1) + numpy.float32(0.01)
THRESHOLD = float(ROWS[20, 0])
EPS = numpy.finfo("float32").eps


def stepping(inputs: Sequence[Array], at: float = THRESHOLD) -> list[Array]:
    return [numpy.where(inputs[0] <= at, numpy.float32(1), numpy.float32(5))]


@given(units=st.floats(-3, 3).filter(lambda units: abs(units) > 0.6))
def test_a_step_within_rounding_is_a_flip(units: float) -> None:
    given_ = stepping([ROWS], THRESHOLD * (1 + units * float(EPS)))
    wanted = stepping([ROWS])
    settled, flips = settle(stepping, [ROWS], wanted, given_, "float32")
    assert numpy.array_equal(settled[0], given_[0])
    assert set(flips) <= {20}
    assert all("units in the last place" in reason for reason in flips.values())


@pytest.mark.parametrize("by", [1e-3, -1e-3, 0.1])
def test_a_step_that_was_moved_is_no_flip(by: float) -> None:
    rows = numpy.concatenate([ROWS, ROWS + numpy.float32(0.5e-3), ROWS - numpy.float32(0.5e-3)])
    given_ = stepping([rows], THRESHOLD + by)
    settled, flips = settle(stepping, [rows], stepping([rows]), given_, "float32")
    assert not compare(settled[0], given_[0]).within
    assert len(flips) <= 1


def test_what_compares_numbers_as_they_come_has_no_steps_to_excuse() -> None:
    given_ = stepping([ROWS], float(numpy.nextafter(numpy.float32(THRESHOLD), numpy.float32(-1))))
    assert settle(stepping, [ROWS], stepping([ROWS]), given_, "float32", kinds=(TIE,))[1] == {}
    assert list(settle(stepping, [ROWS], stepping([ROWS]), given_, "float32", kinds=(STEP,))[1]) == [20]


def voting(scores: Array, label: Array) -> list[Array]:
    return [label, scores.astype("float32")]


def test_a_tie_of_scores_leaves_the_label_open_and_nothing_else() -> None:
    scores = numpy.array([[0.5, 0.5], [0.9, 0.1], [0.3, 0.7]])
    right = numpy.array(["a", "a", "b"], dtype=object)
    wanted, rows = voting(scores, right), numpy.zeros((3, 1), "float32")

    def run(inputs: Sequence[Array]) -> list[Array]:
        return [array[: len(inputs[0])] for array in wanted]

    def settled(label: list[str], goes_by_scores: bool = True, given_scores: Array = scores) -> dict[int, str]:
        choice = Choice(
            classes=numpy.array(["a", "b"]), by_scores=lambda arrays: numpy.full(len(arrays[0]), goes_by_scores)
        )
        given_ = voting(given_scores, numpy.array(label, dtype=object))
        return settle(run, [rows], wanted, given_, "float32", choice, (TIE,))[1]

    assert list(settled(["b", "a", "b"])) == [0]
    assert settled(["a", "b", "b"]) == {}
    assert settled(["b", "a", "b"], goes_by_scores=False) == {}
    assert settled(["b", "a", "b"], given_scores=numpy.array([[0.6, 0.4], *scores[1:]])) == {}
    assert settled(["never heard of", "a", "b"]) == {}


def test_outputs_without_rows_alike_are_left_alone() -> None:
    for given_ in ([], [numpy.zeros(3)], [numpy.zeros((41, 2), "float32")], [numpy.zeros((41, 1)), numpy.zeros(1)]):
        assert settle(stepping, [ROWS], stepping([ROWS]), given_, "float32")[1] == {}


def test_rows_apart_are_those_that_comparing_finds() -> None:
    wanted = numpy.array([[1.0, 2.0], [3.0, numpy.nan], [numpy.inf, 1.0], [1.0, 1.0]], "float32")
    given_ = wanted.copy()
    assert not rows_apart(wanted, given_, wanted).any()
    given_[0, 1], given_[1, 1], given_[2, 0] = 2.01, 0.0, -numpy.inf
    assert rows_apart(wanted, given_, wanted).tolist() == [True, True, True, False]
    texts = numpy.array(["a", "b"])
    assert rows_apart(texts, numpy.array(["a", "c"], dtype=object), texts).tolist() == [False, True]


# ---- texts and chosen classes ----


def test_texts_are_compared_exactly_whatever_holds_them() -> None:
    wanted = numpy.array(["low", "high"])
    assert compare(wanted, wanted.astype(object)).equal
    found = compare(wanted, numpy.array(["low", "middle"], dtype=object))
    assert (found.within, found.problem) == (False, "1 of 2 texts differ")
    assert not compare(wanted, numpy.array([0, 1])).within


def test_the_chosen_class_is_the_label_where_there_is_one() -> None:
    scores = numpy.float32([[0.9, 0.1], [0.2, 0.8]])
    wanted, given_ = [numpy.array(["a", "b"]), scores], [numpy.array(["a", "a"], dtype=object), scores]
    samples = Samples((scores,), numpy.array(["a", "b"]))
    assert top1_agreement([(wanted, given_), (wanted, ())], None, 0) == 0.5
    metric = task_metric(wanted, given_, samples, 0)
    assert metric == {"name": "accuracy", "rows": 2, "source": 1.0, "onnx": 0.5}
    assert top1_agreement([([scores], [scores])], None) == 1
    assert top1_agreement([([], [])], None, 0) is None


def test_measure_takes_kinds_of_flips_by_name_only() -> None:
    with pytest.raises(TypeError):
        measure(None, stepping, [], None, "none", Choice())  # type: ignore[arg-type, misc]
