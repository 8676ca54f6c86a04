"""Translation: from a trained model to its ONNX form, with measured equivalence."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from functions._domain import choosing, journal, paths, records
from functions._domain.assets import Kind
from functions._domain.digests import Digesting, canonical
from functions._domain.drafts import Attestation, Draft
from functions._domain.errors import RejectedContent
from functions._domain.identity import translation_id
from functions._domain.inventory import read as read_inventory
from functions._domain.ports import LedgerReader, Ports, Storage
from functions._domain.sealing import copied, seal

REPORT = "report.json"
MEASURED = ("figures", "metric", "top1_agreement", "tolerance", "cases", "seed")
"""What of a translation's report goes into its record; all of it is in the signed statement."""


def stage(storage: Storage, asset: UUID, folder: Path, ledger: LedgerReader | None = None) -> None:
    """Write an asset's files below a folder, each digested in the same read.

    Raises:
        RejectedContent: a file is not what the inventory says, or the inventory not what the record says, or the
            ledger where one is given.
    """
    expected = records.required(storage, asset)["inventory"]["digest"]
    contract = ledger.find(asset) if ledger else None
    if ledger and (contract is None or contract.inventory_digest != expected):
        raise RejectedContent(f"the record of {asset} is not the one on the ledger: run `polyglot verify {asset}`")
    chunks = storage.open(paths.inventory_key(asset))
    if chunks is None:
        raise RejectedContent(f"the inventory of {asset} is missing")
    passing = Digesting(chunks)
    lines = list(read_inventory(passing))
    if passing.digest != expected:
        raise RejectedContent(f"the inventory of {asset} is not the registered one: run `polyglot verify {asset}`")
    for line in lines:
        _stage_file(storage, asset, line.path, line.sha256, folder)


def _stage_file(storage: Storage, asset: UUID, path: str, sha256: str, folder: Path) -> None:
    chunks = storage.open(paths.files_prefix(asset) + path)
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    passing = Digesting(chunks or ())
    with target.open("wb") as file:
        file.writelines(passing)
    if chunks is None or passing.digest != f"sha256:{sha256}":
        raise RejectedContent(f"{path!r} of {asset} is not what was registered: run `polyglot verify {asset}`")


def translate(ports: Ports, source: UUID, opset: int | None, accelerator: str = "none") -> UUID:
    """Translate a sealed trained model; returns the translation, sealed. Done already is success.

    ``accelerator`` is what it is measured on beside the CPU; it is the same translation.

    Raises:
        RejectedContent: this model cannot be translated, with the reason.
    """
    storage, target = ports.storage, translation_id(source, opset)
    record = records.required(storage, source, Kind.TRAINED_MODEL)
    if not choosing.is_chosen(storage, target):
        _measure(ports, source, target, record["framework"], {"opset": opset, "accelerator": accelerator})
    _promote(ports, source, target, record, choosing.chosen(storage, target), opset)
    return target


def _measure(ports: Ports, source: UUID, target: UUID, framework: str, options: Mapping[str, object]) -> None:
    attempt = journal.view(ports.storage, target).attempt
    journal.mark(ports.storage, target, "translate", attempt, "started", ports.now(), source=str(source))
    execution = str(uuid4())
    prefix = paths.run_prefix(target, execution)
    with tempfile.TemporaryDirectory(prefix="polyglot-") as folder:
        inside, outside = Path(folder, "source"), Path(folder, "target")
        inside.mkdir()
        outside.mkdir()
        stage(ports.storage, source, inside)
        report = ports.translator.translate(framework, inside, outside, options)
        made = sorted(path for path in outside.rglob("*") if path.is_file() and path.name != REPORT)
        for path in made:
            ports.storage.upload(f"{prefix}model/{path.relative_to(outside).as_posix()}", path)
    ports.storage.create(f"{prefix}{REPORT}", canonical(report))
    choosing.choose(ports.storage, target, execution, finished=journal.stamp(ports.now()))


def _promote(
    ports: Ports, source: UUID, target: UUID, record: Mapping[str, Any], chosen: Mapping[str, Any], opset: int | None
) -> None:  # fmt: skip
    storage, staged = ports.storage, paths.run_prefix(target, chosen["execution"])
    report = json.loads(storage.read(f"{staged}{REPORT}") or b"null")
    if not report:
        raise RejectedContent(f"{staged}{REPORT} is missing: retry the translation")
    expected = copied(storage, staged, target)
    draft = Draft.made_from(
        record,
        target,
        Kind.TRANSLATION,
        chosen["finished"],
        {
            "source": str(source),
            "framework": "onnx",
            "format": "onnx",
            "from": {name: record[name] for name in ("framework", "format", "accelerator")},
            "parameters": {} if opset is None else {"opset": opset},
            "opset": report["opset"],
            "verdict": report["verdict"],
            "equivalence": {name: report.get(name) for name in MEASURED},
            "exporter": report["exporter"],
            "versions": report["versions"],
        },
    )
    predicate = {
        "schema": "polyglot/translation/v1",
        "asset": str(target),
        "source": {"asset": str(source), "inventory": record["inventory"]["digest"]},
        "parameters": {} if opset is None else {"opset": opset},
        "report": report,
    }
    verdict = {"equal": "passed", "within-tolerance": "within-tolerance"}.get(report["verdict"], "failed")
    said = Attestation("translation", lambda sealed: {**predicate, "outputs": sealed.outputs}, verdict)
    seal(storage, ports.signer, draft, said, expected)
