"""`translate` exports a trained model to ONNX, measures whether both compute the same, and seals the result."""

from uuid import UUID

from functions._domain import intake, records
from functions._domain.assets import Kind
from functions._domain.errors import RejectedRequest
from functions._domain.events import Event, announce
from functions._domain.identity import translation_id
from functions._domain.journal import ENDED, view
from functions._domain.ports import Ports
from functions._domain.sealing import is_sealed_by
from functions._domain.translation import translate


def handle(event: Event, ports: Ports) -> Event | None:
    """Translate the subject, as its registration implies or as a ``translation.requested`` asks."""
    record = records.required(ports.storage, event.subject, Kind.TRAINED_MODEL)
    if event.attributes.get("framework") != record["framework"]:
        raise RejectedRequest(f"{event.subject} is a {record['framework']} model")
    opset = requested_opset(event, ports) if event.name == "translation.requested" else None
    target = translation_id(event.subject, opset)
    if view(ports.storage, target).outcome("translate") in ENDED:
        return None
    if not is_sealed_by(ports.storage, ports.signer, target):
        translate(ports, event.subject, opset)
    return announce("asset.registered", target, event.id, assetkind=Kind.TRANSLATION)


def requested_opset(event: Event, ports: Ports) -> int | None:
    """The opset that the event's request asks for; the request must be about the subject."""
    request = intake.load(ports.storage, UUID(str(event.data.get("request"))))
    if request.route != "translations" or request.asset != event.subject:
        raise RejectedRequest(f"request {request.id} does not ask for a translation of {event.subject}")
    found: int | None = request.body["opset"]
    return found
