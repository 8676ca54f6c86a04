"""Carrying: puts an asset's stored authorizations on the ledger, parents first, registration before evidence."""

from uuid import UUID

from functions._domain import records
from functions._domain.errors import RejectedConflict
from functions._domain.ports import Ports


def carry(ports: Ports, asset: UUID) -> None:
    """Carry what the ledger does not have yet. Done already is success.

    Raises:
        RejectedConflict: the ledger refuses for ever; what could be carried was.
        UnavailableLedger: not yet known; ask again.
    """
    refusals = []
    for one in records.authorizations(ports.storage, asset):
        if ports.ledger.is_recorded(one.message):
            continue
        for parent in one.message.fields.get("parents", ()):  # type: ignore[attr-defined]
            if ports.ledger.find(UUID(parent)) is None:
                carry(ports, UUID(parent))
        try:
            ports.ledger.carry(one)
        except RejectedConflict as error:  # a forged object must not stop the genuine one beside it
            refusals.append(error)
    if refusals and not all(
        ports.ledger.is_recorded(one.message) for one in records.authorizations(ports.storage, asset)
    ):
        raise refusals[0]
