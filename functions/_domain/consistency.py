"""Consistency: whether what a sealing step stated fits the asset, its parents, and the signatures beside it.

Ledger and signature say that a statement is genuine; here it is compared with everything else that is known, so that a
stolen or careless key cannot state what the records contradict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from functions._domain import model_signature, paths, records
from functions._domain.digests import digest_of, digest_of_stream, hex_of
from functions._domain.errors import RejectedContent, UnavailableNewer
from functions._domain.inventory import read as read_inventory
from functions._domain.ports import Contract
from functions._domain.signing import SIGNED
from functions._domain.statements import Evidence

if TYPE_CHECKING:
    from functions._domain.provenance import Examiner

Record = Mapping[str, Any]


def problems(
    examiner: Examiner, asset: UUID, contract: Contract, record: Record, claim: str, found: Evidence
) -> Iterator[str]:
    """What a sealing step stated that does not fit."""
    said = found.predicate
    try:
        outputs = said["outputs"]
        if (outputs["inventory"], outputs["record"]) != (contract.inventory_digest, contract.record_digest):
            yield f"the {claim} statement names other outputs"
        if contract.kind in SIGNED:
            yield from _model_signature_problems(examiner, asset, contract, found)
        yield from _PARTICULAR[claim](examiner, asset, contract, record, said)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        yield f"the {claim} statement is not of the form that this platform writes ({error!r})"


def _model_signature_problems(examiner: Examiner, asset: UUID, contract: Contract, found: Evidence) -> Iterator[str]:
    storage, public_key = examiner.storage, str(found.signer["publicKey"])
    expected, lines = found.predicate["outputs"]["signature"], _lines(examiner, asset, contract)
    if lines is None:
        return  # the inventory is not the registered one, which integrity says
    for key in paths.model_signature_keys(asset, public_key):
        if digest_of_stream(storage.open(key) or ())[0] == expected:
            stored = partial(storage.open, key)
            is_signature = examiner.signatures.is_signature
            wrong = model_signature.problem(lines, str(asset), public_key, stored, is_signature)
            if wrong:
                yield f"its model signature is {wrong}"
            return
    yield f"changed or missing: {paths.model_signature_keys(asset, public_key)[0].rpartition(str(asset) + '/')[2]}"


def _lines(examiner: Examiner, asset: UUID, contract: Contract) -> Iterator[Any] | None:
    """The files of the registered inventory, or None where what is stored is another."""
    key = paths.inventory_key(asset)
    if digest_of_stream(examiner.storage.open(key) or ())[0] != contract.inventory_digest:
        return None
    return read_inventory(examiner.storage.open(key) or ())


def _registration(examiner: Examiner, asset: UUID, contract: Contract, record: Record, said: Record) -> Iterator[str]:
    if (said["asset"], said["kind"], said["owner"]) != (str(asset), record["kind"], record["owner"]):
        yield "the registration statement is about another asset"
    policy = said["policy"] or {}
    if (policy.get("licence"), policy.get("allowImages")) != (record.get("licence"), record.get("allow_images")):
        yield "the registration statement and the record name different policies"
    if record.get("imported_signature"):
        yield from _imported_signature(examiner, asset, contract, record["imported_signature"])


def _imported_signature(examiner: Examiner, asset: UUID, contract: Contract, named: Record) -> Iterator[str]:
    text = examiner.storage.read(paths.imported_signature_key(asset)) or b""
    if digest_of(text) != named["digest"]:
        yield "changed or missing: signatures/imported.sig"
        return
    try:
        found = model_signature.foreign(text)
    except RejectedContent as error:
        yield f"signatures/imported.sig is {error}"
        return
    if not examiner.signatures.is_signature_of(found.signed, found.signature, named["key"]):
        yield "signatures/imported.sig is not signed by the key in the record"
    lines = _lines(examiner, asset, contract)
    if lines is not None and {line.path: line.sha256 for line in lines} != found.files:
        yield "signatures/imported.sig is of other files than the registered ones"


def _training(examiner: Examiner, asset: UUID, contract: Contract, record: Record, said: Record) -> Iterator[str]:
    try:
        model = records.of_asset(examiner.storage, contract.parents[0])
    except (RejectedContent, UnavailableNewer):
        return  # said of the parent itself
    if model is None:
        return
    build = said["buildDefinition"]
    asked, (image, *inputs) = build["externalParameters"], build["resolvedDependencies"]
    if (asked["model"], asked["attempt"]) != (str(contract.parents[0]), record["run"]["attempt"]):
        yield "the training statement is about another run"
    named = {name: model[name] for name in ("image", "command", "hyperparameters", "resources", "deadline")}
    if {name: asked[name] for name in named} != named:
        yield "the training ran with other settings than the model names"
    if image["digest"]["sha256"] != str(model["image"]).rpartition("sha256:")[2]:
        yield "the training ran another image than the model names"
    yield from _input_problems(examiner, model, inputs, build["internalParameters"]["policy"])


def _input_problems(examiner: Examiner, model: Record, inputs: Any, policies: Any) -> Iterator[str]:
    read = {one["annotations"]["channel"]: one["digest"]["sha256"] for one in inputs}
    datasets = {channel: UUID(dataset) for channel, dataset in model["datasets"].items()}
    contracts = {channel: examiner.ledger.find(dataset) for channel, dataset in datasets.items()}
    if read != {channel: hex_of(one.inventory_digest) for channel, one in contracts.items() if one}:
        yield "the training read other bytes than those of the model's datasets"
    stated = {one["dataset"]: one["allowImages"] for one in policies}
    digest = str(model["image"]).rpartition("@")[2]
    for dataset in datasets.values():
        allowed = (records.of_asset(examiner.storage, dataset) or {}).get("allow_images", [])
        if stated.get(str(dataset)) != allowed or (allowed and digest not in allowed):
            yield f"the policy of dataset {dataset} was not the one that was checked, or does not allow the image"


def _translation(examiner: Examiner, asset: UUID, contract: Contract, record: Record, said: Record) -> Iterator[str]:
    source = examiner.ledger.find(contract.parents[0])
    if source is None or said["source"]["inventory"] != source.inventory_digest:
        yield f"the translation was made of other files than those of {contract.parents[0]}"
    if (said["asset"], said["report"]["verdict"], said["report"]["opset"]) != (
        str(asset), record["verdict"], record["opset"],
    ):  # fmt: skip
        yield "the translation statement and the record name different results"


_PARTICULAR = {"registration": _registration, "training": _training, "translation": _translation}
