"""``ArgoEngine``: the port. It remembers nothing: Kubernetes knows the runs, the bucket what they left."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from functions._backends.argo.api import KubernetesRuns, RunsApi
from functions._backends.argo.state import STOPPED_FOR, has_ended, judged
from functions._backends.argo.workflow import ASSET_NOTE, IMAGE_NOTE, TRAIN, Place, workflow
from functions._domain import cluster
from functions._domain.errors import RejectedConflict
from functions._domain.paths import run_prefix
from functions._domain.ports import Run, RunState, Storage

LOG_LIMIT = 16 << 20
"""The most bytes of a training's log that are kept."""

KEPT = 86_400
"""Seconds that Argo keeps a run, with its pods, after its end was written down."""


class ArgoEngine:
    """Trains with Argo Workflows in the namespace of this function.

    Args:
        storage: the tenant's bucket, where a run's containers leave what they found.
        api: the cluster.
        disk: the most bytes in each volume that a training may write.
        trace: gives the W3C ``traceparent`` that a submission carries on.
    """

    kind: Literal["process", "argo"] = "argo"

    def __init__(
        self,
        storage: Storage,
        api: RunsApi | None = None,
        disk: int = 10 << 30,
        trace: Callable[[], str] = str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._storage, self._api = storage, api or KubernetesRuns()
        self._disk, self._trace, self._now = disk, trace, now

    @cached_property
    def _image(self) -> str:
        return self._api.own_image()

    def submit(self, run: Run) -> None:
        """Create the run's Workflow, or nothing where there is one.

        Raises:
            RejectedConflict: it can never run here.
        """
        texts = [*run.command, *run.hyperparameters.values()]
        if any("{{" in text for text in texts):
            raise RejectedConflict(
                "a command or hyper-parameter has '{{', which Argo Workflows would replace: write it another way, "
                "in a file of the dataset for example, and register the model again"
            )
        self._api.create(workflow(run, Place(self._image, self._disk, self._trace())))

    def state(self, name: str) -> RunState:
        """What is known of a run."""
        found = self._api.workflow(name)
        if found is None:
            return RunState("unknown")
        pods = self._api.pods(name, cluster.RUN_TRAINS)
        state = judged(found, pods, self._now())
        if state.phase == "running":
            return state
        notes = found["metadata"].get("annotations", {})
        staged = run_prefix(UUID(notes[ASSET_NOTE]), state.execution)
        noted = json.loads(self._storage.read(f"{staged}environment.json") or b"{}")
        environment = {**noted.get("environment", {}), "image_digest": notes[IMAGE_NOTE]}
        return replace(state, environment=environment, isolation=noted.get("isolation", {}))

    def log(self, name: str, tail: int | None = 200) -> str:
        """The last lines that the run has printed so far, of its latest try."""
        pods = self._api.pods(name, cluster.RUN_TRAINS)
        if not pods:
            return ""
        limit = LOG_LIMIT if tail is None else LOG_LIMIT // 16
        return self._api.log(pods[-1]["metadata"]["name"], TRAIN, tail, limit).decode(errors="replace")

    def cancel(self, name: str) -> None:
        """Stop a run; it still announces its end."""
        self._api.patch(name, {"spec": {"shutdown": "Stop"}})

    def release(self, name: str, reason: str = "") -> None:
        """Stop what is left of a run, which then says why itself, and let Argo forget it in a day."""
        found = self._api.workflow(name)
        if found is None:
            return
        changes: dict[str, Any] = {"spec": {"ttlStrategy": {"secondsAfterCompletion": KEPT}}}
        if not has_ended(found):
            changes["spec"]["shutdown"] = "Stop"
            changes["metadata"] = {"annotations": {STOPPED_FOR: reason}}
        self._api.patch(name, changes)
