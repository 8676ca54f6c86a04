"""Reading: what the HTTP interface answers, put together from storage, ledger and engine; nothing here writes."""

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from functions._domain import (
    answers,
    erasure,
    intake,
    journal,
    lineage,
    paths,
    records,
    revocation,
    training,
    withdrawing,
)
from functions._domain.assets import Kind
from functions._domain.calls import Call, Redirect
from functions._domain.errors import RejectedContent, RejectedRequest, RejectedUnknown, Unavailable, UnavailableNewer
from functions._domain.identity import trained_model_id, translation_id
from functions._domain.ports import Contract, Ports
from functions._domain.progress import Progress, Step, chain_of_asset
from functions._domain.sealing import in_order
from functions._domain.statements import opened

NEXT = {
    "train": "read `polyglot logs {id}`, mend the script or its settings, and register again or `polyglot retry {id}`",
    "translate": "the trained model is there (`polyglot pull {id} DIR`); `polyglot retry {id}` tries again",
    "deploy": "the operator reads the reason, mends the ledger's roles, and runs `polyglot retry {id}`",
}

DETAIL = ("class", "distance", "interval", "compared")
"""What an answer shows of a claim's statement beside its findings, where it says so: a reproduction does."""

LOG_LINES = 5
"""The lines of a training's log that its status shows."""

_INDEXED = re.compile(r"index/name/[^/]+/(?P<name>[^/]+)/(?P<asset>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def _progress(ports: Ports, cause: UUID) -> Progress:
    return Progress(ports.storage, ports.ledger, str(cause))


def _steps(ports: Ports, asset: UUID) -> list[Step]:
    steps = chain_of_asset(_progress(ports, asset), ports.storage, asset)
    if steps is None:
        opened_upload = intake.find(ports.storage, asset)
        if opened_upload is None:
            raise RejectedUnknown(f"there is no asset {asset}: `polyglot list` shows all")
        return [Step("upload", asset, "waiting", "files are being uploaded; nothing was registered yet")]
    return steps


def _state(steps: Sequence[Step]) -> str:
    return "complete" if steps[-1].state == "done" else steps[-1].state


def _reason(asset: UUID, step: Step) -> str:
    if not step.has_ended or step.reason.rstrip().endswith("."):
        return step.reason
    hint = NEXT.get(step.name, "")
    return f"{step.reason} — {hint.format(id=asset)}" if hint else step.reason


def _step_answers(asset: UUID, steps: Sequence[Step]) -> list[answers.StepAnswer]:
    return [
        answers.StepAnswer(
            step=step.name,
            asset=step.asset,
            state=step.state,
            reason=_reason(asset, step),
            detail={"claim": step.claim} if step.claim else {},
        )
        for step in steps
    ]


def get_status(call: Call, ports: Ports) -> answers.StatusAnswer:
    """How far an asset has come."""
    steps = _steps(ports, call.id)
    last, view = steps[-1], journal.view(ports.storage, call.id)
    trained, translation = _descendants(ports, call.id)
    waits, log = _going_on(ports, last)
    contract = ports.ledger.find(call.id)
    revoked = revocation.told(ports.storage, ports.ledger, call.id, contract)
    return answers.StatusAnswer(
        id=call.id,
        kind=_kind(ports, call.id),
        state=_state(steps),
        step=last.name,
        attempt=view.attempt,
        reason=(_reason(call.id, last) or waits) if last.state != "done" else "",
        log=log,
        steps=_step_answers(call.id, [*steps, *_taken_back(ports, call.id)]),
        trained_model=trained,
        translation=translation,
        revoked=answers.RevokedAnswer(reason=revoked.reason, time=revoked.stamp) if revoked else None,
        erased=erasure.erased(ports.storage, call.id, contract) or None,
    )


def _taken_back(ports: Ports, asset: UUID) -> list[Step]:
    """The steps of what was asked to be taken back of an asset."""
    progress = _progress(ports, asset)
    return [step for _, request in withdrawing.asked(ports.storage, asset) for step in progress.chain(request)]


def _going_on(ports: Ports, step: Step) -> tuple[str, str]:
    """What a training waits for, and the end of its log; nothing where none goes on, or the engine is away."""
    run = str(step.event.data.get("run", "")) if step.event else ""
    if step.state != "running" or not run:
        return "", ""
    try:
        return ports.engine.state(run).reason, ports.engine.log(run, LOG_LINES)
    except Unavailable:
        return "", ""


def _kind(ports: Ports, asset: UUID) -> str:
    record = records.of_asset(ports.storage, asset)
    if record is not None:
        return str(record["kind"])
    request = intake.find(ports.storage, asset)
    if request is None:
        return "unknown"
    kinds = {"models": "model", "datasets": "dataset", "trained-models": "trained-model"}
    return kinds.get(request.route) or str(request.body.get("kind", "unknown"))


def _descendants(ports: Ports, asset: UUID) -> tuple[UUID | None, UUID | None]:
    """The sealed trained model and translation that an asset's UUID implies."""
    record = records.of_asset(ports.storage, asset)
    if record is None or record["kind"] not in (Kind.MODEL, Kind.TRAINED_MODEL):
        return None, None
    trained = asset
    if record["kind"] == Kind.MODEL:
        trained = trained_model_id(asset, journal.view(ports.storage, asset).attempt)
        if not _has_record(ports, trained):
            return None, None
    translation = translation_id(trained)
    return trained, translation if _has_record(ports, translation) else None


def _has_record(ports: Ports, asset: UUID) -> bool:
    try:
        return records.of_asset(ports.storage, asset) is not None
    except UnavailableNewer:
        return True


def get_request(call: Call, ports: Ports) -> answers.RequestAnswer:
    """What became of a request."""
    request = intake.load(ports.storage, call.id)
    waits = log = ""
    if request.route == "uploads":
        steps = [Step("upload", request.asset, "waiting", "files are being uploaded")]
    else:
        steps = list(_progress(ports, request.id).chain(request))
    waits, log = _going_on(ports, steps[-1])
    return answers.RequestAnswer(
        id=request.id,
        route=request.route,
        asset=request.asset,
        time=request.time,
        state=_state(steps),
        reason=(_reason(request.asset, steps[-1]) or waits) if steps[-1].state != "done" else "",
        log=log,
        steps=_step_answers(request.asset, steps),
        claims=_claims(ports, request) if request.route == "verifications" else [],
    )


def _claims(ports: Ports, request: intake.Request) -> list[answers.ClaimAnswer]:
    """What was found of each claim, then those that do not apply."""
    others: Mapping[str, str] = request.body.get("not_applicable", {})
    found = [_claim(ports, request, claim) for claim in request.body["claims"]]
    return found + [
        answers.ClaimAnswer(claim=claim, verdict="not applicable", findings=[why]) for claim, why in others.items()
    ]


def _claim(ports: Ports, request: intake.Request, claim: str) -> answers.ClaimAnswer:
    envelope = ports.storage.read(paths.evidence_key(request.asset, claim, str(request.id)))
    if envelope is None:
        return answers.ClaimAnswer(claim=claim, verdict="")
    found = opened(envelope)
    return answers.ClaimAnswer(
        claim=claim,
        verdict=found.predicate["verdict"],
        findings=list(found.predicate["findings"]),
        statement_digest=found.digest,
        recorded=_progress(ports, request.id).is_evidence_recorded(request.asset, claim, envelope),
        detail={name: found.predicate[name] for name in DETAIL if name in found.predicate},
    )


def list_assets(call: Call, ports: Ports) -> answers.AssetList:
    """All assets, oldest first."""
    found = []
    for kind in _kinds(call.query.get("kind")):
        prefix = f"index/name/{kind}/{call.query['name'] + '/' if call.query.get('name') else ''}"
        for entry in ports.storage.list(prefix):
            match = _INDEXED.fullmatch(entry.key)
            if match and (not call.query.get("name") or match["name"] == call.query["name"]):
                found.append((entry.modified, match["asset"], kind, match["name"]))
    found.sort()

    def summary(item: tuple[object, str, str, str]) -> answers.AssetSummary:
        _, asset, kind, name = item
        return answers.AssetSummary(id=UUID(asset), kind=kind, name=name, status=_status_of(ports, UUID(asset)))

    return answers.AssetList(assets=list(in_order(summary, found)))


def _kinds(asked: str | None) -> list[str]:
    kinds = [kind.value for kind in Kind]
    if asked and asked not in kinds:
        raise RejectedRequest(f"kind is {asked!r}: expected {', '.join(kinds)}")
    return [asked] if asked else kinds


def _status_of(ports: Ports, asset: UUID) -> str:
    try:
        state, contract = _state(_steps(ports, asset)), ports.ledger.find(asset)
        if contract is not None and contract.revoked:
            return "erased" if erasure.erased(ports.storage, asset, contract) else "revoked"
        return state
    except (RejectedContent, RejectedUnknown):
        return "damaged"
    except UnavailableNewer:
        return "newer"


def contract_answer(ports: Ports, asset: UUID, contract: Contract) -> answers.ContractAnswer:
    """The ledger's view of an asset, for an answer."""
    ledger, revoked = ports.ledger, revocation.told(ports.storage, ports.ledger, asset, contract)
    return answers.ContractAnswer(
        address=contract.address,
        ledger=ledger.address,
        chain_id=ledger.chain_id,
        kind=contract.kind.value,
        registered_at=contract.registered_at,
        revoked=contract.revoked,
        inventory_digest=contract.inventory_digest,
        record_digest=contract.record_digest,
        authorizer=contract.authorizer,
        parents=list(contract.parents),
        revoked_at=revoked.time if revoked else None,
        revoked_reason=(revoked.reason or None) if revoked else None,
        revoked_reason_digest=(revoked.digest or None) if revoked else None,
    )


def get_contract(call: Call, ports: Ports) -> answers.ContractAnswer:
    """What the ledger says of an asset."""
    contract = ports.ledger.find(call.id)
    if contract is None:
        raise RejectedUnknown(
            f"the ledger has no asset {call.id} (yet): `polyglot status {call.id}` tells how far it is"
        )
    return contract_answer(ports, call.id, contract)


def get_asset(call: Call, ports: Ports) -> answers.AssetAnswer:
    """An asset's record, and what the ledger says."""
    record = records.of_asset(ports.storage, call.id)
    if record is None:
        state = _state(_steps(ports, call.id))
        raise RejectedUnknown(f"{call.id} has no record yet, it is {state}: `polyglot status {call.id}` tells more")
    contract = ports.ledger.find(call.id)
    trained, translation = _descendants(ports, call.id)
    fields = {name: value for name, value in record.items() if name not in ("id", "kind", "name")}
    return answers.AssetAnswer(
        **fields,
        id=call.id,
        kind=record["kind"],
        name=record["name"],
        contract=contract_answer(ports, call.id, contract) if contract else None,
        erased=erasure.erased(ports.storage, call.id, contract) or None,
        trained_model=trained,
        translation=translation,
    )


def get_lineage(call: Call, ports: Ports) -> answers.LineageAnswer:
    """An asset with its ancestors and descendants."""
    if records.of_asset(ports.storage, call.id) is None:
        raise RejectedUnknown(f"there is no sealed asset {call.id}")
    nodes = [answers.LineageNode(**node) for node in lineage.of(ports.storage, ports.ledger, call.id)]
    return answers.LineageAnswer(subject=call.id, nodes=nodes)


def get_evidence(call: Call, ports: Ports) -> answers.EvidenceAnswer:
    """The evidence of an asset; of a model, that of its latest trained model."""
    from functions._domain.evidence import gather  # only this answer needs it

    record, subject = records.of_asset(ports.storage, call.id), call.id
    if record is not None and record["kind"] == Kind.MODEL:
        trained = _descendants(ports, call.id)[0]
        if trained is None:
            raise RejectedUnknown(f"{call.id} has no trained model yet: `polyglot status {call.id}` tells why")
        subject = trained
    if ports.ledger.find(subject) is None:
        raise RejectedUnknown(
            f"the ledger has no asset {subject} (yet): `polyglot status {subject}` tells how far it is"
        )
    return answers.EvidenceAnswer.model_validate(gather(ports.storage, ports.ledger, ports.signatures, subject))


def get_logs(call: Call, ports: Ports) -> answers.LogsAnswer:
    """What a model's latest training printed: of a live run from the engine, of a finished one from storage."""
    record = records.of_asset(ports.storage, call.id)
    if record is not None and record.get("origin") == "trained":
        model, attempt = UUID(record["parents"][0]), int(record["run"]["attempt"])
    elif record is not None and record["kind"] == Kind.MODEL:
        model, attempt = call.id, journal.view(ports.storage, call.id).attempt
    else:
        raise RejectedUnknown(f"{call.id} is no model that was trained here, so it has no log")
    return answers.LogsAnswer(lines=_log(ports, model, attempt))


def _log(ports: Ports, model: UUID, attempt: int) -> str:
    try:
        live = ports.engine.log(training.run_name(model, attempt))
    except Unavailable:
        live = ""
    if live:
        return live
    prefix = paths.run_prefix(trained_model_id(model, attempt))
    for execution in sorted(ports.storage.folders(prefix), reverse=True):
        data = ports.storage.read(f"{prefix}{execution}/log.txt")
        if data:
            return data.decode(errors="replace")
    return ""


def get_file(call: Call, ports: Ports) -> Redirect:
    """Where one file's bytes are; of an empty path, the inventory."""
    try:
        call.path and paths.checked_path(call.path)
    except ValueError as error:
        raise RejectedRequest(str(error)) from error
    key = paths.files_prefix(call.id) + call.path if call.path else paths.inventory_key(call.id)
    if ports.storage.stat(key) is None:
        erased = erasure.erased(ports.storage, call.id, ports.ledger.find(call.id)) if call.path else ""
        if erased:
            raise RejectedUnknown(f"{call.path!r} of {call.id} was erased on {erased[:10]}, as its owner asked")
        raise RejectedUnknown(f"{call.id} has no file {call.path!r}" if call.path else f"{call.id} is not sealed yet")
    return Redirect(ports.storage.presign_get(key).url)
