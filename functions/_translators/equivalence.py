"""Measures whether an ONNX model computes what its source computes; knows no framework.

The source is a function from arrays to arrays. It is compared with ONNX Runtime (https://onnxruntime.ai), once with its
graph optimizations off and once on, since each can be wrong alone. Where they differ, ONNX's reference evaluator says
whose answer the ONNX text itself gives. What counts as different is told in ``functions._translators.differences``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.child import refusing
from functions._translators.differences import TOLERANCES, Difference, compare, unlike, verdict
from functions._translators.inputs import FLOATS, Array, Case, Samples, Signature
from functions._translators.scores import task_metric, top1_agreement

Run = Callable[[Sequence[Array]], Sequence[Array]]


OPTIMIZATIONS = ("off", "on")
CPU = "CPUExecutionProvider"
GPUS = {"nvidia": "CUDAExecutionProvider", "amd": "ROCMExecutionProvider"}
"""What ONNX Runtime calls the accelerators (https://onnxruntime.ai/docs/execution-providers/)."""

_REFERENCE_BOUND = 64 * 2**20
_CHUNK = 64


@dataclass(frozen=True)
class Source:
    """A loaded model, as each framework's file hands it over.

    ``run`` takes and returns arrays in the order of the ONNX model, and raises where it takes no such sizes.
    ``examples`` are cases that the model brought along. ``export`` writes it to a path at an opset and returns the
    opset that it has written.
    """

    run: Run
    signature: Signature
    examples: tuple[Case, ...]
    exporter: str
    export: Callable[[Path, int], int]


@dataclass(frozen=True)
class Finding:
    """One output of one case under one setting of the optimizations."""

    output: str
    case: str
    difference: Difference


@dataclass(frozen=True)
class Answer:
    """What both sides made of one case; ``problem`` where ONNX Runtime failed."""

    case: Case
    wanted: Sequence[Array]
    given: Sequence[Array] = ()
    problem: str = ""


def measure(
    model: Path, run_source: Run, cases: Sequence[Case], samples: Samples | None, accelerator: str = "none"
) -> dict[str, object]:
    """The measured part of a translation report, with figures of the CPU and, where asked for, of an accelerator too.

    Args:
        model: the ONNX file.
        run_source: the source, in the order of the ONNX model; raises where it takes no such sizes.
        cases: what to feed; at least one must be taken by the source.
        samples: rows of the training's own data, which give the task metric where they have labels.
        accelerator: ``none``, or what must be there.

    Raises:
        RejectedContent: the source itself takes none of the cases, or the accelerator is not there.
    """
    providers = (CPU,) if accelerator == "none" else (CPU, present(model, accelerator))
    expected, skipped = _expected(run_source, cases)
    if not expected:
        raise RejectedContent(f"the model itself refuses every input that its signature allows: {skipped[0]['reason']}")
    measured = {provider: _run(model, provider, run_source, expected, samples) for provider in providers}
    first, findings = measured[CPU], [finding for one in measured.values() for finding in one.findings]
    rows = first.rows
    source_rows, onnx_rows = (rows.wanted, rows.given) if rows else ((), ())
    asked = [rows] if rows else first.answers
    return {
        "verdict": verdict([finding.difference for finding in findings]),
        "figures": _all_figures(findings),
        "cases": len(expected),
        "skipped": skipped,
        "undefined": [answer.case.name for answer in first.answers if _has_nan(answer)],
        "samples": len(source_rows[0]) if source_rows else 0,
        "top1_agreement": top1_agreement(
            [(answer.wanted[0], answer.given[0]) for answer in asked if answer.wanted and answer.given], samples
        ),
        "metric": task_metric(source_rows, onnx_rows, samples),
        "tie_break": _tie_break(model, findings, expected),
        "tolerance": {name: dict(values) for name, values in TOLERANCES.items()},
        "providers": list(providers),
        "by_provider": {provider: one.said for provider, one in measured.items()},
        "optimizations": list(OPTIMIZATIONS),
    }


@dataclass(frozen=True)
class Measured:
    """What one execution provider made of all cases; ``answers`` are those with optimizations on."""

    answers: Sequence[Answer]
    rows: Answer | None
    findings: Sequence[Finding]

    @property
    def said(self) -> dict[str, object]:
        """The provider's own verdict and figures."""
        return {"verdict": verdict([one.difference for one in self.findings]), "figures": _all_figures(self.findings)}


def _run(
    model: Path, provider: str, run_source: Run, expected: Sequence[tuple[Case, list[Array]]], samples: Samples | None
) -> Measured:
    with refusing("ONNX Runtime cannot load the exported model", "ask for another opset, or use other operators"):
        # One session after the other: two copies of a large model's weights are many.
        plain = _answers(Session(model, "off", provider), expected)
        session = Session(model, "on", provider)
    answers = _answers(session, expected)
    rows = None if samples is None else _on_samples(run_source, session, samples)
    return Measured(answers, rows, _findings(session.outputs, [*plain, *answers], [rows] if rows else []))


def present(model: Path, accelerator: str) -> str:
    """The execution provider of an accelerator, which must be there: ONNX Runtime falls back to the CPU silently.

    Raises:
        RejectedContent: it is not; the message says what to do.
    """
    import onnxruntime

    provider, found = GPUS.get(accelerator, accelerator), onnxruntime.get_available_providers()
    if provider not in found or provider not in Session(model, "off", provider).providers:
        raise RejectedContent(
            f"this translation is to be measured on an accelerator ({accelerator}), and ONNX Runtime finds none here; "
            "ask for it with --accelerator none, or have the operator look at the node"
        )
    return provider


class Session:
    """ONNX Runtime with a model, optimizations off or on, on a provider; called like the source."""

    def __init__(self, model: Path, optimizations: str, provider: str = CPU) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimizations == "on" else levels.ORT_DISABLE_ALL
        options.log_severity_level = 3
        wished = list(dict.fromkeys((provider, CPU)))
        self._session = onnxruntime.InferenceSession(str(model), options, providers=wished)
        self.providers = self._session.get_providers()
        self.inputs = [known.name for known in self._session.get_inputs()]
        self.outputs = [known.name for known in self._session.get_outputs()]

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs for some inputs."""
        fed = dict(zip(self.inputs, arrays, strict=True))
        return [numpy.asarray(array) for array in self._session.run(None, fed)]


def _expected(run_source: Run, cases: Sequence[Case]) -> tuple[list[tuple[Case, list[Array]]], list[dict[str, str]]]:
    expected, skipped = [], []
    for case in cases:
        try:
            expected.append((case, [numpy.asarray(array) for array in run_source(case.arrays)]))
        except Exception as error:  # noqa: BLE001  a model may refuse sizes that its signature allows
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            skipped.append({"case": case.name, "reason": reason})
    return expected, skipped


def _answers(session: Session, expected: Sequence[tuple[Case, list[Array]]]) -> list[Answer]:
    return [_answer(session, case, wanted) for case, wanted in expected]


def _answer(session: Session, case: Case, wanted: Sequence[Array]) -> Answer:
    try:
        return Answer(case, wanted, session(case.arrays))
    except Exception as error:  # noqa: BLE001  that it fails where the source does not is what is being measured
        return Answer(case, wanted, problem=" ".join(str(error).split())[:300])


def _findings(outputs: Sequence[str], drawn: Sequence[Answer], sampled: Sequence[Answer]) -> list[Finding]:
    """Every output of every answer. Inputs for which the source has no number say nothing where others do."""
    undefined = not all(_has_nan(answer) for answer in (*drawn, *sampled))
    coarsest = _coarsest(drawn)
    return [
        Finding(name, answer.case.name, difference)
        for answer in (*drawn, *sampled)
        for name, difference in _compared(outputs, answer, coarsest, undefined)
    ]


def _has_nan(answer: Answer) -> bool:
    return any(array.dtype.name in FLOATS and bool(numpy.isnan(array).any()) for array in answer.wanted)


def _coarsest(answers: Sequence[Answer]) -> str:
    names = {array.dtype.name for answer in answers for array in answer.case.arrays}
    return min(names & set(FLOATS), key=FLOATS.index, default=FLOATS[-1])


def _compared(
    outputs: Sequence[str], answer: Answer, coarsest: str, undefined: bool
) -> Iterator[tuple[str, Difference]]:
    wanted, given = answer.wanted, answer.given
    names = [*outputs, *(f"output_{index}" for index in range(len(outputs), len(wanted)))]
    for index, name in enumerate(names):
        if answer.problem:
            yield name, unlike(f"ONNX Runtime failed: {answer.problem}")
        elif index >= len(wanted) or index >= len(given):
            yield name, unlike(f"missing: {len(given)} outputs where {len(wanted)} were expected")
        else:
            yield name, compare(wanted[index], given[index], coarsest, undefined=undefined)


def _all_figures(findings: Sequence[Finding]) -> dict[str, dict[str, object]]:
    return {name: _figures(name, findings) for name in dict.fromkeys(finding.output for finding in findings)}


def _figures(name: str, findings: Sequence[Finding]) -> dict[str, object]:
    own = [finding for finding in findings if finding.output == name]
    worst = next((finding for finding in own if finding.difference.problem), None)
    worst_abs = max(finding.difference.max_abs for finding in own)
    worst_rel = max(finding.difference.max_rel for finding in own)
    return {
        "max_abs": worst_abs if math.isfinite(worst_abs) else None,
        "max_rel": worst_rel if math.isfinite(worst_rel) else None,
        "cases": len(own),
        "problem": f"{worst.case}: {worst.difference.problem}" if worst else None,
    }


def _on_samples(run_source: Run, session: Session, samples: Samples) -> Answer | None:
    """Both on all rows, in chunks; one at a time where the model takes one; None where the source takes neither."""
    case = Case("samples", samples.arrays)
    for size in (_CHUNK, 1):
        try:
            source = _chunked(run_source, samples, size)
        except Exception:  # noqa: BLE001, S112  the batch size is fixed: try the next one, then do without
            continue
        try:
            return Answer(case, source, _chunked(session, samples, size))
        except Exception as error:  # noqa: BLE001  that it fails where the source does not is a finding
            return Answer(case, source, problem=" ".join(str(error).split())[:300])
    return None


def _chunked(run: Run, samples: Samples, size: int) -> list[Array]:
    parts = [run([rows[start : start + size] for rows in samples.arrays]) for start in range(0, samples.rows, size)]
    return [numpy.concatenate(pieces) for pieces in zip(*parts, strict=True)]


def _tie_break(
    model: Path, findings: Sequence[Finding], expected: Sequence[tuple[Case, list[Array]]]
) -> dict[str, str] | None:
    """With whom ONNX's reference evaluator sides in the first case that differs; None where none does."""
    differing = {finding.case for finding in findings if not finding.difference.within}
    disputed = next(((case, wanted) for case, wanted in expected if case.name in differing), None)
    if disputed is None:
        return None
    case, wanted = disputed
    if model.stat().st_size > _REFERENCE_BOUND:
        return {"case": case.name, "sides_with": "not asked: the model is too large for the reference evaluator"}
    try:
        return {"case": case.name, "sides_with": _judged(model, case, wanted)}
    except Exception as error:  # noqa: BLE001  it lacks some operators; then there is no third opinion
        return {"case": case.name, "sides_with": f"no opinion: {type(error).__name__}"}


def _judged(model: Path, case: Case, wanted: Sequence[Array]) -> str:
    import onnx.reference

    evaluator = onnx.reference.ReferenceEvaluator(str(model))
    given = evaluator.run(None, dict(zip(evaluator.input_names, case.arrays, strict=True)))
    if len(given) == len(wanted) and all(map(_within, wanted, given)):
        return "source"
    runtime = Session(model, "on")(case.arrays)
    return "ONNX Runtime" if len(runtime) == len(given) and all(map(_within, runtime, given)) else "neither"


def _within(expected: Array, actual: Array) -> bool:
    return compare(expected, numpy.asarray(actual)).within
