"""Evidence: all that somebody needs who checks an asset without us, put together for a bundle.

Of the asset and each of its ancestors: record, authorizations, statements, signatures; and the ledger's proof at one
block. Inventories are left to who asks, since they may be long; each is bound by the digest in its record.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from functions._domain import model_signature, paths, records
from functions._domain.assets import sealing_claim
from functions._domain.authorizations import Authorization, evidence
from functions._domain.digests import canonical
from functions._domain.errors import PolyglotError, RejectedContent
from functions._domain.ports import Contract, Ledger, Signatures, Storage, Wanted
from functions._domain.provenance import Examined, Examiner
from functions._domain.statements import ROLES, Evidence, opened

LATEST = 5
"""How many verifications of each claim are handed out, the latest ones; an asset may be verified every hour."""

VERIFIED = tuple(claim for claim, role in ROLES.items() if role == "verifier")


@dataclass(frozen=True)
class _Part:
    """One asset's evidence; ``statements`` by claim, as the ledger has them."""

    found: Examined
    statements: tuple[tuple[str, Evidence], ...]
    authorizations: tuple[Authorization, ...]

    @property
    def contract(self) -> Contract:
        assert self.found.contract is not None
        return self.found.contract


def gather(storage: Storage, ledger: Ledger, signatures: Signatures, subject: UUID) -> Mapping[str, object]:
    """The evidence of an asset and its ancestors, parents first, with the ledger's proof.

    Raises:
        RejectedContent: it does not hold here either; the message says what is wrong.
    """
    examiner = Examiner(storage, ledger, signatures)
    found = list(examiner.lineage(subject))
    problems = [problem for one in found for problem in one.problems]
    if problems:
        raise RejectedContent(f"{problems[0]}: run `polyglot verify {subject} --level provenance`")
    parts = [_part(examiner, one) for one in parents_first(found)]
    return {
        "subject": str(subject),
        "assets": [_document(storage, part) for part in parts],
        "ledger": ledger.prove(_wanted(parts)),
    }


def parents_first(found: list[Examined]) -> list[Examined]:
    """A lineage in an order in which each asset comes after its parents."""
    known, ordered = {one.id: one for one in found}, dict[UUID, Examined]()

    def visit(one: Examined) -> None:
        for parent in one.contract.parents if one.contract else ():
            if parent in known and parent not in ordered:
                visit(known[parent])
        ordered[one.id] = one

    visit(found[0])
    return list(ordered.values())


def _part(examiner: Examiner, found: Examined) -> _Part:
    assert found.contract is not None
    assert found.statement is not None
    claim = sealing_claim(found.contract.kind, bool(found.contract.parents))
    stored = tuple(records.authorizations(examiner.storage, found.id))
    verifications = sorted(_verifications(examiner, found.id, found.contract, stored), key=statement_order)
    statements = ((claim, found.statement), *verifications)
    needed = sorted(_needed(examiner, found.id, found.contract, statements, stored), key=authorization_order)
    return _Part(found, statements, tuple(needed))


def statement_order(stated: tuple[str, Evidence]) -> tuple[str, str]:
    """In which order a bundle has verifications: by claim, then by digest, so that there is one order only."""
    return stated[0], stated[1].digest


def authorization_order(one: Authorization) -> tuple[bool, str, str]:
    """In which order a bundle has authorizations: the registration first, then by type and digest."""
    return one.message.type != "Registration", one.message.type, one.digest


def _verifications(
    examiner: Examiner, asset: UUID, contract: Contract, stored: tuple[Authorization, ...]
) -> Iterator[tuple[str, Evidence]]:
    """The latest verifications of each claim that the ledger has; what else lies there is passed over."""
    entries = sorted(examiner.storage.list(paths.evidence_prefix(asset)), key=lambda one: (one.modified, one.key))
    for claim in VERIFIED:
        kept = 0
        for entry in reversed(entries):
            name = entry.key.rpartition("/")[2]
            if kept < LATEST and name.startswith(f"{claim}."):
                try:
                    statement = opened(examiner.storage.read(entry.key) or b"")
                    wrong = list(examiner.evidence_problems(asset, contract, claim, statement, stored))
                except PolyglotError:
                    continue
                if not wrong and canonical(json.loads(statement.envelope)) == statement.envelope:
                    kept += 1
                    yield claim, statement


def _needed(
    examiner: Examiner,
    asset: UUID,
    contract: Contract,
    statements: tuple[tuple[str, Evidence], ...],
    stored: tuple[Authorization, ...],
) -> Iterator[Authorization]:
    """The authorizations by which the ledger has the asset and these statements, one for each."""
    claims = {statement.digest: claim for claim, statement in statements}
    for one in stored:
        fields = one.message.fields
        if one.message.type == "Registration" and one.account == contract.authorizer:
            yield one
        elif one.message.type == "Evidence" and fields["claim"] == claims.get(str(fields["statementDigest"])):
            recorded = examiner.ledger.recorded(asset, str(fields["claim"]), str(fields["statementDigest"]))
            if recorded and (one.account, fields["verdict"]) == (recorded.authorizer, recorded.verdict):
                yield one
        elif one.message.type == "Revocation" and contract.revoked:
            revoked = examiner.ledger.revocation(asset)
            if revoked and (one.account, fields["reasonDigest"]) == (revoked.authorizer, revoked.reason_digest):
                yield one


def _wanted(parts: list[_Part]) -> Wanted:
    """What the proof must cover: slots and codes, evidence, and the keys that are bound to whoever signed."""
    messages = [
        evidence(part.found.id, claim, statement.digest, "passed")
        for part in parts
        for claim, statement in part.statements
    ]
    signers = {(one.role, one.account) for part in parts for one in part.authorizations}
    for part in parts:
        signers |= {(ROLES[claim], str(statement.signer["account"])) for claim, statement in part.statements}
    return Wanted(tuple(part.found.id for part in parts), tuple(messages), tuple(sorted(signers)))


def _document(storage: Storage, part: _Part) -> Mapping[str, object]:
    asset, (_, statement) = part.found.id, part.statements[0]
    imported = storage.read(paths.imported_signature_key(asset)) if _came_signed(part) else None
    return {
        "id": str(asset),
        "record": part.found.record,
        "authorizations": [json.loads(one.encode()) for one in part.authorizations],
        "evidence": [
            {"claim": claim, "envelope": json.loads(statement.envelope)} for claim, statement in part.statements
        ],
        "revocation": json.loads(storage.read(paths.revocation_key(asset)) or b"null")
        if part.contract.revoked
        else None,
        "modelSignature": _model_signature(storage, asset, statement),
        "importedSignature": imported.decode() if imported else None,
    }


def _came_signed(part: _Part) -> bool:
    return bool((part.found.record or {}).get("imported_signature"))


def _model_signature(storage: Storage, asset: UUID, statement: Evidence) -> str | None:
    """The part of a model signature that does not follow from inventory and key, in Base64."""
    if statement.predicate["outputs"]["signature"] is None:
        return None
    for key in paths.model_signature_keys(asset, str(statement.signer["publicKey"])):
        found = model_signature.signature_in(storage.open(key))
        if found is not None:
            return base64.b64encode(found).decode()
    return None
