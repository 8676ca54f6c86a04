"""Retraining: a trained model's recorded training once more, so that ``reproduction`` can compare what comes of it.

Such a run is named by the request that asked for it, and stages its results below ``runs/<request>/``, where they stay.
Its marks are those of the request's step, in the trained model's journal; ``failed`` means that nothing was measured.
"""

import re
from dataclasses import replace
from uuid import UUID

from functions._domain import choosing, intake, journal, paths, records, revocation, training
from functions._domain.assets import Kind
from functions._domain.claims import REPRODUCTION
from functions._domain.errors import RejectedConflict, RejectedContent, RejectedRequest, RejectedUnknown
from functions._domain.events import Event, announce
from functions._domain.intake import Request
from functions._domain.ports import Ports, Run, RunState, Storage

_RUN = re.compile(r"reproduce-(?P<request>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def run_name(request: UUID) -> str:
    """The name of the run that a request asks for."""
    return f"reproduce-{request}"


def is_retraining(event: Event) -> bool:
    """Whether an event is about such a run."""
    return _RUN.fullmatch(str(event.data.get("run", ""))) is not None


def step_of(request: Request) -> str:
    """The name of the request's step, under which its marks are."""
    return f"verify-{request.id}"


def asked(storage: Storage, event: Event) -> Request:
    """The request that an event is about, which must have asked for a reproduction.

    Raises:
        RejectedRequest: it did not, or there is none.
    """
    request = _of_run(storage, event) if is_retraining(event) else intake.named(storage, event, "verifications")
    if REPRODUCTION not in request.body["claims"]:
        raise RejectedRequest(f"request {request.id} does not ask to reproduce anything")
    return request


def _of_run(storage: Storage, event: Event) -> Request:
    match = _RUN.fullmatch(str(event.data["run"]))
    request = intake.find(storage, UUID(match["request"])) if match else None
    if request is None or request.id != event.subject or request.route != "verifications":
        raise RejectedRequest(f"{event.data['run']!r} is not a run of {event.subject}")
    return request


def has_ended(storage: Storage, request: Request) -> bool:
    """Whether nothing more is to be done: it failed, or a statement says what was found."""
    if storage.stat(paths.evidence_key(request.asset, REPRODUCTION, str(request.id))) is not None:
        return True
    return journal.view(storage, request.asset).outcome(step_of(request), 1) in journal.ENDED


def failed(ports: Ports, request: Request, reason: str) -> None:
    """Say why nothing was measured."""
    text = f"{reason[:4000]} — nothing was measured"
    journal.mark(ports.storage, request.asset, step_of(request), 1, "failed", ports.now(), reason=text)


def planned(storage: Storage, request: Request) -> Run:
    """The recorded training of a trained model, under a name of its own.

    Raises:
        RejectedConflict: a dataset's policy does not allow its image (any more).
        RejectedUnknown: the model or a dataset is gone.
    """
    record = records.required(storage, request.asset, Kind.TRAINED_MODEL)
    run = training.planned(storage, UUID(record["parents"][0]), int(record["run"]["attempt"]))
    return replace(run, name=run_name(request.id), asset=request.id)


def start(ports: Ports, event: Event) -> None:
    """Submit the run, unless that was done; where it never can, the request has failed."""
    request = asked(ports.storage, event)
    if has_ended(ports.storage, request) or choosing.is_chosen(ports.storage, request.id):
        return
    try:
        run = planned(ports.storage, request)
        if ports.engine.state(run.name).phase == "unknown":
            revocation.require_standing(ports, request.asset, *training.needed(ports.storage, run.model))
        training.require_trainable(run.image, ports.engine_kind)
        ports.engine.submit(run)
    except (RejectedConflict, RejectedContent, RejectedUnknown) as error:
        failed(ports, request, str(error))
        return
    journal.mark(ports.storage, request.asset, step_of(request), 1, "started", ports.now(), run=run.name)


def collect(ports: Ports, event: Event) -> Event | None:
    """Ask the engine what became of the run; one that succeeded is settled, and may be compared."""
    request, storage = asked(ports.storage, event), ports.storage
    if has_ended(storage, request):
        return None
    data = {"request": str(request.id)}
    if not choosing.is_chosen(storage, request.id):
        state = ports.engine.state(run_name(request.id))
        if state.phase == "running":
            return None
        if state.phase == "unknown":
            return announce("reproduction.requested", request.asset, event.id, data)
        fault = _settled(ports, request, state)
        if fault:
            ports.engine.release(run_name(request.id), fault)  # before the mark: after it, nobody would come back
            failed(ports, request, fault)
            return None
    ports.engine.release(run_name(request.id))
    return announce("reproduction.finished", request.asset, event.id, data)


def _settled(ports: Ports, request: Request, state: RunState) -> str:
    """Settle the execution; returns why there is nothing to compare, or an empty string."""
    run = run_name(request.id)
    if state.phase == "failed":
        if state.execution:
            training.kept_log(ports, request.id, run, state.execution)
        return state.reason or "the engine gives no reason"
    try:
        training.settle(ports, request.id, run, state)
    except RejectedContent as error:
        return str(error)
    return ""
