"""Resealing: where a signer's role ended before its word was carried, the sealing step adds one by its new key."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from functions._domain import journal
from functions._domain.assets import Kind
from functions._domain.events import Event, announce
from functions._domain.ports import Ports


def sealing_event(ports: Ports, record: Mapping[str, Any], cause: str) -> Event | None:
    """The event that has an asset sealed again; None where that was asked for in this attempt, and did not help."""
    asset = UUID(record["id"])
    if record.get("parameters"):
        return None  # a translation with an opset of its own is asked for again by whoever wants it
    attempt = journal.view(ports.storage, asset).attempt
    if not journal.mark(ports.storage, asset, "reseal", attempt, "requested", ports.now()):
        return None
    if record["kind"] == Kind.TRANSLATION:
        filters = {"framework": record["from"]["framework"], "accelerator": record["from"]["accelerator"]}
        return announce("contract.deployed", UUID(record["source"]), cause, assetkind=Kind.TRAINED_MODEL, **filters)
    if record.get("origin") == "trained":
        return announce("training.finished", asset, cause, {"run": record["run"]["name"]})
    return announce("asset.submitted", asset, cause)
