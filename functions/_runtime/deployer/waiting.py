"""Waiting until what was applied is ready, as each object's own conditions say for the generation applied.

https://knative.dev/docs/serving/reference/serving-api/#serving.knative.dev/v1.ServiceStatus
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from functions._runtime.deployer.applying import OURS
from functions._runtime.deployer.cluster import Cluster
from functions._runtime.deployer.reasons import is_stuck, told
from functions._runtime.manifests.files import Manifest

WITH_CONDITIONS = ("Service", "Broker", "Trigger", "PingSource")
"""The kinds that say whether they are ready."""

PATIENCE = 30.0
"""Seconds that every Service which is not ready must have said "no" without a break, before waiting is given up."""

TELL = 15.0
"""Seconds between two lines about what is waited for."""

NO_ROOM = "nodes are available"
"""What the scheduler says of a pod that no node has room for: "0/1 nodes are available: 1 Insufficient cpu". That is no
final no: others' pods end."""

Key = tuple[str, str]
Say = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """What an object says of itself.

    Attributes:
        ready: None where it does not know yet, speaks of an earlier generation, or waits for room on a node.
        reason: why it is not ready.
    """

    ready: bool | None
    reason: str = ""


@dataclass(frozen=True)
class Waited:
    """How long an object took, and how it stands."""

    state: State
    seconds: float


def state(found: Manifest | None) -> State:
    """What an object says of itself."""
    if found is None:
        return State(None, "it is not there")
    status = found.get("status") or {}
    if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
        return State(None, "its controller has not looked at it yet")
    for condition in status.get("conditions", ()):
        if condition["type"] == "Ready":
            says = {"True": True, "False": False}.get(condition["status"])
            if says is False and any(NO_ROOM in told(one) for one in status["conditions"]):
                says = None
            return State(says, "" if says else told(condition))
    return State(None, "it has no condition Ready yet")


class Waiter:
    """Waits for objects.

    Args:
        say: told when an object is ready, and now and then what is missing.
        pause: seconds between two looks.
        patience: see ``PATIENCE``.
    """

    def __init__(self, cluster: Cluster, say: Say, pause: float = 1.0, patience: float = PATIENCE) -> None:
        self._cluster, self._say, self._pause, self._patience = cluster, say, pause, patience
        self._waited: dict[Key, Waited] = {}

    def wait(self, manifests: Sequence[Manifest], timeout: float) -> dict[Key, Waited]:
        """Wait until all are ready, until the others have said "no" for long enough, or for ``timeout`` seconds."""
        wanted = {_key(one): one["apiVersion"] for one in manifests if one["kind"] in WITH_CONDITIONS}
        start = failing_since = told_at = time.monotonic()
        while True:
            self._look(wanted, start)
            left = {key: self._waited[key] for key in wanted if not self._waited[key].state.ready}
            now = time.monotonic()
            # What is no Service may well wait for one.
            deciding = [waited for (kind, _), waited in left.items() if kind == "Service"] or [*left.values()]
            if any(waited.state.ready is None for waited in deciding):
                failing_since = now
            if not left or now - start > timeout or now - failing_since > self._patience:
                return self._waited
            if now - told_at > TELL:
                told_at = now
                self._say("waiting for " + ", ".join(f"{name} ({kind})" for kind, name in left))
            time.sleep(self._pause)

    def _look(self, wanted: dict[Key, str], start: float) -> None:
        there = {
            _key(one): one
            for api, kind in sorted({(api, kind) for (kind, _), api in wanted.items()})
            for one in self._cluster.select(api, kind, OURS)
        }
        seconds = time.monotonic() - start
        for key in wanted:
            before, now = self._waited.get(key), self._state(there.get(key))
            if before and before.state.ready and now.ready:
                continue
            self._waited[key] = Waited(now, seconds)
            if now.ready:
                kind, name = key
                self._say(f"{name if kind == 'Service' else f'{kind} {name}'} … ready ({seconds:.1f} s)")

    def _state(self, found: Manifest | None) -> State:
        said = state(found)
        if found and found["kind"] == "Service" and said.ready is None and is_stuck(self._cluster, found):
            return State(False, said.reason)
        return said


def _key(manifest: Manifest) -> Key:
    return manifest["kind"], manifest["metadata"]["name"]
