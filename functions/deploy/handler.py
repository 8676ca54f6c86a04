"""`deploy` carries authorizations to the ledger. It holds no role key, and nobody else sends transactions."""

from functions import declaration
from functions._domain import journal, records
from functions._domain.assets import Kind
from functions._domain.carrying import carry, carry_revocation, require_sealed
from functions._domain.errors import RejectedSigner
from functions._domain.events import Event, announce
from functions._domain.identity import translation_id
from functions._domain.ports import Ports
from functions._domain.resealing import revoking_event, sealing_event


def handle(event: Event, ports: Ports) -> Event | None:
    """Carry what the subject's authorizations ask for, and say what stands on the ledger now."""
    require_sealed(ports, event.subject)
    if event.name == "revocation.authorized":
        return revoke(event, ports)
    if event.name == "evidence.authorized":  # also of an asset whose record is damaged: that may be what it says
        carry(ports, event.subject)
        return announce("evidence.recorded", event.subject, event.id)
    record = records.of_subject(ports.storage, event.subject)
    try:
        carry(ports, event.subject)
    except RejectedSigner:
        again = sealing_event(ports, record, event.id)
        if again is not None:
            return again
        carry(ports, event.subject)  # sealed anew meanwhile, or refused for good
    kind, framework = Kind(record["kind"]), str(record.get("framework", ""))
    accelerator = str(record.get("accelerator", "none")) if kind is Kind.TRAINED_MODEL else ""
    if kind is Kind.TRAINED_MODEL and not declaration.translates(framework, accelerator):
        refuse_translation(event, framework, record["format"], ports)
    return announce(
        "contract.deployed", event.subject, event.id, assetkind=kind, framework=framework, accelerator=accelerator
    )


def revoke(event: Event, ports: Ports) -> Event:
    """Carry a revocation; where its signer's role has ended, ask for it to be signed anew."""
    try:
        carry_revocation(ports, event.subject)
    except RejectedSigner:
        again = revoking_event(ports, event.subject, event.id)
        if again is not None:
            return again
        carry_revocation(ports, event.subject)
    return announce("asset.revoked", event.subject, event.id)


def refuse_translation(event: Event, framework: str, format_: str, ports: Ports) -> None:
    """Say that no translator takes this trained model; nobody else would."""
    taken = sorted({variant.filter["framework"] for variant in declaration.by_name("translate").variants})
    reason = (
        f"no translator for {framework} models ({format_}) is declared on this platform, which takes "
        f"{', '.join(taken)}: export the model to one of these, or pull it in its native format"
    )
    target = translation_id(event.subject)
    attempt = journal.view(ports.storage, target).attempt
    journal.mark(ports.storage, target, "translate", attempt, "rejected", ports.now(), reason=reason)
