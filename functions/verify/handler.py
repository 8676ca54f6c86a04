"""`verify` checks a claim from the bytes and the ledger, and signs what it found, good or bad."""

from functions._domain import choosing, claims, intake, paths, records, retraining, verifying
from functions._domain.authorizations import evidence
from functions._domain.errors import RejectedConflict, RejectedContent, RejectedRequest, RejectedUnknown
from functions._domain.events import Event, announce
from functions._domain.intake import Request
from functions._domain.ports import Ports
from functions._domain.signing import record_statement
from functions._domain.statements import opened, statement


def handle(event: Event, ports: Ports) -> Event | None:
    """Verify one claim of a request; what an earlier execution signed counts."""
    request, claim = asked(event, ports)
    key = paths.evidence_key(request.asset, claim, str(request.id))
    envelope = ports.storage.read(key)
    if envelope is None or not ports.signer.made(envelope):
        try:
            envelope = record_statement(ports.storage, ports.signer, key, signed(request, claim, ports))
        except (RejectedContent, RejectedConflict, RejectedUnknown) as error:
            if claim != claims.REPRODUCTION:
                raise
            retraining.failed(ports, request, str(error))
            return None
    found = opened(envelope)
    message = evidence(request.asset, claim, found.digest, found.predicate["verdict"])
    records.store_authorization(ports.storage, ports.signer.authorize(message))
    return announce("evidence.authorized", request.asset, f"{event.id}:{claim}")


def asked(event: Event, ports: Ports) -> tuple[Request, str]:
    """The request and its claim that an event is about. Raises RejectedRequest where nobody asked."""
    if event.name == "reproduction.finished":
        request = retraining.asked(ports.storage, event)
        if not choosing.is_chosen(ports.storage, request.id):
            raise RejectedRequest(f"request {request.id} has nothing to compare: its run was not settled")
        return request, claims.REPRODUCTION
    request, claim = intake.named(ports.storage, event, "verifications"), event.attributes.get("claim", "")
    if claim not in request.body["claims"] or claim == claims.REPRODUCTION:
        raise RejectedRequest(f"request {request.id} does not ask to verify {claim!r}")
    if claim == claims.EQUIVALENCE:
        event.require(**claims.equivalence_filters(records.required(ports.storage, request.asset)))
    return request, claim


def signed(request: Request, claim: str, ports: Ports) -> bytes:
    """The signed statement of what is found now."""
    contract = ports.ledger.find(request.asset)
    digest = contract.inventory_digest if contract else f"sha256:{'0' * 64}"
    return ports.signer.sign(statement(claim, request.asset, digest, verifying.predicate(ports, request, claim)))
