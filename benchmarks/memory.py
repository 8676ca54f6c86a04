"""Peak memory over the import footprint: one large file, and very many small ones, each step in a process of its own.

The store is ``benchmarks.synthetic_store``, which needs no disk for them. All else is real: the client is the command,
``ingest`` and ``verify`` run their handlers with the ports that they have as Services, and the ledger is a chain with
the platform's contracts.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from benchmarks.ledgers import initialized
from benchmarks.site import AWS, command, inherited, running
from benchmarks.sizes import Sizes
from benchmarks.synthetic_store import kept, made_up_body, made_up_path
from benchmarks.table import Row
from functions._domain import intake
from functions._domain.carrying import carry
from functions._domain.intake import Principal
from functions._domain.paths import evidence_key, files_prefix
from functions._domain.requests import PAGE, FileEntry
from functions._domain.statements import opened
from functions._runtime.local import child, loopback
from functions._runtime.wiring import WiredPorts
from functions.declaration import by_name

LIMIT = 200 * 10**6
OWNER = Principal("benchmark", frozenset({"publisher"}))


def rows(sizes: Sizes, scratch: Path) -> list[Row]:
    """The client, and the two functions that read an asset's bytes."""
    huge, count = sizes.huge, sizes.inventory
    file, many = f"one file of {huge / 1e9:g} GB", f"{count:,} small files"
    with _store(scratch / "client", "made-up/", 0) as store:
        found = [_client(scratch, store, huge, file)]
    with initialized(scratch / "ledger") as contracts:
        upload = uuid4()
        with _store(scratch / "huge", "made-up/", 0) as store:
            ports = _ports({**contracts, **store}, "register")
            with kept(scratch / "huge", files_prefix(upload) + "zeros.bin").open("wb") as sparse:
                sparse.truncate(huge)
            intake.expect(ports.storage, upload, 0, [_entry("zeros.bin", huge, _digest_of_zeros(huge))])
            found += _functions({**contracts, **store}, upload, file)
        upload = uuid4()
        with _store(scratch / "many", files_prefix(upload), count) as store:
            ports = _ports({**contracts, **store}, "register")
            for page, first in enumerate(range(0, count, PAGE)):
                numbers = range(first, min(count, first + PAGE))
                entries = [_entry(made_up_path(number), *_made_up(number)) for number in numbers]
                intake.expect(ports.storage, upload, page, entries)
            found += _functions({**contracts, **store}, upload, many)
    return found


@contextmanager
def _store(folder: Path, prefix: str, count: int) -> Iterator[Mapping[str, str]]:
    """A synthetic store, and the settings that lead to it."""
    folder.mkdir()
    with loopback.listen() as listening:
        argv = [sys.executable, "-m", "benchmarks.synthetic_store", str(listening.fileno())]
        environment = {**inherited(), "PYTHONPATH": str(Path(__file__).parents[1])}
        log = folder.with_suffix(".log")
        server = child.start("store", [*argv, str(folder), prefix, str(count)], log, environment, [listening.fileno()])
        url = loopback.address(listening)
    try:
        yield {**AWS, "POLYGLOT_S3_URL": url, "POLYGLOT_BUCKET": "polyglot", "POLYGLOT_TENANT": "local"}
    finally:
        server.stop()


def _client(scratch: Path, store: Mapping[str, str], size: int, what: str) -> Row:
    """``polyglot dataset register`` of a sparse file, to a platform that keeps its objects in the synthetic store."""
    sparse = scratch / "sparse.bin"
    with sparse.open("wb") as file:
        file.truncate(size)
    with running(scratch / "platform", **store) as site:
        said = command([*_CHILD, "command", "dataset", "register", str(sparse)], site.environment)
    sparse.unlink()
    return _row(f"peak memory of polyglot dataset register, {what}", said)


def _functions(settings: Mapping[str, str], upload: UUID, what: str) -> list[Row]:
    """``ingest`` seals an upload; once its contract is there, ``verify`` takes its integrity."""
    ports = _ports(settings, "deploy")
    begun = intake.Request(upload, "uploads", ports.tenant, OWNER.subject, "", upload, {"kind": "dataset"})
    intake.store(ports.storage, begun)
    body: dict[str, object] = {"upload": str(upload), "name": "measured", "licence": None, "allow_images": []}
    request = intake.accept(ports, OWNER, "datasets", str(upload), body, upload)
    intake.claim_upload(ports.storage, upload, request.id)
    submitted = {"name": "asset.submitted", "subject": str(upload), "data": {"request": str(request.id)}}
    sealed = _handled("ingest", submitted, settings)
    carry(ports, upload)
    asked = intake.accept(ports, OWNER, "verifications", None, {"claims": ["integrity"], "path": None}, upload)
    requested = {
        "name": "verification.requested",
        "subject": str(upload),
        "attributes": {"claim": "integrity"},
        "data": {"request": str(asked.id)},
    }
    verified = _handled("verify", requested, settings)
    finding = opened(ports.storage.read(evidence_key(upload, "integrity", str(asked.id))) or b"").predicate
    if finding["verdict"] != "passed":
        raise RuntimeError(f"integrity of {what}: {finding['findings']}")
    return [_row(f"peak memory of ingest, {what}", sealed), _row(f"peak memory of verify, {what}", verified)]


_CHILD = [sys.executable, "-m", "benchmarks.memory_child"]


def _handled(service: str, event: Mapping[str, object], settings: Mapping[str, str]) -> str:
    return command([*_CHILD, "function", service, json.dumps(event)], {**inherited(), **settings})


def _row(what: str, said: str) -> Row:
    found = json.loads(said.splitlines()[-1])
    more = found["after"] - found["before"]
    return Row(
        what,
        f"{more / 1e6:.0f} MB over it",
        f"{found['before'] / 1e6:.0f} MB imported",
        f"{found['after'] / found['before']:.2f}",
        f"under {LIMIT / 1e6:.0f} MB over imports",
        more < LIMIT,
        f"{found['seconds']:.1f} s",
        {"before": [found["before"]], "after": [found["after"]]},
    )


def _ports(settings: Mapping[str, str], service: str) -> WiredPorts:
    return WiredPorts(by_name(service), settings)


def _entry(path: str, size: int, digest: str) -> FileEntry:
    return FileEntry(path=path, size=size, sha256=f"sha256:{digest}")


def _made_up(number: int) -> tuple[int, str]:
    body = made_up_body(number)
    return len(body), hashlib.sha256(body).hexdigest()


def _digest_of_zeros(size: int) -> str:
    running, zeros = hashlib.sha256(), bytes(1 << 20)
    for start in range(0, size, len(zeros)):
        running.update(zeros[: size - start])
    return running.hexdigest()
