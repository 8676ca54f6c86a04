"""Why a Service is not ready, from the bottom up: its pods, their ReplicaSets, the revision, the Service.

A Service's own condition often says no more than that its revision is not ready, and a quota that is used up shows on
the ReplicaSet only (https://github.com/knative/serving/issues/4416).
"""

from collections.abc import Iterator

from functions._runtime.deployer.cluster import Cluster
from functions._runtime.manifests.files import Manifest

REVISION_LABEL = "serving.knative.dev/revision"
LINES = 5
"""How much of an ended container's log is shown."""

STUCK = frozenset({
    "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ErrImagePull",
    "ImagePullBackOff", "InvalidImageName",
})  # fmt: skip
"""What the kubelet says of a container that will not run without something being mended."""


def why(cluster: Cluster, service: str) -> list[str]:
    """Why a Service is not ready, each reason once; empty where nothing says.

    The lowest that says anything is asked alone: who stands higher repeats it in vaguer words.
    """
    found = cluster.get("serving.knative.dev/v1", "Service", service)
    status = (found or {}).get("status") or {}
    revision = status.get("latestCreatedRevisionName", "")
    looks = (_pods, _replicas, _revision) if revision else ()
    for said in (*(look(cluster, revision) for look in looks), _conditions(status)):
        if lines := list(dict.fromkeys(said)):
            return lines
    return []


def is_stuck(cluster: Cluster, found: Manifest) -> bool:
    """Whether a pod of a Service's latest revision cannot run.

    Knative itself waits for such a revision until its progress deadline, ten minutes, before it says no.
    """
    revision = (found.get("status") or {}).get("latestCreatedRevisionName", "")
    pods = cluster.select("v1", "Pod", f"{REVISION_LABEL}={revision}") if revision else []
    containers = (one for pod in pods for one in (pod.get("status") or {}).get("containerStatuses", ()))
    return any((one.get("state", {}).get("waiting") or {}).get("reason") in STUCK for one in containers)


def _pods(cluster: Cluster, revision: str) -> Iterator[str]:
    for pod in cluster.select("v1", "Pod", f"{REVISION_LABEL}={revision}"):
        yield from [*_pod(cluster, pod)] or _warnings(cluster, pod["metadata"]["name"])


def _replicas(cluster: Cluster, revision: str) -> Iterator[str]:
    for owner in cluster.select("apps/v1", "ReplicaSet", f"{REVISION_LABEL}={revision}"):
        yield from _denied(owner, "ReplicaFailure", "True")


def _revision(cluster: Cluster, revision: str) -> Iterator[str]:
    found = cluster.get("serving.knative.dev/v1", "Revision", revision)
    yield from _conditions((found or {}).get("status") or {})


def _pod(cluster: Cluster, pod: Manifest) -> Iterator[str]:
    status = pod.get("status") or {}
    yield from _denied(pod, "PodScheduled", "False")
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        yield from _container(cluster, pod["metadata"]["name"], container)


def _container(cluster: Cluster, pod: str, container: Manifest) -> Iterator[str]:
    waiting = container.get("state", {}).get("waiting") or {}
    if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
        yield f"{waiting.get('reason')} {container['image']}: {waiting.get('message', 'no message')}"
    now, last = (container.get(which, {}).get("terminated") for which in ("state", "lastState"))
    if ended := now or last:
        log = cluster.log(pod, container["name"], previous=not now, lines=LINES)
        yield f"{container['name']} ended with {ended.get('exitCode')} ({ended.get('reason', 'no reason')})" + (
            ": " + " | ".join(log.splitlines()[-LINES:]) if log else ""
        )


def _warnings(cluster: Cluster, pod: str) -> Iterator[str]:
    """What stops a pod before its containers, as a volume whose Secret is missing."""
    events = cluster.select("v1", "Event", fields=f"involvedObject.name={pod},type=Warning")
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    for event in events[-1:]:
        yield told({**event, "type": "Warning"})


def _denied(found: Manifest, kind: str, denied: str) -> Iterator[str]:
    for condition in (found.get("status") or {}).get("conditions", ()):
        if condition["type"] == kind and condition["status"] == denied:
            yield told(condition)


def _conditions(status: Manifest) -> Iterator[str]:
    for wanted in ("False", "Unknown"):
        for condition in status.get("conditions", ()):
            # Information only: an idle revision is inactive and well.
            if condition["status"] == wanted and condition.get("message") and condition.get("severity") != "Info":
                yield told(condition)


def told(condition: Manifest) -> str:
    """A condition's reason and message in one line."""
    parts = [str(condition.get(name) or "").strip() for name in ("reason", "message")]
    return " ".join(": ".join(part for part in parts if part).split()) or f"{condition['type']} is not known yet"
