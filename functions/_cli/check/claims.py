"""The claims of the product, each with how it is known here: proved, attested, measured, reproduced, or not at all.

Only what was checked is claimed; what was not looked at is said to be so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from functions._cli.check.verdict import Checked, kind_of
from functions._cli.output import counted, short
from functions._domain.assets import Kind
from functions._domain.model_signature import hint_of
from functions._domain.provenance import Examined

PROVED, ATTESTED, MEASURED, REPRODUCED = "proved", "attested", "measured", "reproduced"
REFUTED, UNSEEN, UNCLAIMED = "refuted", "not looked at", "not claimed"


@dataclass(frozen=True)
class Claim:
    """One claim: its words, how it is known, and what that rests on."""

    text: str
    how: str
    reasons: tuple[str, ...]


def claims(checked: Checked) -> list[Claim]:
    """What can be claimed of a consistent bundle's subject."""
    subject, found = checked.lineage[-1], [_bytes(checked), _lineage(checked)]
    trained = next((one for one in reversed(checked.lineage) if kind_of(one) is Kind.TRAINED_MODEL), None)
    if trained is not None:
        found.append(_training(trained, checked))
    if kind_of(subject) is Kind.TRANSLATION:
        found.append(_translation(subject))
    if trained is not None:
        found.append(Claim("this inference came from that model", UNCLAIMED, ("nothing in a bundle shows it",)))
    return found


def _bytes(checked: Checked) -> Claim:
    text, subject = "these bytes are what was registered", checked.lineage[-1]
    assert subject.contract is not None
    expected = f"the ledger holds the inventory {subject.contract.inventory_digest}"
    if kind_of(subject) is Kind.MODEL:
        return Claim(text, PROVED, ("a model is its record, and has no files of its own",))
    if checked.files is None:
        return Claim(text, UNSEEN, ("give --files DIR, as `polyglot pull` writes it", expected))
    if checked.files.problems:
        return Claim(text, REFUTED, checked.files.problems)
    return Claim(text, PROVED, (f"{counted(checked.files.files, checked.files.size)}, every one as in it", expected))


def _lineage(checked: Checked) -> Claim:
    reasons = tuple(_registered(one) for one in checked.lineage)
    return Claim("this is the lineage; nothing was changed since", PROVED, reasons)


def _registered(one: Examined) -> str:
    assert one.contract is not None
    name = (one.record or {}).get("name", "")
    when = moment(one.contract.registered_at)
    return f"{one.contract.kind} {name} {short(one.id)}, registered {when} on the word of {one.contract.authorizer}"


def _training(trained: Examined, checked: Checked) -> Claim:
    assert trained.contract is not None
    assert trained.statement is not None
    text = "trained from that dataset by that image with these settings"
    if not trained.contract.parents:
        return Claim(f"{text} ({short(trained.id)})", UNCLAIMED, tuple(_imported(trained)))
    reasons = tuple(_attested(trained.statement.predicate, trained.statement.signer))
    agreed = [one for one in checked.verifications if _has_reproduced(one.statement.predicate, one.claim)]
    if agreed and trained is checked.lineage[-1]:
        last = agreed[0]
        classes = f"{last.statement.predicate['class']}, recorded {moment(last.time)}"
        return Claim(text, f"{ATTESTED}, {REPRODUCED}", (f"a retraining agreed: {classes}", *reasons))
    return Claim(text, ATTESTED, reasons)


def _has_reproduced(predicate: Mapping[str, Any], claim: str) -> bool:
    return claim == "reproduction" and predicate.get("verdict") in ("passed", "within-tolerance")


def _imported(trained: Examined) -> Iterator[str]:
    yield "imported: trained elsewhere, attested by nobody"
    signature = (trained.record or {}).get("imported_signature")
    if signature:
        key = hint_of(str(signature["key"]))[:16]
        yield f"an OpenSSF signature of exactly these files holds, of the key {key}…; whose that is, is for you to know"


def _attested(said: Mapping[str, Any], signer: Mapping[str, Any]) -> Iterator[str]:
    build = said["buildDefinition"]
    asked, inside = build["externalParameters"], build["internalParameters"]
    yield f"by the trainer {signer['account']}"
    yield f"image {asked['image']}, command {' '.join(asked['command'])}"
    settings = ", ".join(f"{name}={value}" for name, value in sorted(asked["hyperparameters"].items()))
    yield f"settings {settings or 'none'}"
    yield from (f"dataset policy of {short(one['dataset'])}: {one['rule']}, allowed" for one in inside["policy"])
    yield f"isolation in force: {', '.join(_flat(inside['isolation'])) or 'none stated'}"


def _flat(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in sorted(values.items()):
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield f"{name.replace('_', ' ')} {value}"


def _translation(subject: Examined) -> Claim:
    assert subject.statement is not None
    text, report = "the ONNX model computes the same", subject.statement.predicate["report"]
    how = MEASURED if report["verdict"] != "not-equal" else f"{MEASURED}: NOT EQUAL"
    figures = [
        f"{name}: largest error {one['max_abs']} absolute, {one['max_rel']} relative"
        for name, one in sorted(report.get("figures", {}).items())
    ]
    by = f"by the translator {subject.statement.signer['account']}, opset {report['opset']}"
    return Claim(text, how, (f"{report['verdict']}", by, *figures))


def moment(seconds: int) -> str:
    """A block's time for a person."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
