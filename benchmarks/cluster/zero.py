"""Going to zero: Services that wait less before they do, and waiting until nothing of them is left."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.cluster.site import Site

WINDOW = {"autoscaling.knative.dev/window": "6s"}
"""The shortest that Knative allows, instead of a minute: how soon a Service goes to zero, not how soon it is back."""

PATIENCE = 300.0
SETTLES = 2.0
"""Seconds for the ingress and the activator to learn that there is nobody."""


@contextmanager
def sooner(site: Site, names: Sequence[str]) -> Iterator[None]:
    """Our own Services with that one annotation, until the end of the block."""
    site.apply([site.rendered(name, WINDOW) for name in names])
    try:
        yield
    finally:
        site.apply([site.rendered(name) for name in names])


def wait_for_zero(site: Site, names: Sequence[str]) -> None:
    """Wait until these Services have no replica, and no pod that is still ending.

    Raises:
        TimeoutError: they had after ``PATIENCE`` seconds.
    """
    end = time.monotonic() + PATIENCE
    while left := [name for name in names if _stands(site, name)]:
        if time.monotonic() > end:
            raise TimeoutError(f"not at zero after {PATIENCE:.0f} s: {', '.join(left)}")
        time.sleep(0.5)
    time.sleep(SETTLES)


def _stands(site: Site, name: str) -> bool:
    labels = f"serving.knative.dev/service={name}"
    deployments = site.cluster.select("apps/v1", "Deployment", labels)
    return any((one.get("status") or {}).get("replicas") for one in deployments) or bool(
        site.cluster.select("v1", "Pod", labels)
    )
