"""Records what an API server answers of Services that do not become ready: ``python -m tests.unit.recorded IMAGE``.

Needs a cluster with Knative and the right to make a namespace, which is removed again. Each case is a Service of its
own; its answers are kept as ``<case>.json``, a list of objects, without what nobody reads.

Args:
    IMAGE: one that the cluster can run, with a shell.
"""

import json
import re
import sys
import time
from pathlib import Path

from functions._runtime.deployer.cluster import Cluster, KubernetesCluster, Manifest

HERE, NAMESPACE = Path(__file__).parent, "recorded"
SECONDS = 45
KINDS = (("serving.knative.dev/v1", "Revision"), ("apps/v1", "ReplicaSet"), ("v1", "Pod"))
ADDRESS = re.compile(r"\b\d+\.\d+\.\d+\.\d+\b")
STATUS = ("conditions", "phase", "latestCreatedRevisionName", "observedGeneration", "containerStatuses")
UNREAD = ("managedFields", "uid", "resourceVersion", "annotations", "creationTimestamp", "generateName")


def cases(image: str) -> dict[str, Manifest]:
    """What goes wrong in each case, as a pod's specification."""
    good = {"image": image, "command": ["sh", "-c", "sleep 1000"]}
    missing = [{"name": "keys", "secret": {"secretName": "not-there"}}]
    mounted = {**good, "volumeMounts": [{"name": "keys", "mountPath": "/keys"}]}
    return {
        "image": {"containers": [{"image": "dev.local/polyglot-ledger:nowhere"}]},
        "crash": {"containers": [{"image": image, "command": ["sh", "-c", "echo first; echo no ledger here; exit 3"]}]},
        "secret": {"containers": [mounted], "volumes": missing},
        "room": {"containers": [{**good, "resources": {"requests": {"cpu": "900"}}}]},
        "settings": {"containers": [{**good, "envFrom": [{"configMapRef": {"name": "not-there"}}]}]},
    }


def main(image: str) -> None:
    """Apply, wait, and keep the answers; the quota's case comes last, since it hinders all others."""
    cluster = KubernetesCluster.connected(NAMESPACE)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        for name, spec in cases(image).items():
            cluster.apply(_service(name, spec))
        time.sleep(SECONDS)
        for name in cases(image):
            _keep(cluster, name)
        head = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}}
        cluster.apply({**head, "spec": {"hard": {"pods": "0"}}})
        cluster.apply(_service("quota", {"containers": [{"image": image}]}))
        time.sleep(SECONDS)
        _keep(cluster, "quota")
    finally:
        cluster.delete("v1", "Namespace", NAMESPACE)


def _service(name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "labels": {"app.kubernetes.io/part-of": "polyglot"}}
    head = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata}
    return {**head, "spec": {"template": {"spec": spec}}}


def _keep(cluster: Cluster, name: str) -> None:
    service = cluster.get("serving.knative.dev/v1", "Service", name)
    label = f"serving.knative.dev/service={name}"
    below = [one for api, kind in KINDS for one in cluster.select(api, kind, label)]
    names = {one["metadata"]["name"] for one in below}
    events = [one for one in cluster.select("v1", "Event") if one["involvedObject"].get("name") in names]
    text = json.dumps([_read(one) for one in (service or {}, *below, *events)], indent=1, sort_keys=True)
    (HERE / f"{name}.json").write_text(ADDRESS.sub("192.0.2.1", text) + "\n")


def _read(found: Manifest) -> Manifest:
    metadata = {name: value for name, value in found["metadata"].items() if name not in UNREAD}
    if found["kind"] == "Event":
        read = ("apiVersion", "kind", "type", "reason", "message", "lastTimestamp", "eventTime")
        about = {"name": found["involvedObject"]["name"]}
        return {"metadata": metadata, "involvedObject": about, **{name: found.get(name) for name in read}}
    status = {name: value for name, value in found.get("status", {}).items() if name in STATUS}
    return {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "status": status}


if __name__ == "__main__":
    main(sys.argv[1])
