"""The report of a check: for a person, and as a document for a script. It says what it trusted, and claims no more."""

from collections.abc import Iterator

from functions._cli.check.claims import Claim, claims, moment
from functions._cli.check.verdict import Checked, kind_of
from functions._cli.output import short

SHOWN = 50
"""The most findings that are written out; the rest are counted."""

ANCHORED, UNANCHORED, BROKEN = (
    "consistent, independently anchored",
    "consistent, not independently anchored",
    "NOT consistent",
)


def verdict(checked: Checked) -> str:
    """The check in a few words."""
    if not checked.is_consistent:
        return BROKEN
    return ANCHORED if checked.anchor and checked.anchor.is_independent else UNANCHORED


def text(checked: Checked) -> str:
    """The report for a person."""
    return "\n".join(_lines(checked))


def _lines(checked: Checked) -> Iterator[str]:
    if checked.problems:
        yield f"{checked.subject}: {BROKEN}; nothing is claimed of it"
        yield from (f"  ✗ {problem}" for problem in checked.problems[:SHOWN])
        if len(checked.problems) > SHOWN:
            yield f"  … and {len(checked.problems) - SHOWN} more"
        return
    subject = checked.lineage[-1]
    yield f"{kind_of(subject)} {(subject.record or {}).get('name', '')} {subject.id}"
    yield from (f"  ! {note}" for one in checked.lineage for note in one.notes)
    for claim in claims(checked):
        yield from _claim_lines(claim)
    yield from _verification_lines(checked)
    yield from _trust_lines(checked)
    yield f"verdict: {verdict(checked)}"


def _claim_lines(claim: Claim) -> Iterator[str]:
    yield ""
    yield f"{claim.text}: {claim.how}"
    yield from (f"  {reason}" for reason in claim.reasons[:SHOWN])
    if len(claim.reasons) > SHOWN:
        yield f"  … and {len(claim.reasons) - SHOWN} more"


def _verification_lines(checked: Checked) -> Iterator[str]:
    if checked.verifications:
        yield ""
        yield "verified by the platform before (what it did not hand out is not seen here)"
    for one in checked.verifications:
        said = one.statement.predicate
        yield f"  {moment(one.time)}  {one.claim}: {said.get('verdict')}  {'; '.join(said.get('findings', [])[:2])}"


def _trust_lines(checked: Checked) -> Iterator[str]:
    assert checked.ledger is not None
    assert checked.anchor is not None
    ledger = checked.ledger
    yield ""
    yield "what this rests on"
    yield f"  ledger {ledger.address} on chain {ledger.chain_id}, code {ledger.code_hashes['AssetLedger']}"
    yield f"  {checked.anchor.text}, of {moment(ledger.block.timestamp)}"
    where = (
        "the trust file knows of each"
        if checked.trust
        else "the ledger's state has a key for each; since when is not in it"
    )
    yield f"  roles, of which {where}:"
    yield from (f"    {role} {account}" for role, account in checked.signers)


def document(checked: Checked) -> dict[str, object]:
    """The report for a script."""
    sound = not checked.problems
    files = checked.files and {
        "problems": list(checked.files.problems),
        "files": checked.files.files,
        "bytes": checked.files.size,
    }
    return {
        "subject": checked.subject,
        "verdict": verdict(checked),
        "consistent": checked.is_consistent,
        "independently_anchored": bool(sound and checked.anchor and checked.anchor.is_independent),
        "problems": list(checked.problems),
        "notes": [note for one in checked.lineage for note in one.notes],
        "files": files,
        "claims": [
            {"claim": one.text, "how": one.how, "reasons": list(one.reasons)}
            for one in (claims(checked) if sound else ())
        ],
        "lineage": [
            {"id": str(one.id), "kind": one.contract.kind, "contract": one.contract.address}
            for one in checked.lineage
            if one.contract
        ],
        "trusted": trusted(checked),
    }


def trusted(checked: Checked) -> dict[str, object]:
    """What a check rests on; empty where the bundle did not even come so far."""
    ledger, anchor = checked.ledger, checked.anchor
    if ledger is None or anchor is None:
        return {}
    return {
        "chain_id": ledger.chain_id,
        "ledger": {"address": ledger.address, "code_hash": ledger.code_hashes["AssetLedger"]},
        "block": {"number": ledger.block.number, "hash": ledger.block.hash},
        "block_from": anchor.source,
        "roles": [{"role": role, "account": account} for role, account in checked.signers],
        "trust_file": checked.trust is not None,
    }


def summary(checked: Checked) -> str:
    """One line for stderr."""
    return f"{short(checked.subject)}: {verdict(checked)}"
