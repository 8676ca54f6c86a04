"""Translates ONNX itself: passed through as it is, or converted to another opset by ``onnx.version_converter``.

What is passed through is the same bytes, and still checked and measured: the result against the original, run by ONNX's
reference evaluator where it can and agrees with ONNX Runtime, or else by ONNX Runtime with its optimizations off.

    python -I -m functions._translators.onnx SOURCE TARGET OPTIONS.json
"""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._domain.formats import Format
from functions._translators import onnx_archive
from functions._translators.child import Options, main, refusing
from functions._translators.differences import compare
from functions._translators.equivalence import Run, Source
from functions._translators.exporting import Framework
from functions._translators.flips import Choice
from functions._translators.inputs import Array, Case, Signature, draw
from functions._translators.onnx_archive import Archive
from functions._translators.onnx_inputs import signature_of, split_cases
from functions._translators.runtime import Session

OPSETS = tuple(range(7, 27))
_ONE_FILE_BOUND = 1_900_000_000
_REFERENCE_SIZE, _REFERENCE_SECONDS = 64 * 2**20, 2.0
"""The reference evaluator is written in Python."""


def read(folder: Path, known: Format, options: Options) -> Source:
    """A loaded ONNX model. Raises RejectedContent where it cannot be read or measured."""
    archive = onnx_archive.load(folder / known.main)
    with refusing("ONNX Runtime cannot load this model", "export it again, for the opset 7 or a later one"):
        session = Session(archive.path, "off")
    signature = signature_of(archive.model, lambda case: _answers(session, case) is not None)
    reference = _reference(archive, session, signature, options.seed)
    label = archive.model.graph.output[0].name if len(archive.model.graph.output) > 1 else ""
    return Source(
        reference or session,
        signature,
        split_cases(archive.model, signature, numpy.random.default_rng(options.seed)),
        "passed through" if options.opset in (None, archive.opset) else "onnx.version_converter",
        _exporter(archive),
        opset=archive.opset,
        choice=Choice() if "label" in label else None,
        runner="ONNX's reference evaluator" if reference else "ONNX Runtime",
    )


def _answers(run: Run, case: Case) -> list[Array] | None:
    try:
        return [numpy.asarray(array) for array in run(case.arrays)]
    except Exception:  # noqa: BLE001  a model may refuse sizes that its signature leaves open
        return None


def _reference(archive: Archive, session: Session, signature: Signature, seed: int) -> Run | None:
    """The reference evaluator, where it has all operators, is quick enough, and agrees with the runtime."""
    import onnx.reference

    if archive.size > _REFERENCE_SIZE or any(node.domain == "ai.onnx.ml" for node in onnx_archive.nodes(archive.model)):
        return None  # trees are evaluated row by row
    try:
        evaluator = onnx.reference.ReferenceEvaluator(str(archive.path))
    except Exception:  # noqa: BLE001  it lacks some operators
        return None

    def run(arrays: Sequence[Array]) -> list[Array]:
        return [numpy.asarray(array) for array in evaluator.run(None, dict(zip(session.inputs, arrays, strict=True)))]

    started = time.monotonic()
    for case in draw(signature, seed):
        given = _answers(session, case)
        if given is not None and not _agree(_answers(run, case), given):
            return None
        if time.monotonic() - started > _REFERENCE_SECONDS:
            return None
    return run


def _agree(wanted: list[Array] | None, given: list[Array]) -> bool:
    alike = wanted is not None and len(wanted) == len(given)
    return alike and all(compare(*pair).within for pair in zip(wanted or (), given, strict=True))


def _exporter(archive: Archive) -> Callable[[Path, int], int]:
    def export(path: Path, opset: int) -> int:
        if opset == archive.opset:
            shutil.copyfile(archive.path, path)
            for name in archive.weights:
                (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(archive.path.parent / name, path.parent / name)
        else:
            _convert(archive, path, opset)
        return opset

    return export


def _convert(archive: Archive, path: Path, opset: int) -> None:
    import onnx
    from onnx import version_converter

    if archive.size > _ONE_FILE_BOUND:
        raise RejectedContent("it is too large for ONNX's converter of opsets: translate it without asking for one")
    model: Any = onnx.load(str(archive.path))
    converted = version_converter.convert_version(model, opset)
    least = onnx.helper.find_min_ir_version_for(converted.opset_import)
    converted.ir_version = max(model.ir_version, least)
    onnx.save(converted, str(path))


ONNX = Framework("onnx", "ONNX", OPSETS, (), read)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], ONNX.translate))
