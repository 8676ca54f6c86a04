"""A run as a JSON document, for whoever executes it in another process."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from functions._domain.ports import Channel, Run


def encode(run: Run) -> dict[str, object]:
    """The document of a run."""
    document: dict[str, object] = json.loads(json.dumps(dataclasses.asdict(run), default=str))
    return document


def decode(document: Mapping[str, Any]) -> Run:
    """The run of a document."""
    channels = [
        Channel(each["name"], UUID(each["dataset"]), each["inventory_digest"], tuple(each["allow_images"]))
        for each in document["channels"]
    ]
    typed = {"asset": UUID(document["asset"]), "model": UUID(document["model"]), "command": tuple(document["command"])}
    return Run(**{**document, **typed, "channels": tuple(channels)})
