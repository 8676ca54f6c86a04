"""`train` submits a model's training run, or stops it."""

from functions._domain import journal, records, retraining, training
from functions._domain.assets import Kind
from functions._domain.events import Event, announce
from functions._domain.identity import trained_model_id
from functions._domain.ports import Ports


def handle(event: Event, ports: Ports) -> Event | None:
    """Submit the current attempt's run, unless it has ended; submitting twice starts one."""
    if event.name == "reproduction.requested":
        retraining.start(ports, event)
        return None
    records.of_subject(ports.storage, event.subject, Kind.MODEL)
    attempt = journal.view(ports.storage, event.subject).attempt
    asset, run = trained_model_id(event.subject, attempt), training.run_name(event.subject, attempt)
    if event.name == "cancellation.requested":
        if training.is_cancelled(ports.storage, event.subject, attempt):
            ports.engine.cancel(run)
        return None
    trained = journal.view(ports.storage, asset)
    if trained.has_record or trained.outcome("train", attempt) in journal.ENDED:
        return None
    if training.is_cancelled(ports.storage, event.subject, attempt) and ports.engine.state(run).phase == "unknown":
        training.failed(ports, asset, attempt, "cancelled before it was started")
        return announce("training.failed", event.subject, event.id, {"run": run})
    training.require_standing(ports, event.subject, run)
    planned = training.planned(ports.storage, event.subject, attempt)
    training.require_trainable(planned.image, ports.engine_kind)
    ports.engine.submit(planned)
    journal.mark(ports.storage, asset, "train", attempt, "started", ports.now(), run=run)
    return announce("training.started", event.subject, event.id, {"run": run})
