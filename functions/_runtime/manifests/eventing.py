"""How events reach functions: one Broker, a Trigger for each subscription of the declaration, and the timer.

https://knative.dev/docs/eventing/. Subscribers and sinks are named without a namespace, which Knative then takes from
the object itself.
"""

import re
from collections.abc import Sequence

from functions._domain import cluster
from functions._runtime.manifests.files import Manifest
from functions._runtime.manifests.services import labels
from functions.declaration import BACKOFF, RETRIES, Function, Subscription, subscriptions

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A name of RFC 1123."""

PATIENCE = 15
"""Seconds that an attempt may take beyond the slowest function's own limit, so that the function is the one to end."""

PART_OF = {"app.kubernetes.io/part-of": "polyglot"}


def broker(functions: Sequence[Function]) -> Manifest:
    """The tenant's Broker.

    The annotation lets the in-memory Broker answer before it delivers; without it a POST stays open through the whole
    chain. Of another class, it means nothing. It counts when the Broker is created.
    """
    delivery: Manifest = {
        "retry": RETRIES,
        "backoffPolicy": "exponential",
        "backoffDelay": f"PT{BACKOFF}S",
        "timeout": f"PT{max(function.timeout for function in functions) + PATIENCE}S",
    }
    for function in functions:
        if function.sink == "dead-letter":
            delivery["deadLetterSink"] = _destination(function.services[0])
    annotations = {"messaging.knative.dev/async-handler": "true"}
    return {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "metadata": {"name": cluster.BROKER, "annotations": annotations, "labels": PART_OF},
        "spec": {"delivery": delivery},
    }


def triggers(functions: Sequence[Function]) -> dict[str, list[Manifest]]:
    """The Triggers of each Service.

    Raises:
        ValueError: a name that Kubernetes would refuse, or that two Triggers would have.
    """
    found: dict[str, list[Manifest]] = {}
    names: set[str] = set()
    for subscription in subscriptions(functions):
        if not NAME.fullmatch(subscription.name):
            raise ValueError(f"{subscription.name!r} is no name for a Trigger: shorten it to 63 of a-z, 0-9 and -")
        if subscription.name in names:
            raise ValueError(f"two Triggers would be named {subscription.name!r}: tell them apart by their filters")
        names.add(subscription.name)
        found.setdefault(subscription.service, []).append(_trigger(subscription))
    return found


def _trigger(subscription: Subscription) -> Manifest:
    return {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": subscription.name, "labels": labels(subscription.function)},
        "spec": {
            "broker": cluster.BROKER,
            "filter": {"attributes": dict(subscription.filter)},
            "subscriber": _destination(subscription.service),
        },
    }


def timers(functions: Sequence[Function]) -> list[Manifest]:
    """A PingSource for each function that the timer calls; it calls the Service, not the Broker."""
    return [
        {
            "apiVersion": "sources.knative.dev/v1",
            "kind": "PingSource",
            "metadata": {"name": function.name, "labels": labels(function)},
            "spec": {
                "schedule": function.schedule,
                "contentType": "application/json",
                "data": "{}",
                "sink": _destination(function.services[0]),
            },
        }
        for function in functions
        if function.sink == "timer"
    ]


def _destination(service: str) -> Manifest:
    return {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": service}}
