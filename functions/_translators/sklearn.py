"""Translates scikit-learn: skops files, read by ``sklearn_archive`` and written by skl2onnx in ``sklearn_export``.

python -I -m functions._translators.sklearn SOURCE TARGET OPTIONS.json
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._domain.formats import Format
from functions._translators import sklearn_archive
from functions._translators.child import Options, main, refusing
from functions._translators.columns import columns_like, draw_table
from functions._translators.equivalence import Source
from functions._translators.exporting import Framework
from functions._translators.flips import STEP, TIE
from functions._translators.inputs import Array, Case, Input, Signature, sample_arrays
from functions._translators.sklearn_columns import Columns, columns_of
from functions._translators.sklearn_export import INPUT, exporter
from functions._translators.sklearn_model import answers_of
from functions._translators.sklearn_trees import split_rows, trees_in

SIZES = {"batch": (1, 3, 256)}


def read(folder: Path, known: Format, options: Options) -> Source:
    """A loaded scikit-learn model. Raises RejectedContent where it cannot be read or measured."""
    model = sklearn_archive.load(folder / known.main)
    features = getattr(model, "n_features_in_", 0)
    if not features:
        raise RejectedContent(f"it was never fitted, or does not take a table of numbers: {sklearn_archive.AGAIN}")
    _settle(model)
    generator = numpy.random.default_rng(options.seed)
    with refusing("the model does not answer", _ADVICE):
        answers = answers_of(model)
        columns = _columns(folder, model, features)
        try:
            answers.run([_example(generator, columns)])
        except ValueError:  # some models take logarithms, or count
            columns = tuple(replace(column, positive=True) for column in columns)
        example = _example(generator, columns)
        answers.run([example])
    return Source(
        answers.run,
        Signature((Input(INPUT, "float32", ("batch", features), columns=columns),), SIZES),
        _split_cases(model, columns, generator),
        "skl2onnx",
        exporter(model, answers, example),
        choice=answers.choice,
        flips=(TIE,) if trees_in(model) else (TIE, STEP),
    )


def _example(generator: numpy.random.Generator, columns: Columns) -> Array:
    return draw_table(generator, columns, 2, "normal").astype("float32")


_ADVICE = (
    "it must take a table of numbers, so encode text before it; and its scikit-learn must be about as new as this one"
)


def _settle(model: Any) -> None:
    """Takes out what matters to training, or to tables with names, and would only be in the way here."""
    for part in sklearn_archive.parts(model):
        vars(part).pop("_sklearn_output_config", None)
        vars(part).pop("feature_names_in_", None)
        if hasattr(part, "flatten_transform"):
            part.flatten_transform = False
        if hasattr(part, "transformers_"):
            part.transformers_ = [
                (name, inner, part._transformer_to_input_indices.get(name, [])) for name, inner, _ in part.transformers_
            ]


def _columns(folder: Path, model: Any, features: int) -> Columns:
    """From samples that the training left, or else from what the model has learnt."""
    rows = {**sample_arrays(folder)}
    table = rows.get(INPUT, rows.get("inputs"))
    if table is not None and table.ndim == 2 and table.shape[1] == features and len(table):
        return columns_like(table)
    return columns_of(model, features)


def _split_cases(model: Any, columns: Columns, generator: numpy.random.Generator) -> tuple[Case, ...]:
    try:
        rows: Array = split_rows(model, columns, generator)
    except RejectedContent:
        raise
    except Exception:  # noqa: BLE001  a transformer has no way back: then numbers are drawn, and no more
        return ()
    return (Case("both sides of its splits", (rows,)),) if len(rows) else ()


SKLEARN = Framework(
    "sklearn", "scikit-learn", tuple(range(13, 23)), ("scikit-learn", "scipy", "skl2onnx", "skops"), read
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], SKLEARN.translate))
