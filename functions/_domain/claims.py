"""Claims: which of them can be verified of an asset, and why the others cannot.

Decided once, when somebody asks, and written into the request: every later step reads it there.
"""

from collections.abc import Mapping
from typing import Any

from functions._domain.assets import Kind
from functions._domain.errors import RejectedConflict

CHECKED = ("integrity", "provenance")
"""Claims that are decided from bytes and ledger alone, of every asset."""
REPRODUCTION = "reproduction"
CLAIMS = (*CHECKED, REPRODUCTION)
"""What this version verifies; ``all`` is each of them that applies."""

ALL = "all"
_UNTRAINED = {
    Kind.DATASET: "a dataset is the input of a training, and not made by one",
    Kind.MODEL: "a model is trained, and its trained model is what can be made again: verify that one",
    Kind.TRANSLATION: "a translation is not trained: verify the trained model that it was made from",
}


def applicable(
    record: Mapping[str, Any] | None, level: str, path: str | None = None
) -> tuple[list[str], dict[str, str]]:
    """The claims of a level that apply to an asset, and for each other one the reason why it does not.

    Args:
        record: the asset's record, None where it cannot be read.
        level: a claim, or ``all``.
        path: the one file that is asked about, if any.

    Raises:
        RejectedConflict: a claim that applies, and that this version does not verify.
    """
    reasons = {claim: _why_not(claim, record, path) for claim in (CLAIMS if level == ALL else (level,))}
    return [claim for claim, why in reasons.items() if not why], {claim: why for claim, why in reasons.items() if why}


def _why_not(claim: str, record: Mapping[str, Any] | None, path: str | None) -> str:
    """Why a claim does not apply; empty where it does."""
    if claim in CHECKED:
        return ""
    kind = Kind(record["kind"]) if record else None
    if claim != REPRODUCTION:
        if kind in (Kind.DATASET, Kind.MODEL):
            return f"a {kind} computes nothing: {claim} is of trained models and their translations"
        raise RejectedConflict(f"this version verifies {', '.join(CLAIMS)}; {claim} comes with a later one")
    if record is None or kind is None:
        return "its record is missing, damaged, or of a newer version, and says what was trained: verify its integrity"
    if path is not None:
        return "a training makes a whole model, and one file was asked about"
    if kind in _UNTRAINED:
        return _UNTRAINED[kind]
    if record["origin"] != "trained":
        return "it was imported: trained elsewhere, by what nobody here knows"
    return ""
