"""`ingest` seals what was uploaded, and signs what its owner revokes: both are the registrar's to say."""

from collections.abc import Sequence

from functions._domain import resealing, revocation
from functions._domain.errors import Rejected
from functions._domain.events import Event, announce
from functions._domain.ingestion import empty_inbox, inbox_key, ingest, reject_inbox, request_of, take_inbox
from functions._domain.intake import inbox_subject, named
from functions._domain.notices import Written, notified_inboxes
from functions._domain.ports import Ports


def handle(event: Event, ports: Ports) -> Event | None:
    """Seal the asset an ``asset.submitted`` speaks of; a ``key`` in its data means an inbox folder."""
    if event.name == "revocation.requested":
        return revoke(event, ports)
    key = inbox_key(ports, event)
    if key is not None:
        return take(key, event.id, ports)
    request = request_of(ports, event)
    kind = ingest(ports, request)
    resealing.done(ports, event, request.asset)
    return announce("asset.registered", request.asset, event.id, assetkind=kind)


def take(key: str, cause: str, ports: Ports) -> Event | None:
    """Seal a complete inbox folder; nothing while files are missing."""
    try:
        request = take_inbox(ports, key)
        if request is None:
            return None
        kind = ingest(ports, request)
    except Rejected as error:
        reject_inbox(ports, key, str(error))
        raise
    empty_inbox(ports, key, request)
    return announce("asset.registered", request.asset, cause, assetkind=kind)


def revoke(event: Event, ports: Ports) -> Event:
    """Sign the reason for which an asset's owner revokes it."""
    revocation.authorize(ports, named(ports.storage, event, revocation.ROUTE))
    resealing.signed_again(ports, event)
    return announce("revocation.authorized", event.subject, event.id)


def notice(notices: Sequence[Written], cause: str, ports: Ports) -> None:
    """Storage says that these objects were written: hints, to be looked at as the sweep would."""
    for key in notified_inboxes([one.key for one in notices]):
        subject = inbox_subject(ports.tenant, key)
        ports.broker.announce(announce("asset.submitted", subject, cause, {"key": key}))
