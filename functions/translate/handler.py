"""`translate` exports a trained model to ONNX, measures whether both compute the same, and seals the result."""

from functions._domain import intake, records, resealing, revocation
from functions._domain.assets import Kind
from functions._domain.events import Event, announce
from functions._domain.identity import translation_id
from functions._domain.journal import ENDED, view
from functions._domain.ports import Ports
from functions._domain.sealing import is_sealed_by
from functions._domain.translation import translate


def handle(event: Event, ports: Ports) -> Event | None:
    """Translate the subject, as its registration implies or as a ``translation.requested`` asks."""
    record = records.of_subject(ports.storage, event.subject, Kind.TRAINED_MODEL)
    is_asked = event.name == "translation.requested"
    asked = intake.named(ports.storage, event, "translations").body if is_asked else record
    opset: int | None = asked.get("opset") if is_asked else None
    accelerator = asked.get("accelerator", "none")
    event.require(framework=record["framework"], accelerator=accelerator)
    target = translation_id(event.subject, opset)
    if view(ports.storage, target).outcome("translate") in ENDED:
        return None
    if not is_sealed_by(ports.storage, ports.signer, target) and ports.ledger.find(target) is None:
        revocation.require_standing(ports, event.subject)
        translate(ports, event.subject, opset, accelerator)
    resealing.done(ports, event, target)
    return announce("asset.registered", target, event.id, assetkind=Kind.TRANSLATION)
