"""Measures whether an ONNX model computes what its source computes; knows no framework.

The source is a function from arrays to arrays. It is compared with ONNX Runtime (https://onnxruntime.ai), once with its
graph optimizations off and once on, since each can be wrong alone. Where they differ, ONNX's reference evaluator says
whose answer the ONNX text itself gives. What counts as different is told in ``functions._translators.differences``.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.child import refusing
from functions._translators.differences import TOLERANCES, Difference, compare, largest, unlike, verdict
from functions._translators.flips import Choice, settle
from functions._translators.inputs import FLOATS, Array, Case, Samples, Signature
from functions._translators.runtime import CPU, OPTIMIZATIONS, Session, present
from functions._translators.scores import task_metric, top1_agreement
from functions._translators.tie_break import tie_break

Run = Callable[[Sequence[Array]], Sequence[Array]]

_CHUNK = 64
_NAMED_FLIPS = 100
_NOTHING = numpy.empty(0)


@dataclass(frozen=True)
class Source:
    """A loaded model, as each framework's file hands it over.

    ``run`` takes and returns arrays in the order of the ONNX model, and raises where it takes no such sizes.
    ``examples`` are cases that the model brought along. ``export`` writes it to a path at an opset and returns the
    opset that it has written; ``opset`` is what to write where nobody asks for another. ``choice`` tells a
    classifier's label and scores. ``flips`` says what may excuse single rows, in a model that answers row by row.
    ``runner`` is what runs it, where that is not the framework itself.
    """

    run: Run
    signature: Signature
    examples: tuple[Case, ...]
    exporter: str
    export: Callable[[Path, int], int]
    opset: int | None = None
    choice: Choice | None = None
    flips: Sequence[str] = ()
    runner: str = ""


@dataclass(frozen=True)
class Finding:
    """One output of one case under one setting of the optimizations."""

    output: str
    case: str
    difference: Difference


@dataclass(frozen=True)
class Answer:
    """What both sides made of one case; ``problem`` where ONNX Runtime failed.

    ``settled`` are the source's answers after rows that rounding has flipped were settled, and ``flips`` those rows.
    """

    case: Case
    wanted: Sequence[Array]
    given: Sequence[Array] = ()
    problem: str = ""
    settled: Sequence[Array] | None = None
    flips: Mapping[int, str] = field(default_factory=dict)


def measure(
    model: Path,
    run_source: Run,
    cases: Sequence[Case],
    samples: Samples | None,
    accelerator: str = "none",
    *,
    choice: Choice | None = None,
    flips: Sequence[str] = (),
) -> dict[str, object]:
    """The measured part of a translation report, with figures of the CPU and, where asked for, of an accelerator too.

    Args:
        model: the ONNX file.
        run_source: the source, in the order of the ONNX model; raises where it takes no such sizes.
        cases: what to feed; at least one must be taken by the source.
        samples: rows of the training's own data, which give the task metric where they have labels.
        accelerator: ``none``, or what must be there.
        choice: a classifier's label and scores.
        flips: what may excuse single rows, if anything; those are then counted and named.

    Raises:
        RejectedContent: the source itself takes none of the cases, or the accelerator is not there.
    """
    providers = (CPU,) if accelerator == "none" else (CPU, present(model, accelerator))
    expected, skipped = _expected(run_source, cases)
    if not expected:
        raise RejectedContent(f"the model itself refuses every input that its signature allows: {skipped[0]['reason']}")
    measured = {provider: _run(model, provider, run_source, expected, samples, choice, flips) for provider in providers}
    first, findings = measured[CPU], [finding for one in measured.values() for finding in one.findings]
    rows = first.rows
    source_rows, onnx_rows = (rows.wanted, rows.given) if rows else ((), ())
    asked = [rows] if rows else first.answers
    differing = {finding.case for finding in findings if not finding.difference.within}
    flipped = {flip: why for one in measured.values() for flip, why in one.flips.items()}
    label = choice.label if choice else None
    return {
        "verdict": _verdict(findings, flipped),
        "figures": _all_figures(findings),
        "cases": len(expected),
        "skipped": skipped,
        "undefined": [answer.case.name for answer in first.answers if _has_nan(answer)],
        "samples": len(source_rows[0]) if source_rows else 0,
        "top1_agreement": top1_agreement([(answer.wanted, answer.given) for answer in asked], samples, label),
        "metric": task_metric(source_rows, onnx_rows, samples, label),
        "flips": _told(flipped) if flips else None,
        "tie_break": tie_break(model, differing, expected, by_row=bool(flips)),
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
    flips: Mapping[tuple[str, int], str]

    @property
    def said(self) -> dict[str, object]:
        """The provider's own verdict and figures."""
        return {"verdict": _verdict(self.findings, self.flips), "figures": _all_figures(self.findings)}


def _verdict(findings: Sequence[Finding], flips: Mapping[tuple[str, int], str]) -> str:
    found = verdict([finding.difference for finding in findings])
    return "within-tolerance" if found == "equal" and flips else found


def _told(flips: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    """Flipped rows by case and place, with the reason of each."""
    named = [{"case": case, "row": row, "reason": why} for (case, row), why in sorted(flips.items())[:_NAMED_FLIPS]]
    return {"number": len(flips), "rows": named}


def _run(
    model: Path,
    provider: str,
    run_source: Run,
    expected: Sequence[tuple[Case, list[Array]]],
    samples: Samples | None,
    choice: Choice | None,
    kinds: Sequence[str],
) -> Measured:
    with refusing("ONNX Runtime cannot load the exported model", "ask for another opset, or use other operators"):
        # One session after the other: two copies of a large model's weights are many.
        plain = _answers(Session(model, "off", provider), expected)
        session = Session(model, "on", provider)
    answers = _answers(session, expected)
    rows = None if samples is None else _on_samples(run_source, session, samples)
    drawn, sampled = [*plain, *answers], [rows] if rows else []
    if kinds:
        drawn, sampled = (_settled(run_source, answers, choice, kinds) for answers in (drawn, sampled))
    flips = {(answer.case.name, row): why for answer in (*drawn, *sampled) for row, why in answer.flips.items()}
    return Measured(answers, rows, _findings(session.outputs, drawn, sampled), flips)


def _settled(run_source: Run, answers: Sequence[Answer], choice: Choice | None, kinds: Sequence[str]) -> list[Answer]:
    found, coarsest = [], _coarsest(answers)
    for answer in answers:
        settled, flips = settle(run_source, answer.case.arrays, answer.wanted, answer.given, coarsest, choice, kinds)
        found.append(replace(answer, settled=settled, flips=flips))
    return found


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
    coarsest, answers = _coarsest(drawn), (*drawn, *sampled)
    tops = [max(map(largest, each)) for each in zip_longest(*(answer.wanted for answer in answers), fillvalue=_NOTHING)]
    return [
        Finding(name, answer.case.name, difference)
        for answer in answers
        for name, difference in _compared(outputs, answer, coarsest, undefined, tops)
    ]


def _has_nan(answer: Answer) -> bool:
    return any(array.dtype.name in FLOATS and bool(numpy.isnan(array).any()) for array in answer.wanted)


def _coarsest(answers: Sequence[Answer]) -> str:
    names = {array.dtype.name for answer in answers for array in answer.case.arrays}
    return min(names & set(FLOATS), key=FLOATS.index, default=FLOATS[-1])


def _compared(
    outputs: Sequence[str], answer: Answer, coarsest: str, undefined: bool, tops: Sequence[float]
) -> Iterator[tuple[str, Difference]]:
    wanted, given = answer.wanted if answer.settled is None else answer.settled, answer.given
    names = [*outputs, *(f"output_{index}" for index in range(len(outputs), len(wanted)))]
    for index, name in enumerate(names):
        if answer.problem:
            yield name, unlike(f"ONNX Runtime failed: {answer.problem}")
        elif index >= len(wanted) or index >= len(given):
            yield name, unlike(f"missing: {len(given)} outputs where {len(wanted)} were expected")
        else:
            yield (
                name,
                compare(wanted[index], given[index], coarsest, undefined=undefined, largest_of_all=tops[index]),
            )


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
