"""Claims: which of them can be verified of an asset, and why the others cannot.

Decided once, when somebody asks, and written into the request: every later step reads it there.
"""

from collections.abc import Callable, Mapping
from typing import Any

from functions._domain.assets import Kind

Measures = Callable[[str, str], bool]
"""Whether a framework's models can be measured on an accelerator here."""

CHECKED = ("integrity", "provenance")
"""Claims that are decided from bytes and ledger alone, of every asset."""
REPRODUCTION, EQUIVALENCE = "reproduction", "equivalence"
CLAIMS = (*CHECKED, REPRODUCTION, EQUIVALENCE)
"""What this version verifies; ``all`` is each of them that applies."""

ALL = "all"
_UNTRAINED = {
    Kind.DATASET: "a dataset is the input of a training, and not made by one",
    Kind.MODEL: "a model is trained, and its trained model is what can be made again: verify that one",
    Kind.TRANSLATION: "a translation is not trained: verify the trained model that it was made from",
}


def applicable(
    record: Mapping[str, Any] | None, level: str, measures: Measures, path: str | None = None
) -> tuple[list[str], dict[str, str]]:
    """The claims of a level that apply to an asset, and for each other one the reason why it does not.

    Args:
        record: the asset's record, None where it cannot be read.
        level: a claim, or ``all``.
        measures: whether translations of a framework's models can be measured here.
        path: the one file that is asked about, if any.
    """
    reasons = {claim: _why_not(claim, record, measures, path) for claim in (CLAIMS if level == ALL else (level,))}
    return [claim for claim, why in reasons.items() if not why], {claim: why for claim, why in reasons.items() if why}


def _why_not(claim: str, record: Mapping[str, Any] | None, measures: Measures, path: str | None) -> str:
    """Why a claim does not apply; empty where it does."""
    if claim in CHECKED:
        return ""
    if record is None:
        return "its record is missing, damaged, or of a newer version, and says what it is: verify its integrity"
    if path is not None:
        return f"{claim} is of a whole model, and one file was asked about"
    return _not_equivalent(record, measures) if claim == EQUIVALENCE else _not_reproducible(record)


def _not_equivalent(record: Mapping[str, Any], measures: Measures) -> str:
    kind = Kind(record["kind"])
    if kind is not Kind.TRANSLATION:
        return f"a {kind} is no translation: verify the translation that was made of a trained model"
    framework = str(record["from"]["framework"])
    return "" if measures(framework, "none") else f"no verifier for {framework} models is declared on this platform"


def _not_reproducible(record: Mapping[str, Any]) -> str:
    kind = Kind(record["kind"])
    if kind in _UNTRAINED:
        return _UNTRAINED[kind]
    if record["origin"] != "trained":
        return "it was imported: trained elsewhere, by what nobody here knows"
    return ""


def equivalence_filters(record: Mapping[str, Any]) -> dict[str, str]:
    """The attributes of the event that has a translation measured again, by which its verifier is found."""
    return {"framework": str(record["from"]["framework"]), "accelerator": "none"}
