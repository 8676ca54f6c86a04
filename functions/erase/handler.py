"""`erase` removes what its owner revoked, and what nothing needs any more. Nobody else may delete an asset's files."""

from functions._domain import erasure
from functions._domain.events import Event
from functions._domain.ports import Ports


def handle(event: Event, ports: Ports) -> Event | None:
    """Remove what the request of an event asks for, as far as ledger and store allow it."""
    erasure.erase(ports, event)
    return None
