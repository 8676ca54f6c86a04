"""Reproduction: what a retraining came to, beside what was registered, as the predicate of a signed statement.

The original's digests are the ledger's, and its bytes are checked against them block by block as they are read. The
reproduced files lie below ``runs/<request>/<execution>/``; what is said of them is what was digested here.
The predicate's schema is ``docs/predicates/reproduction.v1.schema.json``.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from functions._domain import choosing, paths, records, tensors, training
from functions._domain.authorizations import evidence
from functions._domain.comparison import VERDICTS, Class, Interval, Metrics, class_of, environments
from functions._domain.digests import digest_of
from functions._domain.errors import RejectedContent, UnavailableNewer, UnavailableYet
from functions._domain.intake import Request
from functions._domain.ports import Contract, Ledger, Ports, Storage
from functions._domain.retraining import run_name
from functions._domain.sides import MOST_BYTES, MOST_FILES, Side, digest_files, files_differing, registered, staged
from functions._domain.statements import opened

SCHEMA = "polyglot/reproduction/v1"


@dataclass
class Comparison:
    """What was found."""

    original: Side
    reproduced: Side
    metrics: Metrics
    files: int
    interval: Interval = field(default_factory=Interval)
    files_differing: int | None = None
    distance: tensors.Distance | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def same_bytes(self) -> bool:
        """Whether both inventories, and so all paths and bytes, are the same."""
        return self.original.inventory == self.reproduced.inventory

    @property
    def class_(self) -> Class:
        """The strongest class that holds."""
        tensors_ = (self.original.tensors, self.reproduced.tensors)
        return class_of(self.same_bytes, *tensors_, self.metrics, self.interval)

    def findings(self) -> list[str]:
        """All of it for a person, the class first."""
        far = [] if self.class_ == "R1" else list(_distance_findings(self))
        metrics = self.metrics.findings(self.interval)
        ran = environments(self.original.environment, self.reproduced.environment)
        return [_headline(self), *far, *metrics, *ran, *self.notes]


def _headline(found: Comparison) -> str:
    match found.class_:
        case "R1":
            return f"R1: identical bytes ({found.files} {'file' if found.files == 1 else 'files'})"
        case "R2":
            return "R2: identical tensors, in files that differ"
        case "R3":
            return f"R3: the same metrics within {found.interval.relative:.0%}"
        case _:
            return "diverged: neither the same bytes, nor the same tensors, nor the same metrics"


def _distance_findings(found: Comparison) -> Iterator[str]:
    if found.files_differing is None:
        yield "files were not compared one by one: inventory.jsonl of the original is not the registered one"
    else:
        yield f"files that differ, or are on one side only: {found.files_differing}"
    far = found.distance
    if far is None:
        return
    by = f", by at most {far.max_absolute:.3g} (relative {far.max_relative:.3g})" if far.max_absolute else ""
    yield f"tensors that differ: {far.tensors_differing} of {far.tensors}{by}"
    if far.others:
        more = f" and {len(far.others) - 3} more" if len(far.others) > 3 else ""
        yield f"other parts that differ: {', '.join(far.others[:3])}{more}"
    yield from far.notes


def compare(ports: Ports, request: Request) -> Comparison:
    """Compare a settled retraining with the trained model.

    Raises:
        RejectedContent: what was retrained is not what is registered, or its results are gone.
        UnavailableYet: the trained model is not on the ledger yet.
    """
    storage, asset = ports.storage, request.asset
    contract = _contract(ports.ledger, asset)
    record = _registered_record(storage, asset, contract)
    _require_registered_inputs(ports, contract)
    chosen = choosing.chosen(storage, request.id)
    results = paths.run_prefix(request.id, chosen["execution"])
    metrics = Metrics(record["metrics"], training.read_metrics(storage, results))
    said, notes = _said_of_training(ports, asset)
    original = Side("original", contract.inventory_digest, said.get("environment", {}), said.get("isolation", {}))
    with tempfile.TemporaryDirectory(prefix="polyglot-") as folder:
        spool = Path(folder, "inventory.jsonl")
        digest, files, size = digest_files(storage, f"{results}model/", spool)
        reproduced = Side("reproduced", digest, chosen["environment"], chosen["isolation"])
        found = Comparison(original, reproduced, metrics, files, notes=notes)
        found.files_differing = 0 if found.same_bytes else files_differing(storage, asset, contract, spool)
    known = record["inventory"]
    if max(files, known["files"]) > MOST_FILES or max(size, known["bytes"]) > MOST_BYTES:
        notes.append(f"tensors were not compared: more than {MOST_FILES:,} files or {MOST_BYTES >> 30} GiB")
    else:
        _take_apart(storage, asset, contract, found, f"{results}model/")
    if record["format"] == "saved-model":
        notes.append("of a SavedModel the variables are compared, and not the graph")
    return found


def _contract(ledger: Ledger, asset: UUID) -> Contract:
    contract = ledger.find(asset)
    if contract is None:
        raise UnavailableYet(f"{asset} is not on the ledger yet")
    return contract


def _registered_record(storage: Storage, asset: UUID, contract: Contract) -> Mapping[str, Any]:
    """An asset's record, which must be the registered one."""
    data = storage.read(paths.record_key(asset))
    if data is None or digest_of(data) != contract.record_digest:
        raise RejectedContent(
            f"the record of {contract.kind} {asset} is not the one on the ledger, so what was trained from it is not "
            f"what was registered: `polyglot verify {asset}` says more"
        )
    return records.required(storage, asset)


def _require_registered_inputs(ports: Ports, trained: Contract) -> None:
    """Raises RejectedContent where the model's record or a dataset's, which say what is trained, was changed."""
    for model in trained.parents:
        contract = _contract(ports.ledger, model)
        _registered_record(ports.storage, model, contract)
        for dataset in contract.parents:
            _registered_record(ports.storage, dataset, _contract(ports.ledger, dataset))


def _said_of_training(ports: Ports, asset: UUID) -> tuple[Mapping[str, Any], list[str]]:
    """What the trainer's statement says of where the original was trained, or what is wrong with it."""
    envelope = ports.storage.read(paths.evidence_key(asset, "training", str(asset)))
    if envelope is None or not ports.ledger.is_recorded(evidence(asset, "training", digest_of(envelope), "passed")):
        return {}, ["where it was originally trained is not known: its training statement is missing or changed"]
    try:
        found = opened(envelope).predicate["buildDefinition"]["internalParameters"]
    except (RejectedContent, UnavailableNewer, KeyError, TypeError) as error:
        return {}, [f"where it was originally trained is not known: {error}"]
    return found, []


def _take_apart(storage: Storage, asset: UUID, contract: Contract, found: Comparison, results: str) -> None:
    """Read the tensors of both sides, once where they are the same bytes, and measure how far they are apart."""
    original, reproduced = found.original, found.reproduced
    found.notes += reproduced.take_apart(lambda: staged(storage, results))
    if found.same_bytes:
        original.parts, original.tensors = reproduced.parts, reproduced.tensors
    else:
        found.notes += original.take_apart(lambda: registered(storage, asset, contract))
    if original.parts is None or reproduced.parts is None:
        return
    try:
        found.distance = tensors.distance(original.files, original.parts, reproduced.files, reproduced.parts)
    except RejectedContent as error:
        found.notes.append(f"how far the tensors are apart was not measured: {error}")


def predicate(found: Comparison, request: Request, execution: Mapping[str, Any], ledger: Ledger) -> dict[str, object]:
    """What the statement says: the class, the distance, and both trainings."""
    return {
        "schema": SCHEMA,
        "asset": str(request.asset),
        "claim": "reproduction",
        "verdict": VERDICTS[found.class_],
        "class": found.class_,
        "findings": found.findings(),
        "request": str(request.id),
        "ledger": {"address": ledger.address, "chainId": str(ledger.chain_id)},
        "compared": {
            "original": _said(found.original, found.metrics.original),
            "reproduced": {
                **_said(found.reproduced, found.metrics.reproduced),
                "run": run_name(request.id),
                **{name: execution[name] for name in ("execution", "started", "finished")},
            },
        },
        "distance": _distance(found),
        "interval": asdict(found.interval),
    }


def _said(side: Side, metrics: Mapping[str, float]) -> dict[str, object]:
    return {
        "inventory": side.inventory,
        "tensors": side.tensors,
        "metrics": dict(metrics),
        "environment": dict(side.environment),
        "isolation": dict(side.isolation),
    }


def _distance(found: Comparison) -> dict[str, object]:
    far = found.distance
    return {
        "files_differing": found.files_differing,
        "tensors_differing": far.tensors_differing if far else None,
        "tensors": far.tensors if far else None,
        "max_absolute": far.max_absolute if far else None,
        "max_relative": far.max_relative if far else None,
        "metrics": found.metrics.differences,
    }


def reproduced(ports: Ports, request: Request) -> dict[str, object]:
    """The predicate of a request's reproduction, compared now."""
    chosen = choosing.chosen(ports.storage, request.id)
    return predicate(compare(ports, request), request, chosen, ports.ledger)
