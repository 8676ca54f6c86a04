"""Resealing: where a signer's role ended before its word was carried, the sealing step adds one by its new key.

``deploy`` asks, as often as it is asked itself; the sealing step, once it has signed, marks that nothing more comes of
it in this attempt. So any number of deliveries, and a kill anywhere, end the same way.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from functions._domain import journal, revocation
from functions._domain.assets import Kind
from functions._domain.events import Event, announce
from functions._domain.ports import Ports

STEP, REVOKE = "reseal", "reseal-revocation"


def done(ports: Ports, event: Event, asset: UUID) -> None:
    """Note that an asset is sealed with the key of now, where the event asked for that."""
    if STEP in event.data:
        attempt = journal.view(ports.storage, asset).attempt
        journal.mark(ports.storage, asset, STEP, attempt, "done", ports.now())


def sealing_event(ports: Ports, record: Mapping[str, Any], cause: str) -> Event | None:
    """The event that has an asset sealed again; None where that was done in this attempt, and did not help."""
    asset = UUID(record["id"])
    if record.get("parameters"):
        return None  # a translation with an opset of its own is asked for again by whoever wants it
    view = journal.view(ports.storage, asset)
    if any(mark.step == STEP and mark.attempt == view.attempt for mark in view.marks):
        return None
    hint = {STEP: view.attempt}
    if record["kind"] == Kind.TRANSLATION:
        filters = {"framework": record["from"]["framework"], "accelerator": record["from"]["accelerator"]}
        return announce(
            "contract.deployed", UUID(record["source"]), cause, hint, assetkind=Kind.TRAINED_MODEL, **filters
        )
    if record.get("origin") == "trained":
        return announce("training.finished", asset, cause, {"run": record["run"]["name"], **hint})
    return announce("asset.submitted", asset, cause, hint)


def signed_again(ports: Ports, event: Event) -> None:
    """Note that a revocation is signed with the key of now, where the event asked for that."""
    if REVOKE in event.data:
        attempt = journal.view(ports.storage, event.subject).attempt_of(revocation.STEP)
        journal.mark(ports.storage, event.subject, REVOKE, attempt, "done", ports.now())


def revoking_event(ports: Ports, asset: UUID, cause: str) -> Event | None:
    """The event that has a revocation signed again; None where that was done in this attempt, and did not help."""
    view, standing = journal.view(ports.storage, asset), revocation.first(ports.storage, asset)
    attempt = view.attempt_of(revocation.STEP)
    if standing is None or view.has(REVOKE, attempt, "done"):
        return None
    return announce("revocation.requested", asset, cause, {"request": str(standing.id), REVOKE: attempt})
