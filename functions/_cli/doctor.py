"""`polyglot doctor`: is this platform as it should be, and what to do where it is not."""

import argparse
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from functions._cli import options
from functions._cli.failures import NO, YES
from functions._cli.output import result
from functions._domain.errors import PolyglotError
from functions._domain.ports import Grant

ROLES = ("registrar", "trainer", "translator", "verifier")
SKEW = 60


@dataclass(frozen=True)
class Check:
    """One thing looked at: ``ok``, what was found, and what to do where it is not as it should be."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    options.command(
        subparsers,
        "doctor",
        "check that a platform is as it should be",
        doctor,
        [". polyglot-data/env; polyglot doctor"],
    )


def doctor(args: argparse.Namespace) -> int:
    """Look at every part; exit status 1 where one is not as it should be."""
    found = [check for look in (_http(args), _storage, _ledger) for check in _guarded(look)]
    lines = [
        f"{'✓' if one.ok else '✗'} {one.name:<22} {one.found}" + (f" — {one.remedy}" if one.remedy else "")
        for one in found
    ]
    result(args, "\n".join(lines), [asdict(one) for one in found])
    return YES if all(one.ok for one in found) else NO


def _guarded(look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from look()
    except PolyglotError as error:
        yield Check(look.__name__.strip("_"), False, str(error), "start it, or mend the setting that names it")


def _http(args: argparse.Namespace) -> Callable[[], Iterator[Check]]:
    def functions() -> Iterator[Check]:
        client = options.connect(args)
        listed = client.get("/v1/openapi.json")
        yield Check("functions", True, f"{len(listed['paths'])} paths answer")
        swept = client.post("/v1/reconcile")
        late = len(swept["announced"])
        yield Check("open chains", True, f"{swept['looked_at']} looked at, {late} stood still and were announced")

    return functions


def _setting(name: str) -> str:
    return os.environ.get(name, "")


def _storage() -> Iterator[Check]:
    from functions._backends.s3 import S3Storage

    local = {"AWS_ACCESS_KEY_ID": "polyglot", "AWS_SECRET_ACCESS_KEY": "polyglot"}
    storage = S3Storage.from_settings({**local, **os.environ})
    key = f"runs/doctor/{secrets.token_hex(8)}"
    first, second = storage.create(key, b"doctor"), storage.create(key, b"doctor")
    storage.delete(key)
    holds, where = first and not second, _setting("POLYGLOT_S3_URL") or "AWS"
    remedy = "" if holds else "this store overwrites despite If-None-Match: use one that does not"
    yield Check("bucket", holds, f"{where}: create-only writes {'hold' if holds else 'do not hold'}", remedy)
    yield Check("what guards the files", True, _guard(_is_denied(storage)))


def _guard(denied: bool) -> str:
    if denied:
        return "the bucket's policy denies deleting below assets/ (I3)"
    return "nothing stops a change below assets/ in this store; it is found by `verify` instead (I3)"


def _is_denied(storage: "object") -> bool:
    from functions._backends.s3 import S3Storage
    from functions._domain.errors import Unavailable

    assert isinstance(storage, S3Storage)
    try:
        storage.delete(f"assets/doctor-{secrets.token_hex(8)}")  # nothing is there; only the right to is tried
    except Unavailable:
        return True
    return False


def _ledger() -> Iterator[Check]:
    from functions._backends.ethereum import Rpc
    from functions._backends.ethereum_admin import anchor

    rpc_url, ledger = _setting("POLYGLOT_RPC_URL"), _setting("POLYGLOT_LEDGER")
    document = anchor(rpc_url, ledger)
    yield Check("ledger", True, f"{ledger} on chain {document['chain_id']}")
    grants = [Grant(**grant) for grant in document["roles"]]  # type: ignore[attr-defined]
    for role in ROLES:
        account = _holder(grants, role)
        remedy = "" if account else f"polyglot ledger appoint {role} --account … --statement-key …"
        yield Check(f"role {role}", bool(account), account or "nobody holds it", remedy)
    block: Mapping[str, str] = Rpc(rpc_url)("eth_getBlockByNumber", "latest", False)
    ahead = int(block["timestamp"], 16) - time.time()
    yield Check("clock", ahead < SKEW, f"the latest block is {-ahead:.0f} s old" if ahead < 0 else "in step",
                "" if ahead < SKEW else "the chain is ahead of this machine: set the clock")  # fmt: skip


def _holder(grants: list[Grant], role: str) -> str:
    held = ""
    for grant in grants:
        if grant.role == role:
            held = grant.account if grant.appointed else ("" if held == grant.account else held)
    return held
