"""``ProvenLedger``: the reading side of the ledger out of a document alone, with no node to ask.

Everything in the document is checked at once. Whoever asks for something that it does not prove is refused, and
``unused`` names what nobody asked for, so that a document can be required to say what was needed and no more.
"""

from collections.abc import Sequence
from uuid import UUID

from functions._backends.proofs import slots
from functions._backends.proofs.accounts import ProvenAccount
from functions._backends.proofs.checking import check
from functions._domain.assets import Kind
from functions._domain.bundles import LedgerProof
from functions._domain.errors import RejectedContent
from functions._domain.ports import ROLES, Contract, Grant, Recorded, Revoked


class ProvenLedger:
    """What the ledger said at one block, implementing ``ports.LedgerReader``.

    Attributes:
        evidence_log: the address of the EvidenceLog, empty where nothing of it is proven.
        block: number, hash, timestamp and state root.
        code_hashes: the Keccak-256 of the proven contracts' code, by the contracts' names.

    Raises:
        RejectedContent: something in the document is not proven, is not this version's contracts, or does not fit.
    """

    def __init__(self, document: LedgerProof) -> None:
        found = check(document)
        self.chain_id, self.address = document.chain_id, found.ledger.address
        self.block, self.code_hashes = found.block, found.code_hashes
        self._ledger, self._log, self._clones = found.ledger, found.evidence_log, found.clones
        self.evidence_log = "" if self._log is None else self._log.address
        self._asked: set[tuple[str, bytes]] = set()

    def find(self, asset: UUID) -> Contract | None:
        """The asset's contract, or None where it is proven that there is none. Raises RejectedContent without proof."""
        slot = slots.asset_of(self._read(self._ledger, slots.asset_slot(asset), f"asset {asset}"))
        if slot is None:
            return None
        if asset not in self._clones:
            raise RejectedContent(f"asset {asset} is registered, and its contract is not proven")
        metadata = self._clones[asset]
        return Contract(
            address=slot.contract,
            kind=Kind.numbered(slot.kind),
            registered_at=slot.registered_at,
            revoked=slot.revoked,
            inventory_digest=metadata.inventory_digest,
            record_digest=metadata.record_digest,
            authorizer=metadata.authorizer,
            parents=metadata.parents,
        )

    def recorded(self, subject: UUID, claim: str, statement_digest: str) -> Recorded | None:
        """What is recorded of a statement, None where proven nothing is. Raises RejectedContent without proof."""
        what = f"the {claim} evidence of asset {subject}"
        if self._log is None:
            raise RejectedContent(f"{what} is not proven, nor anything of the evidence log")
        return slots.recorded_of(self._read(self._log, slots.evidence_slot(subject, claim, statement_digest), what))

    def signing_key_digest(self, role: str, account: str) -> str | None:
        """The digest of the key that an account signs statements with in a role, None where it was never appointed.

        Raises:
            RejectedContent: neither is proven.
        """
        what = f"the signing key of {account} as {role}"
        word = self._read(self._ledger, slots.signing_key_slot(role, account), what)
        return f"sha256:{word:064x}" if word else None

    def grants(self) -> Sequence[Grant]:
        """Appointments of the accounts that signed something here, where the signing key is proven.

        A state does not say since when, nor until when: ``block`` and ``time`` are 0.
        """
        pairs = [(role, account) for role in ROLES for account in self._authorizers()]
        proven = [pair for pair in pairs if slots.signing_key_slot(*pair) in self._ledger.words]
        digests = [(role, account, self.signing_key_digest(role, account)) for role, account in proven]
        return [
            Grant(role, account, appointed=True, block=0, time=0, signing_key_digest=digest)
            for role, account, digest in digests
            if digest is not None
        ]

    def revocation(self, asset: UUID) -> Revoked | None:
        """A state says of a revocation only that there is one; when it was, and why, is in the chain's logs."""
        return None

    def _authorizers(self) -> list[str]:
        entries = [slots.recorded_of(word) for word in self._log.words.values()] if self._log else []
        recorded = {entry.authorizer for entry in entries if entry is not None}
        return sorted({metadata.authorizer for metadata in self._clones.values()} | recorded)

    def _read(self, account: ProvenAccount, slot: bytes, what: str) -> int:
        """A word that somebody asks for."""
        word = account.word(slot, what)
        self._asked.add((account.address, slot))
        return word

    def unused(self) -> Sequence[str]:
        """What is proven here and nobody asked for, each by a name for a person."""
        names = {slots.asset_slot(asset): f"asset {asset}" for asset in self._clones}
        return [
            names.get(slot, f"slot 0x{slot.hex()} of {account.address}")
            for account in (self._ledger, self._log)
            if account is not None
            for slot in account.words
            if (account.address, slot) not in self._asked
        ]
