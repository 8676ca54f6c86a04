"""Evidence: signing and anchoring what is sealed, checking files offline, making a bundle.

Signing is ``functions._domain.signing.sign``, all that follows once an asset's files were digested: record, model
signature, statement, authorizations; anchoring carries them to the ledger. Neither may read a file again.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

from benchmarks.site import POLYGLOT, Site, command, inherited, running
from benchmarks.sizes import Sizes
from benchmarks.table import Row, in_turns, settle
from benchmarks.upload import fill
from functions._backends.ethereum import EthereumLedger
from functions._backends.keys import RoleKeys
from functions._backends.s3 import S3Storage
from functions._domain import records
from functions._domain.assets import Kind
from functions._domain.drafts import Draft
from functions._domain.ingestion import attestation
from functions._domain.paths import files_prefix
from functions._domain.ports import Storage
from functions._domain.sealing import seal
from functions._domain.signing import sign
from tests.conftest import MAKE_MODEL
from tests.platforms import image_folder

MODEL = b"tree\nversion=v4\n"
"""How a model begins that is recognised, and that nobody translates here."""

SMALLER = 1000


def rows(sizes: Sizes, scratch: Path) -> list[Row]:
    """All on one platform."""
    with running(scratch / "evidence") as site:
        return [
            _sign_and_anchor(site, sizes),
            _check_files(site, sizes, scratch),
            _bundle(site, sizes, scratch),
        ]


class _Counting:
    """A bucket that counts what is read below ``files/``."""

    def __init__(self, storage: S3Storage) -> None:
        self._storage, self.reads = storage, 0

    def __getattr__(self, name: str) -> object:
        found = getattr(self._storage, name)

        def counted(key: str, *rest: object, **named: object) -> object:
            self.reads += name in ("read", "open", "read_range") and "/files/" in key
            return found(key, *rest, **named)

        return counted


@dataclass
class _Signer:
    """One sealed model, and what is needed to sign it again under other UUIDs."""

    site: Site
    size: int

    def __post_init__(self) -> None:
        settings = self.site.settings
        chain, contracts = int(settings["POLYGLOT_CHAIN_ID"]), (
            settings["POLYGLOT_LEDGER"], settings["POLYGLOT_EVIDENCE_LOG"],
        )  # fmt: skip
        self.storage = _Counting(S3Storage.from_settings(settings))
        self.ledger = EthereumLedger(settings["POLYGLOT_RPC_URL"], chain, *contracts)
        self.keys = RoleKeys("registrar", Path(settings["POLYGLOT_KEYS"]), chain, *contracts)
        asset = uuid4()
        place = self.site.bucket / files_prefix(asset) / "model.bin"
        place.parent.mkdir(parents=True)
        with place.open("wb") as file:
            file.truncate(self.size)  # zeros, as a hole
        draft = self._draft(asset)
        self.sealed = seal(cast(Storage, self.storage), self.keys, draft, attestation(draft))
        self.lines = self.site.bucket / "assets" / str(asset) / "inventory.jsonl"
        self.storage.reads = 0

    def _draft(self, asset: UUID) -> Draft:
        fields = {"origin": "imported", "framework": "lightgbm", "format": "text", "main": "model.bin"}
        return Draft(asset, Kind.TRAINED_MODEL, "benchmark", "admin", "local", "2026-01-01T00:00:00Z", (), fields)

    def timed(self) -> float:
        """Seconds of signing and anchoring once more."""
        draft, storage = self._draft(uuid4()), cast(Storage, self.storage)
        started = time.perf_counter()
        sign(storage, self.keys, draft, attestation(draft), self.sealed, self.lines)
        for one in records.authorizations(storage, draft.id):
            self.ledger.carry(one)
        return time.perf_counter() - started


def _sign_and_anchor(site: Site, sizes: Sizes) -> Row:
    large, small = _Signer(site, sizes.huge), _Signer(site, sizes.huge // SMALLER)
    large.timed(), small.timed()
    pair = in_turns(large.timed, small.timed, sizes.starts)
    mine, other = statistics.median(pair.ours), statistics.median(pair.theirs)
    reads = large.storage.reads + small.storage.reads
    return Row(
        f"sign and anchor a sealed model of {sizes.huge / 1e9:g} GB, against one of {sizes.huge / SMALLER / 1e6:g} MB",
        f"{mine * 1000:.0f} ms",
        f"{other * 1000:.0f} ms",
        f"{mine / other:.2f}",
        "within 20 %, nothing read below files/",
        0.8 <= mine / other <= 1.2 and reads == 0,
        f"medians of {sizes.starts} in turns; objects read below files/: {reads}",
        {"ours": pair.ours, "theirs": pair.theirs},
    )


def _check_files(site: Site, sizes: Sizes, scratch: Path) -> Row:
    folder = scratch / "model"
    folder.mkdir()
    fill(folder / "model.txt", sizes.large)
    with (folder / "model.txt").open("r+b") as file:
        file.write(MODEL)
    asset = command([*POLYGLOT, "model", "import", str(folder)], site.environment).strip()
    site.wait_for_contract(asset)
    bundle, parts = scratch / "bundle.json", scratch / "parts"
    _patiently(site, [*POLYGLOT, "evidence", asset, "-o", str(bundle), "--unpack", str(parts)])
    signature, key = (parts / asset / name for name in ("signatures/model.sig", "keys/registration.pem"))
    model_signing = (sys.executable, "-m", "model_signing", "verify", "key", str(folder), "--signature")
    ours = [*POLYGLOT, "check", str(bundle), "--files", str(folder)]
    theirs = [*model_signing, str(signature), "--public_key", str(key)]
    raw = ["openssl", "dgst", "-sha256", str(folder / "model.txt")]
    settle()
    for argv in (ours, theirs, raw):
        _seconds(argv)
    pair = in_turns(lambda: _seconds(ours), lambda: _seconds(theirs), sizes.rounds)
    openssl = statistics.median(_seconds(raw) for _ in range(sizes.rounds))
    note = f"whole commands, medians of {sizes.rounds} in turns; openssl dgst -sha256 of the file {openssl:.2f} s"
    return pair.row(
        f"polyglot check --files of a model of {sizes.large / 1e9:g} GB, against model_signing verify",
        most=1.0,
        note=note,
    )


def _seconds(argv: list[str]) -> float:
    started = time.perf_counter()
    command(argv, inherited())
    return time.perf_counter() - started


def _bundle(site: Site, sizes: Sizes, scratch: Path) -> Row:
    translation = _four_deep(site, scratch)
    argv = [*POLYGLOT, "evidence", translation, "-o", str(scratch / "four.json")]
    taken = list(_repeated(site, argv, sizes.rounds))
    answered = []
    for _ in range(sizes.rounds):
        started = time.perf_counter()
        site.get(f"/v1/assets/{translation}/evidence")
        answered.append(time.perf_counter() - started)
    mine = statistics.median(taken)
    size = (scratch / "four.json").stat().st_size
    return Row(
        "polyglot evidence of a translation: dataset, model, trained model, translation",
        f"{mine:.2f} s",
        "",
        "",
        "under 1 s",
        mine < 1,
        f"whole command, median of {sizes.rounds}; the platform's answer alone {statistics.median(answered):.2f} s; "
        f"the bundle has {size / 1000:.0f} kB",
        {"ours": taken},
    )


def _repeated(site: Site, argv: list[str], rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        started = time.perf_counter()
        command(argv, site.environment)
        yield time.perf_counter() - started


def _four_deep(site: Site, scratch: Path) -> str:
    """A small PyTorch model, copied by its training, and translated; returns the translation."""
    data = scratch / "data"
    data.mkdir()
    command([sys.executable, "-W", "ignore", "-c", MAKE_MODEL, str(data / "model.pt2")], inherited())
    dataset = command([*POLYGLOT, "dataset", "register", str(data), "--wait"], site.environment).strip()
    image = image_folder(scratch / "image")
    asked = [*POLYGLOT, "model", "register", "--dataset", dataset, "--image", str(image), "--wait"]
    model = command(asked, site.environment).strip()
    shown = json.loads(command([*POLYGLOT, "show", model, "--json"], site.environment))
    return str(shown["translation"])


def _patiently(site: Site, argv: list[str]) -> None:
    """A contract is there a moment before its evidence."""
    for attempt in range(20):
        try:
            command(argv, site.environment)
            return
        except RuntimeError:
            if attempt == 19:
                raise
            time.sleep(0.5)
