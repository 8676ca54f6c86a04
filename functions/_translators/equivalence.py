"""Measures whether an ONNX model computes what its source computes; knows no framework.

The source is a function from arrays to arrays. It is compared with ONNX Runtime (https://onnxruntime.ai), once with its
graph optimizations off and once on, since each can be wrong alone. Where they differ, ONNX's reference evaluator says
whose answer the ONNX text itself gives. What counts as different is told in ``functions._translators.differences``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.child import refusing
from functions._translators.differences import TOLERANCES, Difference, compare, unlike, verdict
from functions._translators.inputs import FLOATS, Array, Case, Samples, Signature

Run = Callable[[Sequence[Array]], Sequence[Array]]


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


OPTIMIZATIONS = ("off", "on")
PROVIDERS = ("CPUExecutionProvider",)
_REFERENCE_BOUND = 64 * 2**20
_CHUNK = 64


@dataclass(frozen=True)
class Finding:
    """One output of one case under one setting of the optimizations."""

    output: str
    case: str
    difference: Difference


@dataclass(frozen=True)
class Rows:
    """What both sides made of the samples, each output for all rows; ``problem`` where the ONNX side failed."""

    source: Sequence[Array]
    onnx: Sequence[Array]
    problem: str = ""


def measure(model: Path, run_source: Run, cases: Sequence[Case], samples: Samples | None) -> dict[str, object]:
    """The measured part of a translation report.

    Args:
        model: the ONNX file.
        run_source: the source, in the order of the ONNX model; raises where it takes no such sizes.
        cases: what to feed; at least one must be taken by the source.
        samples: rows of the training's own data, which give the task metric where they have labels.

    Raises:
        RejectedContent: the source itself takes none of the cases.
    """
    expected, skipped = _expected(run_source, cases)
    if not expected:
        raise RejectedContent(f"the model itself refuses every input that its signature allows: {skipped[0]['reason']}")
    with refusing("ONNX Runtime cannot load the exported model", "ask for another opset, or use other operators"):
        findings = _findings(
            Session(model, "off"), expected
        )  # gone before the next: two copies of the weights are many
        session = Session(model, "on")
    findings += _findings(session, expected)
    rows = Rows([], []) if samples is None else _on_samples(run_source, session, samples)
    findings += _sample_findings(session.outputs, rows)
    return {
        "verdict": verdict([finding.difference for finding in findings]),
        "figures": {name: _figures(name, findings) for name in dict.fromkeys(finding.output for finding in findings)},
        "cases": len(expected),
        "skipped": skipped,
        "samples": len(rows.source[0]) if rows.source else 0,
        "top1_agreement": _top1(rows, samples, expected, session),
        "metric": _metric(rows, samples),
        "tie_break": _tie_break(model, findings, expected),
        "tolerance": {name: dict(values) for name, values in TOLERANCES.items()},
        "providers": list(PROVIDERS),
        "optimizations": list(OPTIMIZATIONS),
    }


class Session:
    """ONNX Runtime with a model, optimizations off or on; called like the source."""

    def __init__(self, model: Path, optimizations: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimizations == "on" else levels.ORT_DISABLE_ALL
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model), options, providers=list(PROVIDERS))
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


def _findings(session: Session, expected: Sequence[tuple[Case, list[Array]]]) -> list[Finding]:
    return [
        Finding(name, case.name, difference)
        for case, wanted in expected
        for name, difference in _run_and_compare(session, case, wanted)
    ]


def _run_and_compare(session: Session, case: Case, wanted: Sequence[Array]) -> Iterator[tuple[str, Difference]]:
    try:
        given = session(case.arrays)
    except Exception as error:  # noqa: BLE001  that it fails where the source does not is what is being measured
        reason = " ".join(str(error).split())[:300]
        yield from ((name, unlike(f"ONNX Runtime failed: {reason}")) for name in session.outputs)
        return
    names = [*session.outputs, *(f"output_{index}" for index in range(len(session.outputs), len(wanted)))]
    for index, name in enumerate(names):
        if index >= len(wanted) or index >= len(given):
            yield name, unlike(f"missing: {len(given)} outputs where {len(wanted)} were expected")
        else:
            yield name, compare(wanted[index], given[index])


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


def _on_samples(run_source: Run, session: Session, samples: Samples) -> Rows:
    """Both on all rows, in chunks; one at a time where the model takes one; nothing where the source takes neither."""
    for size in (_CHUNK, 1):
        try:
            source = _chunked(run_source, samples, size)
        except Exception:  # noqa: BLE001, S112  the batch size is fixed: try the next one, then do without
            continue
        try:
            return Rows(source, _chunked(session, samples, size))
        except Exception as error:  # noqa: BLE001  that it fails where the source does not is a finding
            return Rows(source, [], " ".join(str(error).split())[:300])
    return Rows([], [])


def _chunked(run: Run, samples: Samples, size: int) -> list[Array]:
    parts = [run([rows[start : start + size] for rows in samples.arrays]) for start in range(0, samples.rows, size)]
    return [numpy.concatenate(pieces) for pieces in zip(*parts, strict=True)]


def _sample_findings(names: Sequence[str], rows: Rows) -> list[Finding]:
    if rows.problem:
        return [Finding(name, "samples", unlike(f"ONNX Runtime failed: {rows.problem}")) for name in names]
    return [
        Finding(name, "samples", compare(wanted, given))
        for name, wanted, given in zip(names, rows.source, rows.onnx, strict=False)
    ]


def _is_scores(output: Array) -> bool:
    return output.dtype.name in FLOATS and output.ndim == 2 and output.shape[1] > 1


def _top1(
    rows: Rows,
    samples: Samples | None,
    expected: Sequence[tuple[Case, list[Array]]],
    session: Session,
) -> float | None:
    """How often both choose the same class, on the samples, or else on the drawn inputs; None for no classifier."""
    if samples and samples.labels is not None and samples.labels.dtype.kind not in "iub":
        return None
    pairs = [(rows.source[0], rows.onnx[0])] if rows.source and rows.onnx else []
    if not pairs:
        scored = [(case, wanted[0]) for case, wanted in expected if wanted and _is_scores(wanted[0])]
        pairs = [(wanted, given) for case, wanted in scored for given in _first_output(session, case)]
    pairs = [(wanted, given) for wanted, given in pairs if _is_scores(wanted) and wanted.shape == given.shape]
    total = sum(len(wanted) for wanted, _ in pairs)
    same = sum(int((wanted.argmax(1) == given.argmax(1)).sum()) for wanted, given in pairs)
    return same / total if total else None


def _first_output(session: Session, case: Case) -> list[Array]:
    with suppress(Exception):  # that it fails was found before
        return session(case.arrays)[:1]
    return []


def _metric(rows: Rows, samples: Samples | None) -> dict[str, object] | None:
    """Accuracy or root mean square error on the labelled samples, before and after; None where there are no labels."""
    if not samples or samples.labels is None or not rows.source or not rows.onnx:
        return None
    kind = "accuracy" if samples.labels.dtype.kind in "iub" else "rmse"
    before, after = (_score(kind, outputs[0], samples.labels) for outputs in (rows.source, rows.onnx))
    if before is None or after is None:
        return None
    return {"name": kind, "rows": samples.rows, "source": before, "onnx": after}


def _score(kind: str, output: Array, labels: Array) -> float | None:
    if kind == "accuracy":
        return float((output.argmax(1) == labels.reshape(-1)).mean()) if _is_scores(output) else None
    if output.size != labels.size:
        return None
    value = float(numpy.sqrt(numpy.mean((output.reshape(-1).astype("float64") - labels.reshape(-1)) ** 2)))
    return value if math.isfinite(value) else None


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
