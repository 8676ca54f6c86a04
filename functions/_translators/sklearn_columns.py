"""Where the numbers of a scikit-learn model's columns lie, told by what it has learnt: no training data are at hand.

A scaler knows mean and spread of every column, an encoder its categories, a forest its thresholds, a support vector
machine some rows themselves. Where nothing tells, numbers are drawn so that each column weighs about as much as others.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy

from functions._translators.columns import Column, columns_like
from functions._translators.probes import threshold_columns
from functions._translators.sklearn_trees import trees_in

Columns = tuple[Column, ...]


def columns_of(model: Any, features: int) -> Columns:
    """What is known of each of the columns that a model takes."""
    found: list[Column | None] = [None] * features
    _learn(model, list(range(features)), found)
    return tuple(column or Column() for column in found)


def _learn(part: Any, indices: Sequence[int], found: list[Column | None]) -> None:
    """Writes down what a part of the model knows of the columns with these indices; who knows first is believed."""
    if hasattr(part, "steps"):
        for _, step in part.steps:
            _learn(step, indices, found)
            if _changes_columns(step, len(indices)):
                return
        return
    if hasattr(part, "transformers_"):
        for name, inner, _ in part.transformers_:
            if not isinstance(inner, str):
                _learn(inner, [indices[index] for index in part._transformer_to_input_indices[name]], found)
        return
    known = _known(part, len(indices))
    for index, column in zip(indices, known, strict=False):
        before = found[index]
        if before is None:
            found[index] = column
        elif column.missing:
            found[index] = replace(before, missing=True)


def _changes_columns(step: Any, width: int) -> bool:
    """Whether what comes after a step is not given the same columns in the same order."""
    keeps = ("Scaler", "Imputer", "OrdinalEncoder", "PowerTransformer", "QuantileTransformer", "MinMax")
    return step not in (None, "passthrough") and not any(word in type(step).__name__ for word in keeps)


def _known(part: Any, width: int) -> Columns:
    for tell in (_categories, _places, _rows, _thresholds, _weights):
        known = tell(part)
        if len(known) == width:
            return known
    members = [
        member
        for name in ("best_estimator_", "estimators_", "calibrated_classifiers_", "estimator")
        for member in numpy.ravel(numpy.array(getattr(part, name, []), dtype=object))
    ]
    told = [known for member in members[:5] if len(known := columns_of(member, width)) == width]
    return told[0] if told else ()


def _categories(part: Any) -> Columns:
    learnt = getattr(part, "categories_", [])
    if any(numpy.asarray(each).dtype.kind not in "iufb" for each in learnt):
        return ()
    return tuple(Column(tuple(float(one) for one in each if one == one), 0.0) for each in learnt)


def _places(part: Any) -> Columns:
    """Centres and spreads of a scaler, an imputer, or a classifier by normal distributions."""
    imputes = "Imputer" in type(part).__name__
    for middle, width in (("mean_", "scale_"), ("center_", "scale_"), ("statistics_", ""), ("theta_", "var_")):
        centres, spreads = (getattr(part, name, None) for name in (middle, width))
        if centres is None or (spreads is None and width):
            continue
        centres = numpy.asarray(centres, dtype="float64")
        spreads = numpy.maximum(numpy.abs(centres), 1.0) if spreads is None else numpy.asarray(spreads)
        if middle == "theta_":
            centres, spreads = centres.mean(axis=0), numpy.sqrt(spreads.mean(axis=0))
        return tuple(
            Column((float(centre),), float(spread) or 1.0, imputes)
            for centre, spread in zip(centres, spreads, strict=True)
        )
    if hasattr(part, "data_min_"):
        limits = zip(part.data_min_, part.data_max_, strict=True)
        return tuple(Column((float(low + high) / 2,), float(high - low) / 4 or 1.0) for low, high in limits)
    return ()


def _rows(part: Any) -> Columns:
    """Columns of the rows that a model by example keeps."""
    for name in ("support_vectors_", "_fit_X", "X_train_", "cluster_centers_", "means_"):
        kept = getattr(part, name, None)
        if isinstance(kept, numpy.ndarray) and kept.ndim == 2 and len(kept):
            return tuple(replace(column, spread=column.spread or 1.0) for column in columns_like(kept))
    return ()


def _thresholds(part: Any) -> Columns:
    trees = trees_in(part)
    return threshold_columns(trees, part.n_features_in_, missing=hasattr(part, "_predictors")) if trees else ()


def _weights(part: Any) -> Columns:
    """Of a weighted sum only what the weights tell: a column with large ones has small numbers."""
    weights = part.coefs_[0].T if hasattr(part, "coefs_") else getattr(part, "coef_", None)
    if not isinstance(weights, numpy.ndarray) or not weights.size:
        return ()
    sizes = numpy.sqrt((numpy.atleast_2d(weights) ** 2).mean(axis=0))
    usual = float(numpy.median(sizes[sizes > 0])) if (sizes > 0).any() else 1.0
    reaches = 2 / numpy.sqrt(len(sizes)) / numpy.maximum(sizes, usual * 1e-3)
    return tuple(Column(spread=float(reach), guessed=True) for reach in reaches)
