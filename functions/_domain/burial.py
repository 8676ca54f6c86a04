"""Burial: what a permanent fault or a dead letter leaves behind, found again from the event it was about.

A mark says that a step cannot be done. Where the *event* was at fault, which anybody may have sent, nothing is held
against the asset that it names: functions refuse it with ``RejectedRequest``, and it is kept under ``dead-letters/``.
"""

from uuid import UUID

from functions._domain import erasure, intake, journal, leftovers, paths, records, retraining, revocation, training
from functions._domain.assets import Kind
from functions._domain.digests import canonical
from functions._domain.errors import Rejected, RejectedRequest, UnavailableNewer
from functions._domain.events import Event
from functions._domain.identity import trained_model_id, translation_id
from functions._domain.ports import Ports, Storage

Place = tuple[UUID, str, int]
"""Where a mark about a step goes: the asset that keeps it, the step's name, the attempt."""


def place_of(storage: Storage, event: Event) -> Place | None:
    """The step that an event drives; None where it speaks of nothing that is known here.

    Raises:
        UnavailableNewer: a newer platform wrote what would tell.
    """
    try:
        return _place(storage, event)
    except (Rejected, ValueError, KeyError):
        return None


def _place(storage: Storage, event: Event) -> Place | None:
    subject = event.subject
    view = journal.view(storage, subject)
    known = view.is_known or intake.find(storage, subject) is not None
    match event.name:
        case "asset.submitted" if known:
            return subject, "ingest", view.attempt
        case "asset.registered" | "evidence.authorized" if known:
            return subject, "deploy", view.attempt
        case "reproduction.requested" | "reproduction.finished" | "training.finished" if _is_reproduction(event):
            request = retraining.asked(storage, event)
            return request.asset, retraining.step_of(request), 1
        case "training.finished":
            model, attempt = training.parse_run(str(event.data.get("run", "")), subject)
            return (subject, "train", attempt) if records.of_asset(storage, model) else None
        case "contract.deployed" | "cancellation.requested" | "translation.requested" if view.has_record:
            return _made_from(storage, event, view)
        case "revocation.requested" | "revocation.authorized" if known:
            return subject, revocation.STEP, view.attempt_of(revocation.STEP)
        case "erasure.requested":
            request = erasure.request_of(storage, event)
            if request.route == leftovers.ROUTE:
                return subject, leftovers.step(request), 1
            return subject, erasure.STEP, view.attempt_of(erasure.STEP)
        case "verification.requested" if known:
            return subject, f"verify-{intake.named(storage, event, 'verifications').id}", 1
        case _:
            return None


def _is_reproduction(event: Event) -> bool:
    return event.name != "training.finished" or retraining.is_retraining(event)


def _made_from(storage: Storage, event: Event, view: journal.View) -> Place | None:
    record = records.required(storage, event.subject)
    if record["kind"] == Kind.MODEL:
        return trained_model_id(event.subject, view.attempt), "train", view.attempt
    if record["kind"] != Kind.TRAINED_MODEL:
        return None
    opset = None
    if event.name == "translation.requested":
        opset = intake.named(storage, event, "translations").body["opset"]
    target = translation_id(event.subject, opset)
    return target, "translate", journal.view(storage, target).attempt


def reject(ports: Ports, event: Event, error: Rejected) -> None:
    """Leave a ``rejected`` mark, where the event is about something known and not itself at fault."""
    place = None if isinstance(error, RejectedRequest) else place_of(ports.storage, event)
    if place is not None:
        journal.mark(ports.storage, *place, "rejected", ports.now(), reason=str(error)[:4000], event=event.id)


def bury(ports: Ports, event: Event) -> None:
    """Mark a dead letter's step ``exhausted`` unless it has ended; keep one that was itself at fault."""
    try:
        place = place_of(ports.storage, event)
    except UnavailableNewer:  # its chain goes on when this platform is upgraded
        place = None
    error = {name: event.attributes.get(f"knativeerror{name}", "") for name in ("dest", "code", "data")}
    if _has_ended(ports.storage, place) or (place is None and _is_refused_inbox(ports.storage, event)):
        return
    if place is None or _was_refused(error["code"]):
        letter = {
            "schema": "polyglot/dead-letter/v1",
            "type": event.type,
            "id": event.id,
            "subject": str(event.subject),
            "attributes": dict(event.attributes),
            "data": dict(event.data),
        }
        ports.storage.create(f"{paths.DEAD_LETTERS}{_safe(event.id)}.json", canonical(letter))
        return
    reason = f"given up for now after many tries ({error['code']} {error['data']}); it is tried again later"
    journal.mark(ports.storage, *place, "exhausted", ports.now(), reason=reason, event=event.id)


def _has_ended(storage: Storage, place: Place | None) -> bool:
    return place is not None and journal.view(storage, place[0]).outcome(*place[1:]) in journal.ENDED


def _was_refused(code: str) -> bool:
    """Whether the answer was final. Where no mark was left before it, the event was at fault and not the step."""
    return code.startswith("4") and code not in ("404", "408", "409", "429")


def _is_refused_inbox(storage: Storage, event: Event) -> bool:
    """Whether the event is about an inbox folder that holds the reason why it was refused."""
    key = event.data.get("key")
    return isinstance(key, str) and storage.stat(paths.refusal_key(key)) is not None


def _safe(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in name)[:200]
