"""Carrying: puts an asset's stored authorizations on the ledger, parents first, registration before evidence.

A revocation is carried by itself, last of all: what keeps it from the ledger says nothing against the asset.
"""

from uuid import UUID

from functions._domain import records
from functions._domain.digests import digest_of
from functions._domain.errors import RejectedConflict, RejectedRequest, RejectedSigner, UnavailableYet
from functions._domain.paths import evidence_prefix
from functions._domain.ports import Ports


def require_sealed(ports: Ports, asset: UUID) -> None:
    """Raises RejectedRequest where an asset is not sealed, perhaps not yet: an event that says so is wrong."""
    if not is_sealed(ports, asset):
        raise RejectedRequest(f"there is no sealed asset {asset}")


def is_sealed(ports: Ports, asset: UUID) -> bool:
    """Whether anything can be carried: while sealing, statements are authorized before the registration is."""
    return records.has_registration(ports.storage, asset) or ports.ledger.find(asset) is not None


def carry(ports: Ports, asset: UUID, within: frozenset[UUID] = frozenset()) -> None:
    """Carry what the ledger does not have yet. Done already is success; ``within`` are the descendants it is for.

    Raises:
        RejectedConflict: the ledger refuses for ever; what could be carried was.
        UnavailableLedger: not yet known; ask again.
        UnavailableYet: a parent has its record, and its authorization not yet.
    """
    refusals: list[RejectedConflict | UnavailableYet] = []
    for one in records.authorizations(ports.storage, asset):
        if one.message.type == "Revocation" or ports.ledger.is_recorded(one.message):
            continue
        parents = {UUID(parent) for parent in one.message.fields.get("parents", ())}  # type: ignore[attr-defined]
        try:
            for parent in parents - within - {asset}:
                _carry_parent(ports, parent, within | {asset})
            ports.ledger.carry(one)
        except (RejectedConflict, UnavailableYet) as error:  # a forged object must not stop the genuine one beside it
            refusals.append(error)
    if refusals and not _stands(ports, asset):
        raise min(refusals, key=lambda error: isinstance(error, RejectedConflict))  # what may still pass counts more


def _carry_parent(ports: Ports, parent: UUID, within: frozenset[UUID]) -> None:
    if ports.ledger.find(parent) is not None:
        return
    if not is_sealed(ports, parent) and records.of_asset(ports.storage, parent) is not None:
        # Whoever sealed it was killed after the record; the ledger would refuse the child for ever.
        raise UnavailableYet(f"the parent {parent} is not sealed yet")
    carry(ports, parent, within)


def _stands(ports: Ports, asset: UUID) -> bool:
    """Whether the ledger has the asset and every statement that is kept of it, so that a refusal was of a forgery."""
    if ports.ledger.find(asset) is None:
        return False
    kept = {entry.key: ports.storage.read(entry.key) or b"" for entry in ports.storage.list(evidence_prefix(asset))}
    digests = {digest_of(envelope) for envelope in kept.values()}
    asked = [one.message for one in records.authorizations(ports.storage, asset) if one.message.type == "Evidence"]
    return all(ports.ledger.is_recorded(one) for one in asked if one.fields["statementDigest"] in digests)


def carry_revocation(ports: Ports, asset: UUID) -> None:
    """Put an asset's revocation on the ledger. Done already is success.

    Raises:
        RejectedRequest: nobody authorized one.
        RejectedConflict: the ledger refuses it for ever.
        UnavailableYet: the ledger does not have the asset yet.
        UnavailableLedger: not yet known; ask again.
    """
    if ports.ledger.find(asset) is None:
        try:
            carry(ports, asset)
        except RejectedConflict as error:  # for the asset's own chain to end with
            raise UnavailableYet(f"{asset} is not on the ledger yet: {error}") from error
    asked = [one for one in records.authorizations(ports.storage, asset) if one.message.type == "Revocation"]
    if not asked:
        raise RejectedRequest(f"nobody authorized that {asset} be revoked")
    refusals = []
    for one in asked:
        try:
            if not ports.ledger.is_recorded(one.message):
                ports.ledger.carry(one)
            return
        except RejectedConflict as error:  # a forged object must not stop the genuine one beside it
            refusals.append(error)
    raise min(refusals, key=lambda error: not isinstance(error, RejectedSigner))  # who signs anew can mend that one
