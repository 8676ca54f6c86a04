"""The anchor of trust: what an auditor has to believe before evidence can be checked, as one node says it.

``functions._domain.trust`` reads it again. All of it is public; it is handed over on another way than the evidence.
"""

import re
from dataclasses import asdict
from typing import Any

from functions._backends.ethereum import EthereumLedger, Rpc, UnavailableAnswer
from functions._backends.keccak import checksummed, keccak
from functions._backends.proofs import code
from functions._domain.errors import RejectedConflict, RejectedRequest, UnavailableLedger
from functions._domain.trust import SCHEMA


def anchor(
    rpc_url: str, ledger: str, evidence_log: str = "", block: int | None = None, source: str = "node"
) -> dict[str, object]:
    """The document of a trust file.

    Args:
        rpc_url: the node that is asked.
        ledger: the AssetLedger's address.
        evidence_log: the EvidenceLog's, where that is to be trusted by name too.
        block: until where the roles are told; the latest where None.
        source: ``platform`` where the node is the platform's own, else ``node``.

    Raises:
        RejectedRequest: an address that is none, or a block that the chain has not.
        RejectedConflict: there are no such contracts.
        UnavailableLedger: the node does not answer.
    """
    rpc = Rpc(rpc_url)
    chain_id, found = int(rpc("eth_chainId"), 16), _block(rpc, block)
    address = _address(ledger)
    grants = EthereumLedger(rpc_url, chain_id, address, evidence_log).grants(found["number"])
    held = _code(rpc, address, found["number"], there=bool(grants))
    if not held:
        at = f"chain {chain_id} at block {int(found['number'], 16)}"
        raise RejectedConflict(f"there is no contract at {address} on {at}: is POLYGLOT_LEDGER right?")
    log = _evidence_log(rpc, evidence_log, address, found["number"]) if evidence_log else {}
    return {
        "schema": SCHEMA,
        "source": source,
        "chain_id": chain_id,
        "ledger": _contract(address, held),
        **log,
        "block": {"number": int(found["number"], 16), "hash": found["hash"], "state_root": found["stateRoot"]},
        "roles": [asdict(grant) for grant in grants],
    }


def _block(rpc: Rpc, number: int | None) -> dict[str, Any]:
    found = rpc("eth_getBlockByNumber", "latest" if number is None else hex(number), False)
    if found is None:
        latest = int(rpc("eth_blockNumber"), 16)
        raise RejectedRequest(f"the chain has no block {number}, the latest is {latest}")
    return dict(found)


def _address(text: str) -> str:
    """An address as it is written right; capitals that do not fit it tell a mistake in typing."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise RejectedRequest(f"{text!r} is no address: expected 0x and 40 hex digits")
    written = checksummed(bytes.fromhex(text[2:]))
    if text not in (written, written.lower()):
        raise RejectedRequest(f"{text} has a mistake: its capitals do not fit its digits (EIP-55)")
    return written


def _code(rpc: Rpc, address: str, block: str, there: bool) -> bytes:
    """A contract's code at a block; the code now where the node has dropped that state and it was there already.

    The contracts cannot destroy themselves, so their code stays what it is.
    """
    try:
        return _bytes(rpc("eth_getCode", address, block))
    except UnavailableAnswer as error:
        if not there:
            raise UnavailableLedger(f"{error}; ask a node that keeps the state of that block") from error
        return _bytes(rpc("eth_getCode", address, "latest"))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _evidence_log(rpc: Rpc, evidence_log: str, ledger: str, block: str) -> dict[str, object]:
    address = _address(evidence_log)
    held = _code(rpc, address, block, there=True)
    written = code.immutables("EvidenceLog", held)
    if written is None or code.address_of(written["EvidenceLog.LEDGER"]) != ledger:
        raise RejectedConflict(f"{address} is no evidence log of the ledger {ledger}: is POLYGLOT_EVIDENCE_LOG right?")
    return {"evidence_log": _contract(address, held)}


def _contract(address: str, held: bytes) -> dict[str, str]:
    return {"address": address, "code_hash": "0x" + keccak(held).hex()}
