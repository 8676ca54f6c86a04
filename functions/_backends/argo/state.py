"""What a Workflow and its pods tell of a run, as the platform's own words.

Whether it succeeded is Argo's word alone; pods only add reasons, times and the image that really ran.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from functions._backends.argo.workflow import KEEP, STAGE, TRAIN
from functions._backends.runs.patience import CANCELLED
from functions._domain.ports import RunState

Document = Mapping[str, Any]

STOPPED_FOR = "polyglot.io/stopped-for"
"""The annotation that says why the platform itself stopped a run: whoever asks later is told the same."""
STUCK = (
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
    "CreateContainerConfigError", "CreateContainerError",
)  # fmt: skip
"""The kubelet's reasons why a container may wait for ever: https://kubernetes.io/docs/concepts/containers/images/."""

PATIENCE = timedelta(seconds=60)
"""How long a container may wait for one of these reasons: a registry may be away for a moment."""

_RETRY = re.compile(r"\((\d+)\)$")


def judged(workflow: Document, pods: Sequence[Document], now: datetime) -> RunState:
    """The state of a run, from its Workflow and its training pods, oldest first."""
    attempt, number = _attempt(workflow)
    execution = f"{workflow['metadata']['uid']}-{number}"
    pod = next((pod for pod in pods if _node_of(pod) == attempt.get("name")), None)
    started = _time_of(pod, "startedAt") or str(attempt.get("startedAt") or "")
    phase = _phase(workflow)
    if phase in ("Failed", "Error"):
        reason, code = _why(workflow, attempt, pod)
        return RunState("failed", execution, reason, started, _finished(workflow, attempt, pod), code)
    if phase == "Succeeded":
        return RunState(
            "succeeded", execution, started=started, finished=_finished(workflow, attempt, pod), exit_code=0
        )
    waits, since = _waits(pod or attempt)
    if waits.partition(":")[0] in STUCK and since and now - since > PATIENCE:
        reason = f"its container cannot start, {waits} — register the model with an image that the cluster can pull"
        return RunState("failed", execution, reason, started, _stamp(now))
    return RunState("running", execution, "" if _is_at_work(pod) else waits, started)


def has_ended(workflow: Document) -> bool:
    """Whether Argo itself has nothing to do any more for the training; one that can never start has not ended."""
    return _phase(workflow) in ("Succeeded", "Failed", "Error")


def _phase(workflow: Document) -> str:
    """How the training itself stands: the Workflow goes on for a while, to announce its end."""
    status: Document = workflow.get("status") or {}
    root: Document = (status.get("nodes") or {}).get(workflow["metadata"]["name"]) or {}
    return str(root.get("phase") or status.get("phase") or "Pending")


def _attempt(workflow: Document) -> tuple[Document, int]:
    """The latest try of the training, and its number from 0."""
    nodes: Document = (workflow.get("status") or {}).get("nodes") or {}
    root = nodes.get(workflow["metadata"]["name"]) or {}
    tries = [nodes[child] for child in root.get("children") or () if child in nodes]
    numbered = [(int(match[1]), one) for one in tries if (match := _RETRY.search(str(one.get("name", ""))))]
    number, latest = max(numbered, key=lambda pair: pair[0], default=(0, root))
    return latest, number


def _node_of(pod: Document) -> str:
    return str((pod["metadata"].get("annotations") or {}).get("workflows.argoproj.io/node-name", ""))


def _containers(pod: Document | None) -> dict[str, Document]:
    status: Document = (pod or {}).get("status") or {}
    both = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return {str(one["name"]): one for one in both}


def _ended(pod: Document | None, container: str) -> Document:
    state: Document = _containers(pod).get(container, {}).get("state") or {}
    return state.get("terminated") or {}


def _why(workflow: Document, attempt: Document, pod: Document | None) -> tuple[str, int | None]:
    """Why no model comes of it, for a person, and the training's exit code where it had one."""
    trained, said = _ended(pod, TRAIN), str(((pod or {}).get("status") or {}).get("message") or "")
    code = trained.get("exitCode")
    if (workflow.get("spec") or {}).get("shutdown"):
        return (workflow["metadata"].get("annotations") or {}).get(STOPPED_FOR) or CANCELLED, code
    if ((pod or {}).get("status") or {}).get("reason") == "DeadlineExceeded" or "specified deadline" in said:
        return (
            "ran longer than its deadline, which counts from the start of its pod: raise --deadline, or train on less "
            "(fewer epochs, fewer data), and register the model again"
        ), code
    if trained.get("reason") == "OOMKilled":
        return (
            "used more memory than it asked for and was killed: raise --memory, or train in smaller batches, and "
            "register the model again"
        ), code
    if "emptyDir" in said or "EmptyDir" in said or "ephemeral" in said:
        return f"wrote more than it may: {said}; write fewer checkpoints and temporary files", code
    for ours in (STAGE, KEEP):  # `keep` is stopped where `train` failed, which is no reason of its own
        ended = _ended(pod, ours)
        if ended.get("exitCode") and not (ours == KEEP and trained.get("exitCode")):
            return str(ended.get("message") or f"{ours} exited with code {ended['exitCode']}").strip(), code
    if trained.get("exitCode"):
        number = int(trained["exitCode"])
        killed = f" (killed by signal {number - 128})" if number > 128 else ""
        return f"the training exited with code {number}{killed}: {_told(trained)}", code
    waits, _ = _waits(pod or {})
    return waits or said or str(attempt.get("message") or _message(workflow) or "Argo gives no reason"), code


def _told(trained: Document) -> str:
    return str(trained.get("message") or "").strip()[-4000:] or "it printed nothing"


def _message(workflow: Document) -> str:
    return str((workflow.get("status") or {}).get("message") or "")


def _waits(pod: Document) -> tuple[str, datetime | None]:
    """What a pod is waiting for, and since when; of a node without a pod, what Argo says of it."""
    created = _time(str((pod.get("metadata") or {}).get("creationTimestamp") or pod.get("startedAt") or ""))
    for one in _containers(pod).values():
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in STUCK:
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": "), created
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("reason") == "Unschedulable":
            return f"no node has room for it: {condition.get('message', '')}", created
    return str(pod.get("message") or ""), created


def _is_at_work(pod: Document | None) -> bool:
    return "running" in (_containers(pod).get(TRAIN, {}).get("state") or {})


def _finished(workflow: Document, attempt: Document, pod: Document | None) -> str:
    status: Document = workflow.get("status") or {}
    return _time_of(pod, "finishedAt") or str(attempt.get("finishedAt") or status.get("finishedAt") or "")


def _time_of(pod: Document | None, which: str) -> str:
    return str(_ended(pod, TRAIN).get(which) or "")


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
