"""`forward` takes a store's notifications of all buckets, and tells each tenant's Broker of uploads to its inbox.

It answers at once and always well: a store like versitygw waits 3 s, asks once, and reads no answer, and one that asks
again until it is satisfied would hold up every tenant behind one whose Broker is gone. It believes nothing and holds
nothing: whoever posts here can have an inbox looked at, which the sweep does anyway.
"""

from collections.abc import Sequence

from functions._domain.forwarding import forward
from functions._domain.notices import Written
from functions._domain.ports import Ports


def notice(notices: Sequence[Written], cause: str, ports: Ports) -> None:
    """Pass hints on to the tenants whose buckets are named in ``POLYGLOT_FORWARD``."""
    forward(notices, ports.recipients, cause)
