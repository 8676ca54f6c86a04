"""`collect` asks the engine itself what became of a run, and makes a trained model of one that succeeded."""

from uuid import UUID

from functions import declaration
from functions._domain import choosing, records, resealing, retraining, training
from functions._domain.assets import Kind
from functions._domain.errors import RejectedConflict, RejectedContent
from functions._domain.events import Event, announce
from functions._domain.identity import trained_model_id
from functions._domain.journal import ENDED, view
from functions._domain.ports import Ports, RunState
from functions._domain.sealing import is_sealed_by


def handle(event: Event, ports: Ports) -> Event | None:
    """Promote and seal a finished run's outputs; a failed one leaves a readable failure and no model."""
    if retraining.is_retraining(event):
        return retraining.collect(ports, event)
    asset = event.subject
    model, attempt = training.parse_run(str(event.data.get("run", "")), asset)
    records.of_subject(ports.storage, model, Kind.MODEL)
    run = training.run_name(model, attempt)
    if view(ports.storage, asset).outcome("train", attempt) in ENDED:
        return None
    registered = announce("asset.registered", asset, event.id, assetkind=Kind.TRAINED_MODEL)
    if is_sealed_by(ports.storage, ports.signer, asset) or ports.ledger.find(asset) is not None:
        resealing.done(ports, event, asset)
        return registered
    state = ports.engine.state(run)
    if state.phase == "running":
        if training.is_cancelled(ports.storage, model, attempt):
            ports.engine.cancel(run)
        return None
    if state.phase == "unknown" and not choosing.is_chosen(ports.storage, asset):
        return announce("contract.deployed", model, event.id, assetkind=Kind.MODEL)
    fault = promoted(ports, model, attempt, state)
    if fault:
        ports.engine.release(run, fault)  # before the mark: after it, nobody would come back
        training.failed(ports, asset, attempt, fault)
    else:
        resealing.done(ports, event, asset)
    return announce("training.failed", model, event.id, {"run": run}) if fault else registered


def promoted(ports: Ports, model: UUID, attempt: int, state: RunState) -> str:
    """Make the trained model; returns why none comes of it, or an empty string."""
    if state.phase == "failed":
        if state.execution:
            training.kept_log(
                ports, trained_model_id(model, attempt), training.run_name(model, attempt), state.execution
            )
        return state.reason or "the engine gives no reason"
    try:
        training.promote(ports, model, attempt, state, declaration.translates)
    except (RejectedContent, RejectedConflict) as error:
        return str(error)
    return ""
