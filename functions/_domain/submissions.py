"""What each write of the HTTP interface does: check what can be checked at once, write the request, announce it.

``functions._domain.withdrawing`` has those that take something back.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from functions._domain import (
    answers,
    claims,
    erasure,
    intake,
    journal,
    paths,
    records,
    requests,
    revocation,
    training,
    withdrawing,
)
from functions._domain.accepting import accepted as _accepted
from functions._domain.accepting import begin as _begin
from functions._domain.assets import Kind
from functions._domain.calls import Call
from functions._domain.digests import canonical, digest_of, digest_of_stream
from functions._domain.errors import (
    Rejected,
    RejectedConflict,
    RejectedContent,
    RejectedTooLarge,
    RejectedUnknown,
    UnavailableNewer,
)
from functions._domain.events import Event, announce
from functions._domain.identity import trained_model_id, translation_id
from functions._domain.intake import Request
from functions._domain.inventory import InventoryLine, digest_of_lines
from functions._domain.ports import Ports, Presigned, Storage
from functions._domain.progress import Progress, chain_of_asset


def open_upload(call: Call, ports: Ports) -> answers.Accepted:
    """Open an asset for uploading its files."""
    return _accepted(intake.accept(ports, call.principal, "uploads", call.key, call.body.model_dump(mode="json")))


def add_files(call: Call, ports: Ports) -> answers.PresignedFiles:
    """Presign one page of files, and note what the client expects."""
    intake.require_open_upload(ports.storage, call.principal, call.id)
    files: Sequence[requests.FileEntry] = call.body.files
    _refuse_clashes([one.path for one in files])
    for one in files:
        if one.sha256 is None and not one.parts:
            raise RejectedContent(f"{one.path!r} has neither sha256 nor parts: give its digest, or upload it in parts")
    if sum(one.parts for one in files) > requests.PARTS:
        raise RejectedTooLarge(f"a page has more than {requests.PARTS} parts: ask for fewer files at once")
    whole = [one for one in files if not one.parts]
    if whole:
        intake.expect(ports.storage, call.id, call.body.page, whole)
        intake.require_open_upload(ports.storage, call.principal, call.id)  # a registration now sees this page
    prefix = paths.files_prefix(call.id)
    return answers.PresignedFiles(files=[_presigned(ports.storage, prefix, one) for one in files])


def _refuse_clashes(names: Sequence[str]) -> None:
    clash = paths.clashing_paths(names)
    if clash:
        raise RejectedConflict(
            f"{clash[0]!r} and {clash[1]!r} cannot both be files everywhere (case, or a folder of the same name): "
            "rename one"
        )


def _presigned(storage: Storage, prefix: str, file: requests.FileEntry) -> answers.PresignedFile:
    key = prefix + file.path
    if not file.parts:
        return answers.PresignedFile(path=file.path, put=_request(storage.presign_put(key)))
    upload_id = file.upload_id or storage.start_parts(key)
    parts = [_request(storage.presign_part(key, upload_id, number)) for number in range(1, file.parts + 1)]
    return answers.PresignedFile(path=file.path, upload_id=upload_id, parts=parts)


def _request(presigned: Presigned) -> answers.PresignedPart:
    return answers.PresignedPart(method=presigned.method, url=presigned.url, headers=dict(presigned.headers))


def complete_files(call: Call, ports: Ports) -> answers.CompletedFiles:
    """Make objects of uploaded parts, and note what the client digested."""
    intake.require_open_upload(ports.storage, call.principal, call.id)
    files: Sequence[requests.CompletedFile] = call.body.files
    entries = [requests.FileEntry(path=one.path, size=one.size, sha256=one.sha256) for one in files]
    intake.expect(ports.storage, call.id, call.body.page, entries)
    intake.require_open_upload(ports.storage, call.principal, call.id)  # a registration now sees this page
    for one in files:
        ports.storage.complete_parts(paths.files_prefix(call.id) + one.path, one.upload_id, one.etags)
    return answers.CompletedFiles(paths=[one.path for one in files])


def push_image(call: Call, ports: Ports) -> answers.PushedImage:
    """Name an image folder by its files, and say where they go; what is there already is not sent again."""
    files: Sequence[requests.FileEntry] = call.body.files
    _refuse_clashes([one.path for one in files])
    if any(one.sha256 is None or one.size > 64 * 2**20 for one in files):
        raise RejectedContent(
            "each file of an image folder needs its sha256 and is at most 64 MiB; keep data in datasets"
        )
    if "train.py" not in {one.path for one in files}:
        raise RejectedContent("an image folder has a train.py at its top: add one")
    digest = digest_of_lines(InventoryLine(one.path, one.size, str(one.sha256)[7:]) for one in files)
    return answers.PushedImage(digest=digest, files=[_image_file(ports.storage, digest, one) for one in files])


def _image_file(storage: Storage, digest: str, file: requests.FileEntry) -> answers.PresignedFile:
    key = paths.image_key(digest, file.path)
    chunks = storage.open(key)
    if chunks is not None:
        if digest_of_stream(chunks) == (file.sha256, file.size):
            return answers.PresignedFile(path=file.path, present=True)
        storage.delete(key)  # no asset's file, and under a name that says what it must digest to
    return answers.PresignedFile(path=file.path, put=_request(storage.presign_put(key)))


def register_dataset(call: Call, ports: Ports) -> answers.Accepted:
    """Register an uploaded dataset."""
    return _from_upload(call, ports, Kind.DATASET, "datasets")


def import_model(call: Call, ports: Ports) -> answers.Accepted:
    """Register an uploaded model that was trained elsewhere."""
    if call.body.dataset is not None:
        _require_known(ports.storage, call.body.dataset)
    return _from_upload(call, ports, Kind.TRAINED_MODEL, "trained-models")


def _from_upload(call: Call, ports: Ports, kind: Kind, route: str) -> answers.Accepted:
    upload, body = call.body.upload, call.body.model_dump(mode="json")
    intake.require_claimable(ports.storage, call.principal, upload, kind, route)
    intake.require_within_bounds(ports.storage, upload)
    key = call.key or f"{upload}:{digest_of(canonical(body))}"
    request = intake.accept(ports, call.principal, route, key, body, asset=upload)
    intake.claim_upload(ports.storage, upload, request.id)
    intake.require_not_cleared(ports.storage, upload)
    ports.storage.create(paths.name_key(kind, call.body.name, upload), b"")
    return _begin(ports, request, _submitted(request))


def register_model(call: Call, ports: Ports) -> answers.Accepted:
    """Register a model, to be trained and translated."""
    training.require_trainable(call.body.image, ports.engine_kind)
    for dataset in call.body.datasets.values():
        _require_known(ports.storage, dataset)
        revocation.require_standing(ports, dataset)
    request = intake.accept(ports, call.principal, "models", call.key, call.body.model_dump(mode="json"))
    ports.storage.create(paths.name_key(Kind.MODEL, call.body.name, request.asset), b"")
    return _begin(ports, request, _submitted(request))


def _require_known(storage: Storage, asset: UUID) -> None:
    if intake.origin(storage, asset) is None and records.of_asset(storage, asset) is None:
        raise RejectedConflict(f"there is no dataset {asset}: register it first (polyglot dataset register PATH)")


def _submitted(request: Request) -> Event:
    return announce("asset.submitted", request.asset, str(request.id), {"request": str(request.id)})


def trained_model_of(storage: Storage, asset: UUID) -> UUID:
    """The trained model that a UUID means: itself, or of a model its latest."""
    record = records.of_asset(storage, asset)
    if record is not None and record["kind"] == Kind.MODEL:
        return trained_model_id(asset, journal.view(storage, asset).attempt)
    return asset


def request_translation(call: Call, ports: Ports, translates: Callable[[str, str], bool]) -> answers.Accepted:
    """Ask for a translation of a trained model; ``translates`` tells which frameworks and accelerators are taken."""
    source = trained_model_of(ports.storage, call.body.asset)
    record = _sealed(ports.storage, source)
    if record["kind"] != Kind.TRAINED_MODEL:
        raise RejectedConflict(f"{source} is a {record['kind']}; translations are made of trained models")
    if not translates(record["framework"], call.body.accelerator):
        raise RejectedConflict(
            f"no translator for {record['framework']} models ({record['format']}) with accelerator "
            f"{call.body.accelerator} is declared on this platform: pull the model in its native format"
        )
    revocation.require_standing(ports, source)
    body = {"opset": call.body.opset, "source": str(source), "accelerator": call.body.accelerator}
    asset = source  # the chain is watched under the asset that is translated
    request = intake.accept(ports, call.principal, "translations", call.key, body, asset)
    _again(ports, call, translation_id(source, call.body.opset), request)
    filters = {"framework": record["framework"], "accelerator": call.body.accelerator}
    event = announce("translation.requested", source, str(request.id), {"request": str(request.id)}, **filters)
    accepted = _begin(ports, request, event)
    return accepted.model_copy(update={"asset": translation_id(source, call.body.opset)})


def _again(ports: Ports, call: Call, target: UUID, request: Request) -> None:
    """Who asks for a translation that was rejected wants another attempt, perhaps on another accelerator."""
    view = journal.view(ports.storage, target)
    if view.outcome("translate") in journal.ENDED and not _is_repeated(ports.storage, target, str(request.id)):
        journal.mark(
            ports.storage, target, "retry", view.retries + 1, "requested", ports.now(),
            principal=call.principal.subject, key=str(request.id),
        )  # fmt: skip


def _sealed(storage: Storage, asset: UUID) -> Mapping[str, Any]:
    record = records.of_asset(storage, asset)
    if record is None:
        if intake.find(storage, asset) is None and not journal.view(storage, asset).is_known:
            raise RejectedUnknown(f"there is no asset {asset}: polyglot list shows all")
        raise RejectedConflict(f"{asset} is not sealed yet: polyglot status {asset} --watch tells when")
    return record


def _was_sealed(ports: Ports, asset: UUID) -> bool:
    """Whether an asset was sealed once, however damaged it is by now: what is wrong is for the verification to say."""
    kept = (paths.record_key(asset), paths.inventory_key(asset))
    return any(ports.storage.stat(key) for key in kept) or ports.ledger.find(asset) is not None


def request_verification(call: Call, ports: Ports, measures: claims.Measures) -> answers.Accepted:
    """Ask for claims about an asset to be verified; one event for each that applies.

    ``measures`` tells of which frameworks and accelerators translations can be measured again.
    """
    asset, level = call.body.asset, call.body.level
    if not _was_sealed(ports, asset):
        _sealed(ports.storage, asset)
    record = _readable(ports.storage, asset)
    if level in (claims.REPRODUCTION, claims.EQUIVALENCE) and record is not None:
        asset, record = _meant(ports.storage, asset, record, level)
    asked, others = claims.applicable(record, level, measures, call.body.path)
    gone = _gone(ports, asset, record)
    if claims.REPRODUCTION in asked and claims.REPRODUCTION not in gone:
        why = _withdrawn(ports, asset, record)
        if why and level == claims.REPRODUCTION:
            raise RejectedConflict(f"{why}; what is revoked is not trained on once more")
        gone |= {claims.REPRODUCTION: f"{why}; it is not trained on once more"} if why else {}
    asked, others = (
        [claim for claim in asked if claim not in gone],
        others | {claim: why for claim, why in gone.items() if claim in asked},
    )
    body = {"claims": asked, "not_applicable": others, "path": call.body.path}
    request = intake.accept(ports, call.principal, "verifications", call.key, body, asset)
    return _begin(ports, request, *(_verification(request, claim, record or {}) for claim in asked))


def _gone(ports: Ports, asset: UUID, record: Mapping[str, Any] | None) -> dict[str, str]:
    """The claims whose files were erased, each with the reason; a translation is measured against its source's."""
    gone = dict(erasure.not_applicable(ports, asset))
    if record is not None and record["kind"] == Kind.TRANSLATION:
        source = erasure.not_applicable(ports, UUID(record["source"])).get(claims.EQUIVALENCE)
        gone |= {claims.EQUIVALENCE: f"of its source, {source}"} if source else {}
    return gone


def _withdrawn(ports: Ports, asset: UUID, record: Mapping[str, Any] | None) -> str:
    """Why a trained model may not be trained once more; empty where it may, and where its records do not tell."""
    if record is None or record.get("origin") != "trained":
        return ""
    with suppress(Rejected):
        return revocation.withdrawn(ports, asset, *training.needed(ports.storage, UUID(record["parents"][0])))
    return ""


def _meant(
    storage: Storage, asset: UUID, record: Mapping[str, Any], level: str
) -> tuple[UUID, Mapping[str, Any] | None]:
    """What a claim about a model means: its trained model, or of that the translation. Raises RejectedConflict."""
    wanted = trained_model_of(storage, asset)
    made = "trained model"
    if level == claims.EQUIVALENCE and record["kind"] in (Kind.MODEL, Kind.TRAINED_MODEL):
        wanted, made = translation_id(wanted), "translation"
    found = record if wanted == asset else _readable(storage, wanted)
    if found is None:
        raise RejectedConflict(f"{asset} has no {made} yet: `polyglot status {asset} --watch` tells when")
    return wanted, found


def _readable(storage: Storage, asset: UUID) -> Mapping[str, Any] | None:
    """An asset's record; None where there is none that can be read here, which is for the verification to say."""
    try:
        return records.of_asset(storage, asset)
    except (RejectedContent, UnavailableNewer):
        return None


def _verification(request: Request, claim: str, record: Mapping[str, Any]) -> Event:
    data = {"request": str(request.id)}
    if claim == claims.EQUIVALENCE:
        filters = claims.equivalence_filters(record)
        return announce("verification.requested", request.asset, str(request.id), data, claim=claim, **filters)
    if claim == claims.REPRODUCTION:  # there is something to do before it can be verified
        return announce("reproduction.requested", request.asset, str(request.id), data)
    return announce("verification.requested", request.asset, str(request.id), data, claim=claim)


def retry(call: Call, ports: Ports) -> answers.Accepted:
    """Start a rejected or failed step again, as a new attempt."""
    storage, again = ports.storage, withdrawing.retried(call, ports)
    if again is not None:
        return again
    progress = Progress(storage, ports.ledger, f"retry:{call.id}")
    steps = chain_of_asset(progress, storage, call.id)
    origin = intake.origin(storage, call.id)
    if not steps or origin is None:
        raise RejectedUnknown(f"{call.id} was not asked for by itself: retry the asset that its chain began with")
    call.principal.require_owner(origin.principal)
    step = steps[-1]
    if not step.has_ended:
        if _is_repeated(storage, step.owner or call.id, call.key):
            return _begin(ports, origin)
        raise RejectedConflict(f"nothing to retry: {step.name} is {step.state}")
    owner = step.owner or call.id
    if step.name == "ingest" and origin.route != "models":
        raise RejectedConflict(f"{step.reason} This is final: register again.")
    intake.open_chain(storage, origin)  # before the mark: who is killed in between leaves something to sweep
    count = journal.view(storage, owner).retries + 1
    journal.mark(
        storage, owner, "retry", count, "requested", ports.now(), principal=call.principal.subject, key=call.key
    )
    now = chain_of_asset(Progress(storage, ports.ledger, f"retry:{owner}:{count}"), storage, call.id) or steps
    event = now[-1].event
    return _begin(ports, origin, *([event] if event else []))


def _is_repeated(storage: Storage, owner: UUID, key: str | None) -> bool:
    """Whether the last retry came with this key: its answer was lost, and it is asked again."""
    last = journal.content(storage, owner, "retry", journal.view(storage, owner).retries, "requested")
    return key is not None and last.get("key") == key


def cancel(call: Call, ports: Ports) -> answers.Accepted:
    """Stop a model's training: a mark for the current attempt, and an event that says to look."""
    origin = intake.origin(ports.storage, call.id)
    if origin is None or origin.route != "models":
        raise RejectedUnknown(f"there is no model {call.id}: cancel takes the UUID that `model register` printed")
    call.principal.require_owner(origin.principal)
    attempt = journal.view(ports.storage, call.id).attempt
    trained = journal.view(ports.storage, trained_model_id(call.id, attempt))
    has_ended = trained.has_record or trained.outcome("train", attempt) in journal.ENDED
    if has_ended and not training.is_cancelled(ports.storage, call.id, attempt):
        raise RejectedConflict(f"nothing to cancel: the training of {call.id} has ended")
    journal.mark(ports.storage, call.id, "cancel", attempt, "requested", ports.now(), principal=call.principal.subject)
    event = announce("cancellation.requested", call.id, f"cancel:{origin.id}:{attempt}")
    return _begin(ports, origin, event)
