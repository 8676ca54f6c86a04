"""Carrying: authorizations put on a chain with one-second blocks, by twenty workers at once and by one.

Each is ``functions._backends.ethereum.EthereumLedger.carry`` of a registration that the registrar's key signed, as the
function ``deploy`` does it, which may have twenty deliveries at a time.
"""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from benchmarks.ledgers import initialized
from benchmarks.sizes import Sizes
from benchmarks.table import Row
from functions._backends.ethereum import EthereumLedger
from functions._backends.keys import RoleKeys
from functions._domain.assets import Kind
from functions._domain.authorizations import Authorization, registration

WORKERS = 20
BLOCK_TIME = 1.0
LEAST = 10.0


def rows(sizes: Sizes, scratch: Path) -> list[Row]:
    """Both sides on one freshly initialized ledger."""
    count = sizes.carried
    with initialized(scratch / "carry", BLOCK_TIME) as settings:
        contracts = settings["POLYGLOT_LEDGER"], settings["POLYGLOT_EVIDENCE_LOG"]
        chain_id = int(settings["POLYGLOT_CHAIN_ID"])
        ledger = EthereumLedger(settings["POLYGLOT_RPC_URL"], chain_id, *contracts)
        registrar = RoleKeys("registrar", Path(settings["POLYGLOT_KEYS"]), chain_id, *contracts)
        many, few = ([_authorized(registrar) for _ in range(count)] for _ in range(2))
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda one: ledger.is_recorded(one.message), many[:WORKERS]))  # warm: connected, ABI read
            ours, failures = _timed(ledger, many, pool)
        with ThreadPoolExecutor(1) as pool:
            theirs, more = _timed(ledger, few, pool)
        landed = sum(ledger.is_recorded(one.message) for one in (*many, *few))
    failures += more
    ratio = theirs / ours
    met = ratio >= LEAST and landed == 2 * count and not failures
    note = f"{landed} of {2 * count} landed; errors: {dict(failures) or 'none'}; {BLOCK_TIME:g}-second blocks"
    return [
        Row(
            f"{count} authorizations carried by {WORKERS} workers, against one after another",
            f"{ours:.1f} s",
            f"{theirs:.1f} s",
            f"{ratio:.1f}",
            f"at least {LEAST:g} × faster, all land, no nonce error",
            met,
            note,
            {"ours": [ours], "theirs": [theirs]},
        )
    ]


def _authorized(registrar: RoleKeys) -> Authorization:
    inventory, record = (f"sha256:{secrets.token_hex(32)}" for _ in range(2))
    return registrar.authorize(registration(uuid4(), Kind.DATASET.number, inventory, record, ()))


def _timed(
    ledger: EthereumLedger, authorizations: Sequence[Authorization], pool: ThreadPoolExecutor
) -> tuple[float, Counter[str]]:
    started = time.perf_counter()
    futures = [pool.submit(ledger.carry, one) for one in authorizations]
    failures = Counter(repr(error) for future in futures if (error := future.exception()))
    return time.perf_counter() - started, failures
