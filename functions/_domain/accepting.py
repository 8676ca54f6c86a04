"""Accepting: what every write of the HTTP interface ends with. The sweep watches the chain, and events are announced.

Announcing is best effort: the request stands in ``open/``, and the sweep announces what was lost.
"""

import logging

from functions._domain import answers, intake
from functions._domain.errors import Unavailable
from functions._domain.events import Event
from functions._domain.intake import Request
from functions._domain.ports import Ports

log = logging.getLogger(__name__)


def begin(ports: Ports, request: Request, *events: Event) -> answers.Accepted:
    """Have a request's chain watched, announce its events, and say that it is accepted."""
    intake.open_chain(ports.storage, request)
    for event in events:
        try:
            ports.broker.announce(event)
        except Unavailable as error:
            log.warning("%s of %s was not announced (%s); the sweep will", event.name, event.subject, error)
    return accepted(request)


def accepted(request: Request) -> answers.Accepted:
    """The answer that a request was accepted."""
    links = {"request": f"/v1/requests/{request.id}", "status": f"/v1/assets/{request.asset}/status"}
    return answers.Accepted(id=request.id, asset=request.asset, links=links)
