"""What decides a reproduction: its class, the interval of its metrics, which claims apply, the steps of its chain."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._backends.runs.conventions import repeatable
from functions._domain import choosing, intake, journal, paths, records
from functions._domain.authorizations import Authorization, Message, evidence
from functions._domain.burial import bury
from functions._domain.claims import CLAIMS, applicable
from functions._domain.comparison import VERDICTS, Interval, Metrics, class_of, described, environments
from functions._domain.digests import digest_of
from functions._domain.errors import RejectedContent
from functions._domain.events import Event, announce
from functions._domain.intake import Request
from functions._domain.ports import Run
from functions._domain.progress import Progress, Step
from functions._domain.retraining import failed, run_name
from functions._domain.seekable import BLOCK, Blocks, checked_file
from tests.fakes import FolderStorage
from tests.unit.test_progress import EmptyLedger, Outside, letter, ports

ONE, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
SAME, NEAR, FAR = {"accuracy": 0.9}, {"accuracy": 0.905}, {"accuracy": 0.8}
TRAINED, ASKED = UUID(int=1), UUID(int=2)

CLASSES = [
    (True, None, None, SAME, FAR, "R1"),
    (True, ONE, ONE, {}, {}, "R1"),
    (False, ONE, ONE, SAME, FAR, "R2"),
    (False, ONE, OTHER, SAME, NEAR, "R3"),
    (False, None, None, SAME, SAME, "R3"),
    (False, ONE, None, SAME, SAME, "R3"),
    (False, ONE, OTHER, SAME, FAR, "diverged"),
    (False, ONE, OTHER, {}, {}, "diverged"),
    (False, ONE, OTHER, SAME, {}, "diverged"),
    (False, None, None, SAME, {**SAME, "loss": 0.1}, "diverged"),
]


@pytest.mark.parametrize(("same_bytes", "original", "reproduced", "before", "after", "expected"), CLASSES)
def test_the_strongest_class_that_holds_is_given(
    same_bytes: bool, original: str, reproduced: str, before: dict[str, float], after: dict[str, float], expected: str
) -> None:
    assert class_of(same_bytes, original, reproduced, Metrics(before, after), Interval()) == expected


def test_only_what_diverged_has_failed() -> None:
    assert [one for one, verdict in VERDICTS.items() if verdict == "failed"] == ["diverged"]
    assert VERDICTS["R3"] == "within-tolerance"


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_the_interval_is_that_of_its_two_bounds(original: float, reproduced: float) -> None:
    interval = Interval(0.02, 1e-6)
    assert interval.holds(original, reproduced) == (abs(reproduced - original) <= max(1e-6, 0.02 * abs(original)))
    assert interval.holds(original, original)


def test_metrics_of_one_side_only_are_named() -> None:
    metrics = Metrics({"accuracy": 0.9, "loss": 1.0}, {"accuracy": 0.8, "recall": 0.5})
    assert metrics.differences == {"accuracy": pytest.approx(-0.1), "loss": None, "recall": None}
    assert list(metrics.findings(Interval())) == [
        "accuracy: 0.9 originally, 0.8 reproduced, more than 2% apart",
        "loss: measured of the original model only",
        "recall: measured of the reproduced model only",
    ]
    assert list(Metrics({}, {}).findings(Interval())) == ["neither training wrote metrics"]


MACHINE = {
    "cpu": {"model": "AMD EPYC", "flags": ["avx", "avx2"]}, "threads": 2, "gpus": [], "python": "3.11.7",
    "packages": {"torch": "2.13.0"}, "settings": {"OMP_NUM_THREADS": "2"},
}  # fmt: skip


def test_one_environment_is_said_once_and_two_with_what_differs() -> None:
    assert list(environments(MACHINE, MACHINE)) == ["both trained on AMD EPYC, 2 threads, no GPU, Python 3.11.7"]
    other = {
        **MACHINE, "cpu": {"model": "Xeon", "flags": ["avx", "avx512f"]}, "threads": 1, "gpus": ["H100, 550"],
        "packages": {"torch": "2.14.0", "numpy": "2"}, "settings": {"OMP_NUM_THREADS": "1"},
    }  # fmt: skip
    assert list(environments(MACHINE, other)) == [
        "originally trained on AMD EPYC, 2 threads, no GPU, Python 3.11.7",
        "reproduced on Xeon, 1 thread, H100, 550, Python 3.11.7",
        "packages that differ: numpy absent and 2, torch 2.13.0 and 2.14.0",
        "settings that differ: OMP_NUM_THREADS 2 and 1",
        "features that only one of the processors has: avx2, avx512f",
    ]
    assert described({}) == "a machine of which nothing is known"


def record(kind: str, **fields: Any) -> dict[str, Any]:
    return {"id": str(TRAINED), "kind": kind, **fields}


def a_run(**changes: int) -> Run:
    sizes = {"cpu": 3, "memory": 1 << 30, "gpu": 0, "deadline": 60} | changes
    return Run("reproduce", ASKED, TRAINED, 1, ONE, ("train",), {"seed": "7"}, (), **sizes)


def test_a_training_finds_the_same_seeds_and_threads_each_time_and_gpu_settings_only_with_a_gpu() -> None:
    found = repeatable(a_run())
    assert (found["POLYGLOT_SEED"], found["PYTHONHASHSEED"]) == ("7", "0")
    assert {value for name, value in found.items() if "THREADS" in name} == {"3"}
    assert found["OMP_DYNAMIC"] == found["MKL_DYNAMIC"] == "FALSE"
    only_there = repeatable(a_run(gpu=1)).keys() - found.keys()
    assert only_there == {"XLA_FLAGS", "TF_CUDNN_DETERMINISTIC"}


NOT_REPRODUCED = {
    "a dataset": record("dataset"),
    "a model": record("model"),
    "a translation": record("translation", **{"from": {"framework": "torch"}}),
    "imported": record("trained-model", origin="imported"),
    "no record": None,
}


def everywhere(framework: str, accelerator: str) -> bool:
    return True


def nowhere(framework: str, accelerator: str) -> bool:
    return False


@pytest.mark.parametrize("case", NOT_REPRODUCED)
def test_what_was_not_trained_here_is_not_reproduced(case: str) -> None:
    claims, others = applicable(NOT_REPRODUCED[case], "all", everywhere)
    assert claims == ["integrity", "provenance", *(["equivalence"] if case == "a translation" else [])]
    assert claims + list(others) == [*claims, *(claim for claim in CLAIMS if claim not in claims)]
    why = {"reproduction": others["reproduction"]}
    assert applicable(NOT_REPRODUCED[case], "reproduction", everywhere) == ([], why)
    assert applicable(NOT_REPRODUCED[case], "integrity", everywhere) == (["integrity"], {})


def test_a_trained_model_is_reproduced_whole() -> None:
    trained = record("trained-model", origin="trained")
    assert applicable(trained, "all", everywhere)[0] == ["integrity", "provenance", "reproduction"]
    assert applicable(trained, "reproduction", everywhere, "model.pt2")[0] == []
    assert applicable(trained, "all", everywhere, "model.pt2")[0] == ["integrity", "provenance"]


def test_a_translation_is_measured_again_where_somebody_can() -> None:
    translation = NOT_REPRODUCED["a translation"]
    assert applicable(translation, "equivalence", everywhere) == (["equivalence"], {})
    assert "no verifier for torch models" in applicable(translation, "equivalence", nowhere)[1]["equivalence"]
    assert applicable(translation, "equivalence", everywhere, "model.onnx")[0] == []


# --- the chain of a request ------------------------------------------------------------------------------------------


class FullLedger(EmptyLedger):
    """A ledger that has everything."""

    def is_recorded(self, message: Message) -> bool:
        return True


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(FolderStorage(tmp_path / "bucket"))


def asked(outside: Outside, *claims: str) -> Request:
    body = {"claims": list(claims), "not_applicable": {}, "path": None}
    request = Request(ASKED, "verifications", "local", "somebody", "2026-01-01T00:00:00Z", TRAINED, body)
    known = {"name": "x", "owner": "y", "tenant": "z", "parents": [], "inventory": {}}
    records.write_record(
        outside.storage, {"schema": "polyglot/record/v1", "id": str(TRAINED), "kind": "trained-model", **known}
    )
    return intake.store(outside.storage, request)


def steps(outside: Outside, request: Request) -> list[Step]:
    return list(Progress(outside.storage, outside.ledger, "cause").chain(request))  # type: ignore[arg-type]


def driven_by(outside: Outside, request: Request) -> Event:
    event = steps(outside, request)[-1].event
    assert event is not None
    return event


def test_each_stage_of_a_reproduction_is_driven_by_its_event(outside: Outside) -> None:
    request = asked(outside, "reproduction")
    event = driven_by(outside, request)
    assert (event.name, event.subject, event.data["request"]) == ("reproduction.requested", TRAINED, str(ASKED))
    journal.mark(outside.storage, TRAINED, f"verify-{ASKED}", 1, "started", outside.now())
    event = driven_by(outside, request)
    assert (event.name, event.subject, event.data["run"]) == ("training.finished", ASKED, run_name(ASKED))
    assert steps(outside, request)[-1].state == "running"
    choosing.choose(outside.storage, ASKED, "execution")
    event = driven_by(outside, request)
    assert (event.name, event.subject, event.data["request"]) == ("reproduction.finished", TRAINED, str(ASKED))


@pytest.mark.parametrize("claim", ["integrity", "reproduction"])
def test_a_statement_whose_authorization_is_missing_is_signed_again(outside: Outside, claim: str) -> None:
    request, envelope = asked(outside, claim), b"a statement"
    journal.mark(outside.storage, TRAINED, f"verify-{ASKED}", 1, "started", outside.now())
    choosing.choose(outside.storage, ASKED, "execution")
    outside.storage.create(paths.evidence_key(TRAINED, claim, str(ASKED)), envelope)
    again = {"integrity": "verification.requested", "reproduction": "reproduction.finished"}
    assert driven_by(outside, request).name == again[claim]
    message = evidence(TRAINED, claim, digest_of(envelope), "passed")
    one = Authorization(message, "verifier", "0x" + "1" * 40, 1, "0x" + "2" * 40, "0x" + "3" * 130)
    records.store_authorization(outside.storage, one)
    assert driven_by(outside, request).name == "evidence.authorized"
    outside.ledger = FullLedger()
    assert steps(outside, request)[-1].state == "done"


def test_a_retraining_that_failed_says_nothing_about_the_other_claims(outside: Outside) -> None:
    request = asked(outside, "integrity", "reproduction")
    failed(ports(outside), request, "out of luck")
    (step,) = steps(outside, request)
    assert (step.claim, step.state, step.event and step.event.name) == (
        "integrity",
        "waiting",
        "verification.requested",
    )
    outside.storage.create(paths.evidence_key(TRAINED, "integrity", str(ASKED)), b"a statement")
    outside.ledger = FullLedger()
    last = steps(outside, request)[-1]
    assert (last.claim, last.state, last.reason) == (
        "reproduction", "failed", "out of luck — nothing was measured",
    )  # fmt: skip


def test_a_request_of_which_nothing_applies_is_done(outside: Outside) -> None:
    assert [step.state for step in steps(outside, asked(outside))] == ["done"]


@pytest.mark.parametrize(
    "event",
    [
        announce("reproduction.requested", TRAINED, "cause", {"request": str(ASKED)}),
        announce("reproduction.finished", TRAINED, "cause", {"request": str(ASKED)}),
        announce("training.finished", ASKED, "cause", {"run": run_name(ASKED)}),
    ],
    ids=lambda event: event.name,
)
def test_what_was_given_up_of_a_reproduction_is_marked_where_its_chain_is_looked_at(
    outside: Outside, event: Event
) -> None:
    request = asked(outside, "reproduction")
    bury(ports(outside), letter(event, "503"))
    assert steps(outside, request)[-1].state == "exhausted"


# --- bytes that are checked as they are read -------------------------------------------------------------------------


def test_a_range_of_a_file_is_given_only_if_its_bytes_are_those_that_were_digested(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "bucket")
    data = bytes(range(256)) * 4096
    storage.create("one", data)
    entry = storage.stat("one")
    assert entry is not None
    blocks = Blocks.of(storage.open("one") or ())
    assert f"sha256:{blocks.sha256}" == digest_of(data)
    with checked_file(storage, entry, blocks) as file:
        for start, length in ((0, 10), (BLOCK - 3, 6), (len(data) - 5, 50), (0, len(data))):
            file.seek(start)
            assert file.read(length) == data[start : start + length]
    (tmp_path / "bucket" / "one").write_bytes(data[:-1] + b"x")
    with checked_file(storage, entry, blocks) as file:
        assert file.read(100) == data[:100]
        file.seek(len(data) - 10)
        with pytest.raises(RejectedContent, match="changed while it was read"):
            file.read(10)
