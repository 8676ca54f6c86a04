"""What is trusted: the trust file's ledger, roles and block, or the bundle's own where there is none.

How much that is worth is said plainly: a block's hash that came from the platform itself anchors nothing independently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from functions._backends.proofs.proven import ProvenLedger
from functions._domain.ports import Contract, Grant, Recorded, Revoked
from functions._domain.trust import Trust

BUNDLE, PLATFORM, NODE = "the bundle itself", "the platform", "a node of the auditor's choice"
Signer = tuple[str, str]
"""A role and an account."""


@dataclass(frozen=True)
class Anchor:
    """Where the block's hash comes from, and whether anybody but the platform vouches for it."""

    source: str
    is_independent: bool
    text: str


class JudgedLedger:
    """Implements ``ports.LedgerReader``: a proven ledger, with the role history of a trust file where there is one."""

    def __init__(self, proven: ProvenLedger, trust: Trust | None, signers: Sequence[Signer]) -> None:
        self.address, self.evidence_log, self.chain_id = proven.address, proven.evidence_log, proven.chain_id
        self._proven = proven
        self._bound = {signer: proven.signing_key_digest(*signer) for signer in signers}
        self._trust = trust

    def find(self, asset: UUID) -> Contract | None:
        """The asset's contract."""
        return self._proven.find(asset)

    def recorded(self, subject: UUID, claim: str, statement_digest: str) -> Recorded | None:
        """The evidence that the ledger holds of a statement."""
        return self._proven.recorded(subject, claim, statement_digest)

    def revocation(self, asset: UUID) -> Revoked | None:
        """A state says only that there is one."""
        return self._proven.revocation(asset)

    def grants(self) -> Sequence[Grant]:
        """Who held which role: of the trust file since when; without one, only that they were appointed once."""
        if self._trust is not None:
            return self._trust.grants()
        return [
            Grant(role, account, appointed=True, block=0, time=0, signing_key_digest=digest)
            for (role, account), digest in self._bound.items()
            if digest is not None
        ]


def problems(trust: Trust, proven: ProvenLedger, signers: Sequence[Signer]) -> list[str]:
    """Where a bundle's ledger is not the trusted one."""
    found = []
    if (trust.chain_id, trust.ledger.address) != (proven.chain_id, proven.address):
        found.append(
            f"the ledger is {proven.address} on chain {proven.chain_id}, trusted is {trust.ledger.address} on chain "
            f"{trust.chain_id}"
        )
    elif trust.ledger.code_hash != proven.code_hashes["AssetLedger"]:
        found.append(f"the ledger's code is {proven.code_hashes['AssetLedger']}, trusted is {trust.ledger.code_hash}")
    log = trust.evidence_log
    if (
        log
        and proven.evidence_log
        and (log.address, log.code_hash)
        != (
            proven.evidence_log,
            proven.code_hashes["EvidenceLog"],
        )
    ):
        found.append(f"the evidence log is {proven.evidence_log}, trusted is {log.address} with code {log.code_hash}")
    block = proven.block
    if trust.block.number == block.number and trust.block.hash != block.hash:
        found.append(
            f"block {block.number} is {block.hash}, trusted is {trust.block.hash}: another chain, or a forgery"
        )
    keys = {(one.role, one.account, one.signing_key_digest) for one in trust.grants() if one.appointed}
    for role, account in signers:
        if (role, account, proven.signing_key_digest(role, account)) not in keys:
            found.append(
                f"{account} is not known as {role}, with its key, to the trust file: if it was appointed since, have a "
                "newer one written"
            )
    return found


def anchor(trust: Trust | None, proven: ProvenLedger) -> Anchor:
    """What stands behind the block's hash."""
    block = f"block {proven.block.number} ({proven.block.hash})"
    if trust is None:
        return Anchor(BUNDLE, False, f"{block} was named by the bundle itself, no trust file was given")
    if trust.block.number != proven.block.number:
        return Anchor(
            BUNDLE, False, f"{block} was named by the bundle itself; the trust file knows block {trust.block.number}: "
            f"`polyglot ledger trust --block {proven.block.number} --rpc YOUR_NODE` writes one for this bundle",
        )  # fmt: skip
    if trust.source == "platform":
        return Anchor(PLATFORM, False, f"the trust file has the hash of {block} from the platform's own node")
    return Anchor(NODE, True, f"the trust file has the hash of {block} from {NODE}")
