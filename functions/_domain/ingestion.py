"""Ingestion: from an accepted request, or an ``inbox/`` folder, to a sealed asset."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from functions._domain import intake, journal, model_signature, paths, records, requests, revocation
from functions._domain.assets import Kind
from functions._domain.digests import canonical, digest_of, digest_of_stream
from functions._domain.drafts import Attestation, Draft
from functions._domain.errors import RejectedConflict, RejectedContent, RejectedRequest, UnavailableYet
from functions._domain.events import Event
from functions._domain.identity import inbox_request_id
from functions._domain.intake import Request
from functions._domain.inventory import digest_of_lines
from functions._domain.notices import notified_inboxes
from functions._domain.ports import Ports, Storage
from functions._domain.sealing import Expected, digested, is_sealed_by, seal
from functions._domain.training import inspect

_NAME = TypeAdapter[str](requests.Name)
RECEIPT = "polyglot/receipt/v1"
OURS = frozenset({"asset.json", "rejected.json", "receipt.json"})
"""What is no file of the asset in an inbox folder."""


def ingest(ports: Ports, request: Request) -> Kind:
    """Seal the asset that a request asks for; returns its kind. Done already is success.

    Raises:
        RejectedContent: the files are not what was announced, or no model that may be kept.
        RejectedConflict: a parent is of the wrong kind, revoked or rejected.
        UnavailableYet: a parent is not sealed yet.
    """
    kind = {"datasets": Kind.DATASET, "models": Kind.MODEL, "trained-models": Kind.TRAINED_MODEL}.get(request.route)
    kind = kind or Kind(request.body["kind"])
    if not is_sealed_by(ports.storage, ports.signer, request.asset) and ports.ledger.find(request.asset) is None:
        draft, expected = _DRAFTS[kind](ports, request)
        seal(ports.storage, ports.signer, draft, attestation(draft), expected)
    return kind


def attestation(draft: Draft) -> Attestation:
    """What the registrar states of what was uploaded or described: what it is, and under which policy."""
    policy = {"licence": draft.fields.get("licence"), "allowImages": draft.fields.get("allow_images")}
    said = {
        "schema": "polyglot/registration/v1",
        "asset": str(draft.id),
        "kind": draft.kind.value,
        "owner": draft.owner,
        "requested": draft.requested,
        "origin": {Kind.DATASET: "uploaded", Kind.MODEL: "described"}.get(draft.kind, "imported"),
        "policy": policy if draft.kind is Kind.DATASET else None,
    }
    return Attestation("registration", lambda sealed: {**said, "outputs": sealed.outputs})


def _dataset(ports: Ports, request: Request) -> tuple[Draft, Expected]:
    body = request.body
    fields = {"licence": body["licence"], "allow_images": body["allow_images"]}
    return _draft(request, Kind.DATASET, (), fields), _expected(ports.storage, request)


def _model(ports: Ports, request: Request) -> tuple[Draft, Expected]:
    body = request.body
    datasets = dict(sorted(body["datasets"].items()))
    for dataset in datasets.values():
        require_dataset(ports, UUID(dataset))
    if len(set(datasets.values())) < len(datasets):
        raise RejectedConflict("one dataset is named for two channels: name each dataset once")
    if body["image"].startswith("sha256:"):
        _require_image_folder(ports.storage, body["image"])
    fields = {name: body[name] for name in ("image", "command", "hyperparameters", "resources", "deadline")}
    parents = tuple(UUID(dataset) for dataset in datasets.values())
    return _draft(request, Kind.MODEL, parents, {"datasets": datasets, **fields}), {}


def _imported(ports: Ports, request: Request) -> tuple[Draft, Expected]:
    expected = _expected(ports.storage, request)
    signed = request.body.get("signature")
    if signed is not None:
        expected = vouched(ports, request.asset, signed, request.body["public_key"], expected)
    format_ = inspect(ports.storage, paths.files_prefix(request.asset))
    fields = {
        "origin": "imported",
        "framework": format_.framework,
        "format": format_.name,
        "main": format_.main,
        "accelerator": "none",
        "metrics": {},
        "claimed_dataset": request.body["dataset"],
        "imported_signature": signed and {"digest": digest_of(signed.encode()), "key": request.body["public_key"]},
    }
    return _draft(request, Kind.TRAINED_MODEL, (), fields), expected


def vouched(ports: Ports, asset: UUID, text: str, public_key: str, expected: Expected) -> Expected:
    """Keep the OpenSSF signature that a model came with; returns what it, too, expects to be there.

    Raises:
        RejectedContent: it is none, not of this key, or lists other files than the client.
    """
    found = model_signature.foreign(text.encode())
    if not ports.signatures.is_signature_of(found.signed, found.signature, public_key):
        raise RejectedContent("the model's signature is not of the public key given with it: give the signer's key")
    both = {path: (size, f"sha256:{found.files[path]}") for path, (size, _) in expected.items() if path in found.files}
    for path in sorted(expected.keys() ^ found.files.keys()):
        where = "the signature and not in the upload" if path in found.files else "the upload and not in the signature"
        raise RejectedContent(f"{path!r} is in {where}: register exactly the files that were signed")
    for path, (_, digest) in expected.items():
        if digest not in (None, both[path][1]):
            raise RejectedContent(f"{path!r} digests to {digest}, the model's signature says {both[path][1]}")
    records.write(ports.storage, paths.imported_signature_key(asset), text.encode())
    return both


_DRAFTS = {Kind.DATASET: _dataset, Kind.MODEL: _model, Kind.TRAINED_MODEL: _imported}


def _draft(request: Request, kind: Kind, parents: tuple[UUID, ...], fields: Mapping[str, object]) -> Draft:
    return Draft(
        id=request.asset,
        kind=kind,
        name=request.body["name"],
        owner=request.principal,
        tenant=request.tenant,
        requested=request.time,
        parents=parents,
        fields=fields,
    )


def _expected(storage: Storage, request: Request) -> Expected:
    if request.route != "inbox":
        return intake.expected_files(storage, request.asset)
    return {one["path"]: (-1 if one["size"] is None else one["size"], one["sha256"]) for one in request.body["files"]}


def require_dataset(ports: Ports, dataset: UUID) -> None:
    """Raises unless an asset is a sealed dataset that was not revoked; UnavailableYet while it is on its way."""
    record = records.of_asset(ports.storage, dataset)
    if record is None:
        if intake.origin(ports.storage, dataset) is None:
            raise RejectedConflict(f"there is no dataset {dataset}: register it first")
        view = journal.view(ports.storage, dataset)
        if view.outcome("ingest") == "rejected":
            raise RejectedConflict(f"dataset {dataset} was rejected (polyglot status {dataset}): register it again")
        raise UnavailableYet(f"dataset {dataset} is not sealed yet")
    if record["kind"] != Kind.DATASET:
        raise RejectedConflict(f"{dataset} is a {record['kind']}, expected a dataset")
    revocation.require_standing(ports, dataset)


def _require_image_folder(storage: Storage, digest: str) -> None:
    found = digest_of_lines(digested(storage, paths.image_prefix(digest)))
    if found != digest:
        raise RejectedContent(
            f"the image folder {digest} is not in the store, or its files were changed (they come to {found}): "
            "push it again with `polyglot image push DIR`"
        )


def take_inbox(ports: Ports, key: str) -> Request | None:
    """Turn a complete ``inbox/<kind>/<name>/`` into a request whose files lie in their final place.

    Returns None while files that its ``asset.json`` lists are still missing, or where there is no such folder.

    Raises:
        RejectedContent: the ``asset.json`` is not understood; ``rejected.json`` beside it says why.
    """
    _, kind, name, _ = key.split("/")
    data = ports.storage.read(key, 64 << 20)
    if data is None:
        return None
    folder = key.removesuffix("asset.json")
    body = _inbox_body(kind, name, data)
    identifier = inbox_request_id(ports.tenant, key, digest_of(data))
    known = intake.find(ports.storage, identifier)
    if known is None:
        there = {entry.key[len(folder) :] for entry in ports.storage.list(folder)}
        if not there >= {one["path"] for one in body["files"]}:
            return None
    stamp = journal.stamp(ports.now())
    request = known or intake.store(
        ports.storage, Request(identifier, "inbox", ports.tenant, ports.tenant, stamp, identifier, body)
    )
    intake.open_chain(ports.storage, request)
    ports.storage.create(paths.name_key(kind, body["name"], identifier), b"")
    for one in body["files"] if ports.ledger.find(identifier) is None else ():  # what is registered may be erased
        if ports.storage.stat(folder + one["path"]) is not None:
            ports.storage.copy(folder + one["path"], paths.files_prefix(identifier) + one["path"])
    return request


def _inbox_body(kind: str, name: str, data: bytes) -> Mapping[str, Any]:
    models: dict[str, type[requests.Body]] = {
        "dataset": requests.InboxDataset,
        "trained-model": requests.InboxTrainedModel,
    }
    if kind not in models:
        raise RejectedContent(
            f"inbox/{kind}/ is not a place to register from: use inbox/dataset/ or inbox/trained-model/"
        )
    try:
        body = models[kind].model_validate_json(data)
        body = body.model_copy(update={"name": body.name or _NAME.validate_python(name)})  # type: ignore[attr-defined]
    except ValidationError as error:
        raise RejectedContent(f"asset.json is not understood: {requests.readable(error)}") from error
    document = body.model_dump(mode="json")
    listed = [one["path"] for one in document["files"]]
    clash = paths.clashing_paths(listed)
    if clash:
        raise RejectedContent(f"{clash[0]!r} and {clash[1]!r} cannot both be files everywhere: rename one")
    if OURS & set(listed):
        raise RejectedContent(f"{min(OURS & set(listed))} is a name of the inbox itself: rename the file")
    return {**document, "kind": kind}


def empty_inbox(ports: Ports, key: str, request: Request) -> None:
    """Remove an inbox folder whose asset is sealed, ``asset.json`` last; ``receipt.json`` tells the asset's UUID."""
    folder = key.removesuffix("asset.json")
    receipt = {"schema": RECEIPT, "asset": str(request.asset), "sealed": True}
    ports.storage.delete(paths.refusal_key(key))
    ports.storage.delete(f"{folder}receipt.json")
    ports.storage.create(f"{folder}receipt.json", canonical(receipt))
    for one in request.body["files"]:
        ports.storage.delete(folder + one["path"])
    ports.storage.delete(key)


def reject_inbox(ports: Ports, key: str, reason: str) -> None:
    """Say beside an ``asset.json`` why it was not taken; a newer one is looked at again."""
    name = paths.refusal_key(key)
    refused, _ = digest_of_stream(ports.storage.open(key) or ())
    hint = f"{reason} — mend it, change asset.json (another name is enough), and put it there again"
    ports.storage.delete(name)
    ports.storage.create(name, canonical({"schema": RECEIPT, "reason": hint, "refused": refused}))


def request_of(ports: Ports, event: Event) -> Request:
    """The request that an ``asset.submitted`` event is about.

    Raises:
        RejectedRequest: nobody asked for this asset, or another request did than the event names.
    """
    request = intake.origin(ports.storage, event.subject)
    if request is None or request.asset != event.subject:
        raise RejectedRequest(f"nobody asked for an asset {event.subject}")
    if event.data.get("request", str(request.id)) != str(request.id):
        raise RejectedRequest(f"{event.subject} was asked for by request {request.id}")
    return request


def inbox_key(ports: Ports, event: Event) -> str | None:
    """The ``asset.json`` that an ``asset.submitted`` event speaks of, or None where it speaks of an asset.

    Raises:
        RejectedRequest: the event names a key that is none of the inbox.
    """
    key = event.data.get("key")
    if not isinstance(key, str) or intake.inbox_subject(ports.tenant, key) != event.subject:
        return None
    if list(notified_inboxes([key])) != [key]:
        raise RejectedRequest(f"{key!r} is not an inbox/<kind>/<name>/asset.json")
    return key
