"""The ledger: its contracts, who holds the roles, and whether those are the keys that functions were given."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from functions._backends.anchor import anchor
from functions._backends.ethereum import Reverted, Rpc, call_data
from functions._cli.doctor.checks import SKEW, Check, fine, judged, unknown, wrong
from functions._domain.grants import holders
from functions._domain.ports import ROLES, Grant


@dataclass(frozen=True)
class Keys:
    """The public halves of the keys that a role's function was given."""

    account: str
    signing_key_digest: str


def looks(values: Mapping[str, str], keys: Mapping[str, Keys | None] | None = None) -> Iterator[Check]:
    """Look at the ledger that settings name.

    Args:
        values: settings.
        keys: by role what functions sign with, None for one that nobody may look at; left out, keys are not compared.

    Raises:
        UnavailableLedger: the node does not answer.
        RejectedConflict: there is no contract.
    """
    rpc_url, ledger = values.get("POLYGLOT_RPC_URL", ""), values.get("POLYGLOT_LEDGER", "")
    document = anchor(rpc_url, ledger)
    yield _chain(str(document["chain_id"]), ledger, values.get("POLYGLOT_CHAIN_ID", ""))
    if values.get("POLYGLOT_EVIDENCE_LOG"):
        yield _evidence_log(Rpc(rpc_url), values["POLYGLOT_EVIDENCE_LOG"], ledger)
    grants = [Grant(**grant) for grant in document["roles"]]  # type: ignore[attr-defined]
    for role in ROLES:
        yield role_check(role, holders(grants, role), keys)
    yield _clock(Rpc(rpc_url))


def _chain(chain_id: str, ledger: str, expected: str) -> Check:
    remedy = "" if expected in ("", chain_id) else f"POLYGLOT_CHAIN_ID is {expected}: set it to {chain_id}"
    return judged("ledger", f"{ledger} on chain {chain_id}", remedy)


def _evidence_log(rpc: Rpc, address: str, ledger: str) -> Check:
    try:
        named = "0x" + rpc.call(address, call_data("EvidenceLog", "ledger"))[-20:].hex()
    except Reverted:
        named = "0x"
    if named == ledger.lower():
        return fine("evidence log", address)
    found = f"{address} is no evidence log of this ledger"
    return wrong("evidence log", found, "set POLYGLOT_EVIDENCE_LOG to what `polyglot ledger init` says")


def role_check(role: str, held: Mapping[str, str], keys: Mapping[str, Keys | None] | None = None) -> Check:
    """Whether a role is held, and by the keys that its function signs with."""
    name, appoint = f"role {role}", f"polyglot ledger appoint {role} --account … --statement-key …"
    if not held:
        return wrong(name, "nobody holds it", appoint)
    shown = ", ".join(held)
    if keys is None:
        return fine(name, shown)
    ours = keys.get(role)
    if ours is None:
        return unknown(name, f"{shown}; whether its function has these keys cannot be seen from here")
    if ours.account not in held:
        return wrong(name, f"{shown}, but its function signs as {ours.account}", appoint.replace("…", ours.account, 1))
    if held[ours.account] != ours.signing_key_digest:
        found = f"{ours.account}, bound to another statement key than its function has"
        return wrong(name, found, f"{appoint.replace('…', ours.account, 1)}, after `dismiss`, with the function's key")
    return fine(name, f"{ours.account}, whose keys its function has")


def _clock(rpc: Rpc) -> Check:
    block: Mapping[str, str] = rpc("eth_getBlockByNumber", "latest", False)
    ahead = int(block["timestamp"], 16) - time.time()
    found = f"the latest block is {-ahead:.0f} s old" if ahead < 0 else "in step"
    return judged(
        "clock of the chain", found, "" if ahead < SKEW else "the chain is ahead of this machine: set the clock"
    )
