"""A chain of its own with a freshly initialized ledger, without the rest of the platform."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from functions._backends import keys
from functions._backends.ethereum_admin import LedgerAdmin
from functions._domain.ports import Role
from functions._runtime.local import chain

ROLES: tuple[Role, ...] = ("registrar", "verifier")


@contextmanager
def initialized(folder: Path, block_time: float | None = None) -> Iterator[Mapping[str, str]]:
    """The settings of a ledger that has just been deployed, its roles appointed."""
    node = chain.start(folder / "chain", folder / "logs", print, block_time)
    try:
        admin = LedgerAdmin(node.url, keys.create_admin(folder / "keys"))
        contracts = admin.initialize()
        settings = {
            "POLYGLOT_RPC_URL": node.url,
            "POLYGLOT_CHAIN_ID": str(contracts.chain_id),
            "POLYGLOT_LEDGER": contracts.ledger,
            "POLYGLOT_EVIDENCE_LOG": contracts.evidence_log,
            "POLYGLOT_KEYS": str(folder / "keys"),
        }
        for role in ROLES:
            keys.create(role, folder / "keys")
            pair = keys.RoleKeys(role, folder / "keys", contracts.chain_id, contracts.ledger, contracts.evidence_log)
            admin.appoint(contracts.ledger, role, pair.account, pair.signing_key_digest)
        yield settings
    finally:
        node.stop()
