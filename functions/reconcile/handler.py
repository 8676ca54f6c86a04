"""`reconcile` finds steps that are missing and announces them; a timer calls it, or an operator."""

from collections import Counter

from functions._domain import paths
from functions._domain.answers import SweepAnswer
from functions._domain.calls import Call
from functions._domain.events import Event
from functions._domain.ports import Ports
from functions._domain.sweep import STANDING, sweep


def reconcile(call: Call, ports: Ports) -> SweepAnswer:
    """Sweep now; with ``all``, every asset's ledger entries too."""
    return swept(ports, call.query.get("all", "") in ("1", "true", "yes"))


def handle(event: Event, ports: Ports) -> Event | None:
    """Sweep because the timer says so."""
    swept(ports, everything=False)
    return None


def swept(ports: Ports, everything: bool) -> SweepAnswer:
    """Announce what is missing, and measure what stands open."""
    looked_at, announced, states = 0, [], Counter[str]()
    for one in sweep(ports, everything):
        looked_at += 1
        states[one.state] += 1
        if one.event is not None:
            ports.broker.announce(one.event)
            announced.append(f"{one.event.name} {one.event.subject}")
    for state in STANDING:  # those of which there is none too, else a gauge keeps what it said last
        ports.measure("polyglot.open_chains", states[state], "{chain}", state=state)
    stored = sum(1 for _ in ports.storage.list(paths.DEAD_LETTERS))
    ports.measure("polyglot.dead_letters.stored", stored, "{letter}")
    return SweepAnswer(looked_at=looked_at, announced=announced)
