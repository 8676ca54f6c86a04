"""Verifying integrity: the domain's own operation on the real store and ledger, beside boto3 and hashlib.

``functions._domain.verification.integrity`` is what the function ``verify`` runs: it asks the ledger for the contract,
checks record and inventory, then lists and reads every file. The other side gets the objects' keys for nothing, and
compares nothing.
"""

import hashlib
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from benchmarks.site import POLYGLOT, Site, command, running
from benchmarks.sizes import Sizes
from benchmarks.table import Row, in_turns
from benchmarks.upload import fill
from functions._backends.ethereum import EthereumLedger
from functions._backends.s3 import S3Storage
from functions._domain.verification import integrity

CHUNK = 1 << 20
FILES = 40


def rows(sizes: Sizes, scratch: Path) -> list[Row]:
    """One large file, and the same bytes as several."""
    large = scratch / "verified.bin"
    fill(large, sizes.large)
    folder = scratch / "verified"
    folder.mkdir()
    for number in range(FILES):
        fill(folder / f"{number:02d}.bin", sizes.large // FILES)
    with running(scratch / "verify") as site:
        found = [
            _row(site, large, f"verify integrity of one file of {sizes.large / 1e9:g} GB", sizes.rounds),
            _row(site, folder, f"verify integrity of {sizes.large / 1e9:g} GB in {FILES} files", sizes.rounds),
        ]
    large.unlink()
    shutil.rmtree(folder)
    return found


def _row(site: Site, place: Path, what: str, rounds: int) -> Row:
    asset = site.register(place)
    site.wait_for_contract(asset)
    storage, ledger = S3Storage.from_settings(site.settings), _ledger(site)
    keys = [entry.key for entry in storage.list(f"assets/{asset}/files/")]
    client, bucket = site.s3(), site.settings["POLYGLOT_BUCKET"]

    def ours() -> float:
        started = time.perf_counter()
        finding = integrity(storage, ledger, UUID(asset))
        seconds = time.perf_counter() - started
        if finding.verdict != "passed":
            raise RuntimeError(f"integrity of {asset}: {finding.findings}")
        return seconds

    def theirs() -> float:
        started = time.perf_counter()
        _digest(client, bucket, keys)
        return time.perf_counter() - started

    ours(), theirs()
    pair = in_turns(ours, theirs, rounds)
    started = time.perf_counter()
    command([*POLYGLOT, "verify", asset], site.environment)
    whole = time.perf_counter() - started
    note = (
        f"functions._domain.verification.integrity in one process, medians of {rounds} in turns; the whole command "
        f"`polyglot verify`, with the signed statement on the ledger, {whole:.2f} s "
        f"({statistics.median(pair.theirs) / whole:.2f} of boto3's speed)"
    )
    return pair.row(f"{what}, against boto3 get_object into hashlib", least=0.95, note=note)


def _digest(client: object, bucket: str, keys: Sequence[str]) -> None:
    for key in keys:
        running = hashlib.sha256()
        body = client.get_object(Bucket=bucket, Key=key)["Body"]  # type: ignore[attr-defined]
        for chunk in body.iter_chunks(CHUNK):
            running.update(chunk)
        running.hexdigest()


def _ledger(site: Site) -> EthereumLedger:
    settings = site.settings
    return EthereumLedger(
        settings["POLYGLOT_RPC_URL"],
        int(settings["POLYGLOT_CHAIN_ID"]),
        settings["POLYGLOT_LEDGER"],
        settings["POLYGLOT_EVIDENCE_LOG"],
    )
