"""`bury` takes dead letters: events whose delivery was given up."""

from functions._domain.burial import bury
from functions._domain.events import Event
from functions._domain.ports import Ports


def handle(event: Event, ports: Ports) -> Event | None:
    """Mark what the letter was about, or keep it under ``dead-letters/``."""
    bury(ports, event)
    return None
