"""Making a ledger document: the proofs of what is wanted, at one block, from a node that may move on meanwhile.

Every question names the block. A node may still answer about another state (several behind one address, one that has
dropped the block's state), so each answer is held against the block's header, and all is asked again where one differs.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from uuid import UUID

from functions._backends.ethereum import Rpc, UnavailableAnswer
from functions._backends.keccak import checksummed, keccak
from functions._backends.proofs import code, header, slots, trie
from functions._backends.proofs.slots import AssetSlot
from functions._domain.assets import Kind
from functions._domain.authorizations import Message
from functions._domain.errors import RejectedConflict, UnavailableLedger
from functions._domain.ports import Wanted

_ATTEMPTS = 4
_PAUSE = 0.1
"""Seconds before the second attempt, twice that before the third, and so on."""

_AT_ONCE = 8
_NO_METHOD = -32601
_NO_NODES = ("0x80",)
"""How some nodes prove that a trie is empty, where others answer with no node."""


class _Moved(Exception):
    """The node answered about another state than that of the block."""


class _Answer(NamedTuple):
    """A contract as the document has it, and the values of its slots as the node says."""

    account: dict[str, Any]
    words: Mapping[bytes, int]


def prove(rpc: Rpc, ledger: str, evidence_log: str, chain_id: int, wanted: Wanted) -> Mapping[str, Any]:
    """A document of ``bundles.LedgerProof``, at the latest block.

    Raises:
        RejectedContent: the chain's headers are none that we know.
        RejectedConflict: the ledger is not this version's.
        UnavailableLedger: the node gives no proofs of one block.
    """
    last: Exception | None = None
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE * attempt)
            try:
                return _Making(rpc, pool, chain_id).document(ledger, evidence_log, wanted)
            except (UnavailableAnswer, _Moved) as error:
                if isinstance(error, UnavailableAnswer) and error.code == _NO_METHOD:
                    raise UnavailableLedger(f"{error}; set POLYGLOT_RPC_URL to a node that has eth_getProof") from error
                last = error
    raise UnavailableLedger(
        f"the EVM node gave no proofs of one block in {_ATTEMPTS} attempts: {last}; set POLYGLOT_RPC_URL to one node "
        "that keeps the states of its last blocks"
    ) from last


class _Making:
    """One attempt, at one block."""

    def __init__(self, rpc: Rpc, pool: ThreadPoolExecutor, chain_id: int) -> None:
        self._rpc, self._pool, self._chain_id = rpc, pool, chain_id
        self._preimage = header.preimage(rpc("eth_getBlockByNumber", "latest", False))
        self._block = header.read(self._preimage)

    def document(self, ledger: str, evidence_log: str, wanted: Wanted) -> Mapping[str, Any]:
        entries = [_evidence_slot(message) for message in wanted.evidence]
        found = self._contracts({ledger: _ledger_slots(wanted), **({evidence_log: entries} if entries else {})})
        assets = _registered(found[ledger], wanted.assets)
        implementations = _implementations(found[ledger], ledger, assets)
        clones = [slot.contract for slot in assets.values()]
        found |= self._contracts({address: [] for address in (*implementations.values(), *clones)})
        return {
            "chainId": self._chain_id,
            "block": {"number": self._block.number, "hash": self._block.hash, "header": "0x" + self._preimage.hex()},
            "assetLedger": found[ledger].account,
            "evidenceLog": found[evidence_log].account if entries else None,
            "implementations": {kind: found[address].account for kind, address in implementations.items()},
            "assets": {str(asset): found[slot.contract].account for asset, slot in assets.items()},
        }

    def _contracts(self, wanted: Mapping[str, Sequence[bytes]]) -> dict[str, _Answer]:
        """Contracts by address with some of their slots, asked for several at a time."""
        return dict(zip(wanted, self._pool.map(self._contract, wanted, wanted.values()), strict=True))

    def _contract(self, address: str, wanted: Sequence[bytes]) -> _Answer:
        at, ordered = hex(self._block.number), sorted(set(wanted))
        answer = self._rpc("eth_getProof", address, ["0x" + slot.hex() for slot in ordered], at)
        held = self._rpc("eth_getCode", address, at)
        try:
            if keccak(bytes.fromhex(held[2:])).hex() != answer["codeHash"][2:]:
                raise _Moved(f"the code at {address} is not the one that it proves")
            account = {
                "address": checksummed(bytes.fromhex(address[2:])),
                "code": held,
                "proof": _nodes(answer["accountProof"], self._block.state_root),
            }
            # By number, since nodes write a slot's key in several ways.
            proofs = {int(slot["key"], 16): slot for slot in answer["storageProof"]}
            found = {slot: proofs[int.from_bytes(slot, "big")] for slot in ordered}
            nodes = {slot: _nodes(proof["proof"], answer["storageHash"]) for slot, proof in found.items()}
            words = {slot: int(proof["value"], 16) for slot, proof in found.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _Moved(f"its answer to eth_getProof is none: {error!r}") from error
        storage = [{"slot": "0x" + slot.hex(), "proof": proof} for slot, proof in nodes.items()]
        return _Answer({**account, "storage": storage}, words)


def _nodes(proof: Sequence[str], root: str) -> list[str]:
    """The nodes of a proof; raises _Moved where they do not start at the root."""
    nodes = [] if tuple(proof) == _NO_NODES else list(proof)
    first = keccak(bytes.fromhex(nodes[0][2:])) if nodes else trie.EMPTY_ROOT
    if first.hex() != root[2:]:
        raise _Moved(f"its proof is one of the state 0x{first.hex()}, the block's is {root}")
    return nodes


def _evidence_slot(message: Message) -> bytes:
    fields = message.fields
    return slots.evidence_slot(message.subject, str(fields["claim"]), str(fields["statementDigest"]))


def _ledger_slots(wanted: Wanted) -> list[bytes]:
    assets = [slots.asset_slot(asset) for asset in wanted.assets]
    return assets + [slots.signing_key_slot(role, account) for role, account in wanted.signers]


def _registered(ledger: _Answer, assets: Sequence[UUID]) -> Mapping[UUID, AssetSlot]:
    """The slots of the assets that are on the ledger."""
    found = {asset: slots.asset_of(ledger.words[slots.asset_slot(asset)]) for asset in assets}
    return {asset: slot for asset, slot in found.items() if slot is not None}


def _implementations(ledger: _Answer, address: str, assets: Mapping[UUID, AssetSlot]) -> Mapping[str, str]:
    """The addresses of what defines the kinds that some assets are of, by kind."""
    written = code.immutables("AssetLedger", bytes.fromhex(ledger.account["code"][2:]))
    if written is None:
        raise RejectedConflict(
            f"the contract at {address} is not this version's AssetLedger: "
            "use the version of this platform that deployed it"
        )
    kinds = sorted({Kind.numbered(slot.kind) for slot in assets.values()})
    return {kind.value: code.implementation_of(written, kind) for kind in kinds}
