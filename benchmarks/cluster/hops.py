"""Events that a function has been given before and that were done: what a redelivery or the sweep sends again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from functions._backends.cloudevents import to_http
from functions._domain.events import Event, announce

CAUSE = "benchmark"
SOURCE = "/tenants/benchmark/functions/benchmark"


@dataclass(frozen=True)
class Hop:
    """A Service, an event that it has done, and the name of the one it replies; empty where it replies nothing."""

    service: str
    event: Event
    reply: str = ""

    @property
    def sent(self) -> tuple[Mapping[str, str], bytes]:
        """Its headers and body."""
        return to_http(self.event, SOURCE)


def of(ended: Mapping[str, UUID]) -> list[Hop]:
    """One hop for each function on the way of a chain.

    Args:
        ended: a finished chain's assets by kind.
    """
    dataset, model, trained = (ended[kind] for kind in ("dataset", "model", "trained-model"))
    filters: dict[str, Any] = {"framework": "torch", "accelerator": "none"}
    return [
        Hop("ingest", announce("asset.submitted", dataset, CAUSE, assetkind="dataset"), "asset.registered"),
        Hop("deploy", announce("asset.registered", trained, CAUSE, assetkind="trained-model"), "contract.deployed"),
        Hop("train", announce("contract.deployed", model, CAUSE, assetkind="model")),
        Hop("collect", announce("training.finished", trained, CAUSE, {"run": f"train-{model}-1"}), "asset.registered"),
        Hop(
            "translate-torch",
            announce("contract.deployed", trained, CAUSE, assetkind="trained-model", **filters),
            "asset.registered",
        ),
    ]
