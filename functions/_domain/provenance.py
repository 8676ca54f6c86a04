"""Provenance: an asset's lineage up to its datasets, judged from ledger, records, authorizations and statements.

The same examination serves ``verify`` on the platform and ``polyglot check`` far from it: storage may be a bucket or
a bundle, the ledger a node or a proof.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from functions._domain import consistency, paths, records, revocation
from functions._domain.assets import Kind, sealing_claim
from functions._domain.authorizations import Authorization, Message, registration
from functions._domain.errors import RejectedContent, UnavailableNewer
from functions._domain.ports import Contract, Grant, LedgerReader, Reader, Recorded, Signatures
from functions._domain.statements import PREDICATES, ROLES, Evidence, opened, verdict_of
from functions._domain.verification import SHOWN, Finding, record_problems


@dataclass(frozen=True)
class Examined:
    """What was found of one asset: what is wrong, what a reader should know, and the sealing step's statement."""

    id: UUID
    contract: Contract | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] | None = None
    statement: Evidence | None = None


def provenance(storage: Reader, ledger: LedgerReader, asset: UUID, signatures: Signatures) -> Finding:
    """Check an asset's lineage up to its datasets: ledger, roles, authorizations and signed statements."""
    found = list(Examiner(storage, ledger, signatures).lineage(asset))
    checked = {"assets": [str(one.id) for one in found if one.contract]}
    problems = [problem for one in found for problem in one.problems]
    if problems:
        return Finding("failed", tuple(problems[:SHOWN]), checked)
    notes = [note for one in found for note in one.notes]
    return Finding("passed", (f"{len(found)} assets, each authorized by its role's key", *notes), checked)


@dataclass(frozen=True)
class Examiner:
    """Looks at assets, one by one or with all their ancestors."""

    storage: Reader
    ledger: LedgerReader
    signatures: Signatures

    @cached_property
    def grants(self) -> Sequence[Grant]:
        """The history of role keys."""
        return self.ledger.grants()

    def lineage(self, asset: UUID) -> Iterator[Examined]:
        """An asset, then its ancestors, each once."""
        seen, todo = set[UUID](), [asset]
        while todo:
            current = todo.pop(0)
            if current not in seen:
                seen.add(current)
                found = self.one(current)
                yield found
                todo.extend(found.contract.parents if found.contract else ())

    def one(self, asset: UUID) -> Examined:
        """One asset.

        Raises:
            UnavailableNewer: a newer platform wrote what the ledger has of it.
        """
        contract = self.ledger.find(asset)
        if contract is None:
            return Examined(asset, None, (f"{asset} is not on the ledger",))
        stored = tuple(records.authorizations(self.storage, asset))
        problems = list(self._registration_problems(asset, contract, stored))
        revoked, wrong = self._revocation(asset, contract, stored)
        problems += [wrong, revoked.problem if revoked else ""]
        record, wrong = self._record(asset, contract)
        if record is None:
            return Examined(asset, contract, self._named(asset, contract, [*problems, wrong]))
        claim = sealing_claim(contract.kind, bool(contract.parents))
        statement, wrong = self._statement(asset, claim)
        if statement is None:
            problems.append(wrong)
        else:
            problems += self.evidence_problems(asset, contract, claim, statement, stored)
            problems += consistency.problems(self, asset, contract, record, claim, statement)
        named = self._named(asset, contract, problems)
        return Examined(asset, contract, named, tuple(_notes(asset, contract, record, revoked)), record, statement)

    def _named(self, asset: UUID, contract: Contract, problems: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{contract.kind} {asset}: {problem}" for problem in problems if problem)

    def _registration_problems(self, asset: UUID, contract: Contract, stored: Sequence[Authorization]) -> Iterator[str]:
        yield from record_problems(self.storage, asset, contract)
        role = ROLES[sealing_claim(contract.kind, bool(contract.parents))]
        if not self.held(role, contract.authorizer, contract.registered_at):
            yield f"{contract.authorizer} did not hold the role {role} when it was registered"
        message = registration(
            asset, contract.kind.number, contract.inventory_digest, contract.record_digest, contract.parents
        )
        if not any(one.message == message and self.is_by(one, role, contract.authorizer) for one in stored):
            yield f"missing: the authorization of its registration, signed by {contract.authorizer}"

    def _record(self, asset: UUID, contract: Contract) -> tuple[Mapping[str, Any] | None, str]:
        try:
            record = records.of_asset(self.storage, asset)
        except RejectedContent as error:
            return None, str(error)
        except UnavailableNewer:
            if any(record_problems(self.storage, asset, contract)):
                return None, ""  # anybody can write a number into it; the ledger does not know this record
            raise
        if record is None or [UUID(one) for one in record["parents"]] != list(contract.parents):
            return None, "its record and the ledger name different parents"
        if (record["kind"], record["inventory"]["digest"]) != (contract.kind, contract.inventory_digest):
            return None, "its record and the ledger name another kind or inventory"
        return record, ""

    def _statement(self, asset: UUID, claim: str) -> tuple[Evidence | None, str]:
        """The statement that the sealing step left, or what is wrong with it."""
        name = f"evidence/{claim}.{asset}.json"
        envelope = self.storage.read(paths.evidence_key(asset, claim, str(asset)))
        if envelope is None:
            return None, f"missing: {name}"
        try:
            found = opened(envelope)
        except RejectedContent as error:
            return None, f"changed: {name} ({error})"
        except UnavailableNewer:
            if self.ledger.recorded(asset, claim, Evidence(envelope, {}).digest):
                raise
            return None, f"changed: {name} is not the statement on the ledger"
        if self.ledger.recorded(asset, claim, found.digest) is None:
            return None, f"changed: {name} is not the statement on the ledger"
        return found, ""

    def evidence_problems(
        self, asset: UUID, contract: Contract, claim: str, found: Evidence, stored: Sequence[Authorization]
    ) -> Iterator[str]:
        """What is wrong with a statement about an asset, whatever it says: ledger entry, subject, signatures."""
        recorded, role = self.ledger.recorded(asset, claim, found.digest), ROLES[claim]
        if recorded is None:
            yield f"the {claim} statement is not on the ledger"
            return
        if not self.held(role, recorded.authorizer, recorded.time):
            yield f"{recorded.authorizer} did not hold the role {role} when its {claim} statement was recorded"
        if found.subject_digest != contract.inventory_digest or found.subject_name != f"{asset}/inventory.jsonl":
            yield f"the {claim} statement is about other files"
        if found.document["predicateType"] != PREDICATES[claim]:
            yield f"the {claim} statement is of type {found.document['predicateType']!r}"
        if verdict_of(claim, found.predicate) != recorded.verdict:
            yield f"the {claim} statement's verdict is not the ledger's"
        if not any(self._asks_for(one, asset, claim, found, recorded) for one in stored):
            yield f"missing: the authorization of its {claim} statement, signed by {recorded.authorizer}"
        yield from self._signer_problems(found, claim, role, recorded)

    def _asks_for(self, one: Authorization, asset: UUID, claim: str, found: Evidence, recorded: Recorded) -> bool:
        fields = {"subject": str(asset), "claim": claim, "statementDigest": found.digest, "verdict": recorded.verdict}
        return one.message == Message("Evidence", fields) and self.is_by(one, ROLES[claim], recorded.authorizer)

    def _signer_problems(self, found: Evidence, claim: str, role: str, recorded: Recorded) -> Iterator[str]:
        signer = found.signer
        account, public_key = signer.get("account"), str(signer.get("publicKey", ""))
        bound = {
            grant.signing_key_digest
            for grant in self.grants
            if (grant.appointed, grant.role, grant.account) == (True, role, account) and grant.time <= recorded.time
        }
        if not bound or signer.get("role") != role or not self.signatures.is_signed(found.envelope, public_key):
            yield f"the {claim} statement's signature does not hold"
        elif self.signatures.key_digest(public_key) not in bound:
            yield f"the {claim} statement is signed by a key that the ledger does not bind to {account}"

    def held(self, role: str, account: str, time: int) -> bool:
        """Whether an account held a role at a time, in seconds since 1970."""
        held = False
        for grant in self.grants:
            if grant.role == role and grant.account == account and grant.time <= time:
                held = grant.appointed
        return held

    def is_by(self, one: Authorization, role: str, account: str) -> bool:
        """Whether an authorization was signed for this ledger, in a role, by an account."""
        if (one.role, one.account, one.chain_id) != (role, account, self.ledger.chain_id):
            return False
        contract = self.ledger.evidence_log if one.message.type == "Evidence" else self.ledger.address
        try:
            return one.contract == contract and self.signatures.account_of(one) == account
        except RejectedContent:
            return False

    def _revocation(
        self, asset: UUID, contract: Contract, stored: Sequence[Authorization]
    ) -> tuple[revocation.Told | None, str]:
        """What is told of an asset's revocation, and what is wrong with who signed it."""
        if not contract.revoked:
            return None, ""
        event = self.ledger.revocation(asset)
        registrars = {grant.account for grant in self.grants if grant.role == "registrar" and grant.appointed}
        signed = [
            str(one.message.fields["reasonDigest"])
            for one in stored
            if one.message.type == "Revocation" and one.account in registrars
            if event is None
            or (one.account, one.message.fields["reasonDigest"]) == (event.authorizer, event.reason_digest)
            if self.is_by(one, "registrar", one.account)
        ]
        told = revocation.told(self.storage, self.ledger, asset, contract, signed[0] if signed else "")
        return told, "" if signed else "missing: the authorization of its revocation"


def _notes(
    asset: UUID, contract: Contract, record: Mapping[str, Any], revoked: revocation.Told | None
) -> Iterator[str]:
    if revoked is not None:
        yield f"{contract.kind} {asset} was {revoked}"
    if contract.kind is Kind.TRAINED_MODEL and not contract.parents:
        yield f"{contract.kind} {asset} was imported: trained elsewhere, attested by nobody"
    if record.get("imported_signature"):
        yield f"{contract.kind} {asset} came with an OpenSSF signature of a key that is not of this platform"
