"""Checking a ledger document whole: every proof down from the block's hash, and that the contracts are ours and fit.

Whether the block's hash and the ledger's address are to be trusted is for others to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from functions._backends.proofs import accounts, clone, code, header, slots, trie
from functions._backends.proofs.accounts import ProvenAccount
from functions._backends.proofs.clone import Clone
from functions._domain.assets import Kind
from functions._domain.bundles import AccountProof, BlockProof, LedgerProof
from functions._domain.errors import RejectedContent

_NAMES: Mapping[str, str] = {
    "AssetLedger": "the ledger",
    "EvidenceLog": "the evidence log",
    **{contract: f"the implementation of {kind}" for kind, contract in code.DEFINITIONS.items()},
}


@dataclass(frozen=True)
class Checked:
    """What a document proves; ``code_hashes`` are by the contract's name."""

    block: header.Header
    ledger: ProvenAccount
    evidence_log: ProvenAccount | None
    clones: Mapping[UUID, Clone]
    code_hashes: Mapping[str, str]


def check(document: LedgerProof) -> Checked:
    """Check a document.

    Raises:
        RejectedContent: something in it is not proven, is not this version's, does not fit, or proves nothing.
    """
    return _Checker(document).checked()


class _Checker:
    def __init__(self, document: LedgerProof) -> None:
        self._document = document
        self._block = _block(document.block)
        self._state_root = bytes.fromhex(self._block.state_root[2:])
        self._code_hashes: dict[str, str] = {}

    def checked(self) -> Checked:
        self._ledger, written = self._ours("AssetLedger", self._document.asset_ledger)
        log = self._evidence_log(self._document.evidence_log)
        self._implementations = {
            Kind(name): self._implementation(Kind(name), account, written)
            for name, account in self._document.implementations.items()
        }
        clones = {UUID(asset): self._clone(UUID(asset), account) for asset, account in self._document.assets.items()}
        used = {Kind.numbered(self._slot_of(asset).kind) for asset in clones}
        idle = sorted(self._implementations.keys() - used)
        if idle:
            raise RejectedContent(f"the implementation of {idle[0]} is proven, and no asset of that kind")
        return Checked(self._block, self._ledger, log, clones, self._code_hashes)

    def _ours(self, contract: str, account: AccountProof) -> tuple[ProvenAccount, Mapping[str, bytes]]:
        """A contract that must be this version's build for this chain and address, with its immutables."""
        name = _NAMES[contract]
        found = accounts.prove(account, self._state_root, name)
        written = code.immutables(contract, found.code)
        if written is None:
            raise RejectedContent(
                f"the code of {name} at {found.address} is not this version's {contract}: "
                "check with the version of this platform that deployed it"
            )
        expected = code.of_domain(contract, self._document.chain_id, found.address)
        wrong = [variable for variable, value in written.items() if expected.get(variable, value) != value]
        if wrong:
            chain = self._document.chain_id
            raise RejectedContent(f"{name} was not made for chain {chain} and {found.address}: {', '.join(wrong)}")
        self._code_hashes[contract] = found.code_hash
        return found, written

    def _evidence_log(self, account: AccountProof | None) -> ProvenAccount | None:
        if account is None:
            return None
        found, written = self._ours("EvidenceLog", account)
        ledger = code.address_of(written["EvidenceLog.LEDGER"])
        if ledger != self._ledger.address:
            raise RejectedContent(f"the evidence log is the one of {ledger}, expected of {self._ledger.address}")
        if not found.words:
            raise RejectedContent("the evidence log is proven, and none of its entries")
        return found

    def _implementation(self, kind: Kind, account: AccountProof, written: Mapping[str, bytes]) -> str:
        """The address of what defines a kind."""
        expected = code.implementation_of(written, kind)
        if account.address != expected:
            raise RejectedContent(f"the implementation of {kind} is at {account.address}, the ledger's is {expected}")
        found, _ = self._ours(code.DEFINITIONS[kind], account)
        _require_no_slots(found, f"the implementation of {kind}")
        return found.address

    def _clone(self, asset: UUID, account: AccountProof) -> Clone:
        """The metadata of an asset, whose slot, contract and implementation must fit together."""
        name = f"the contract of asset {asset}"
        found, slot = accounts.prove(account, self._state_root, name), self._slot_of(asset)
        _require_no_slots(found, name)
        if slot.contract != found.address:
            raise RejectedContent(f"{name} is at {slot.contract}, says the ledger, and {found.address} is proven")
        try:
            metadata = clone.read(found.code)
        except ValueError as error:
            raise RejectedContent(f"the code of {name} is no asset's: {error}") from error
        kind = Kind.numbered(slot.kind)
        if self._implementations.get(kind) != metadata.implementation:
            raise RejectedContent(f"{name} is a proxy of {metadata.implementation}, which is not proven for a {kind}")
        if metadata.asset != asset:
            raise RejectedContent(f"{name} is the one of asset {metadata.asset}")
        return metadata

    def _slot_of(self, asset: UUID) -> slots.AssetSlot:
        found = slots.asset_of(self._ledger.word(slots.asset_slot(asset), f"asset {asset}"))
        if found is None:
            raise RejectedContent(f"asset {asset} has a contract proven, and is not registered at this block")
        return found


def _block(block: BlockProof) -> header.Header:
    found = header.read(trie.unhex(block.header, "the block's header"))
    if (found.number, found.hash) != (block.number, block.hash):
        raise RejectedContent(
            f"the header is the one of block {found.number}, {found.hash}, and not of {block.number}, {block.hash}"
        )
    return found


def _require_no_slots(account: ProvenAccount, name: str) -> None:
    if account.words:
        raise RejectedContent(f"slots of {name} are proven, which keeps nothing in any")
