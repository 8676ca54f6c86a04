"""`forward` on a real cluster: one for all tenants, in its own namespace, told of an upload as versitygw tells it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions._domain import cluster as names
from functions._runtime import manifests
from functions._runtime.deployer.applying import with_images
from functions._runtime.deployer.waiting import Waiter
from tests.cluster.edge import Edge
from tests.cluster.tenants import Tenant, connected

POST = "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode())).status)"


@pytest.fixture(scope="module")
def forward(cluster: Edge, tenant: Tenant, images: Path) -> Iterator[Callable[[object], str]]:
    """The function, deployed; posts a notification to it from a pod of the cluster, and returns the status."""
    there = connected(tenant.kubeconfig, f"{tenant.namespace}-cluster")
    references = json.loads(images.read_text())
    there.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": there.namespace}})
    broker = cluster.inside("POLYGLOT_BROKER_URL", tenant.namespace)
    data = {"POLYGLOT_FORWARD": f"{tenant.bucket}={tenant.namespace}@{broker}\nnobodys=nobody@http://nobody.invalid/"}
    there.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.FORWARD_SETTINGS}, "data": data})
    wanted = with_images([one for group in manifests.cluster_documents().values() for one in group], references)
    for one in wanted:
        there.apply(one)
    waited = Waiter(there, print).wait(wanted, 120)
    assert waited["Service", "forward"].state.ready, waited

    def post(document: object) -> str:
        url = f"http://forward.{there.namespace}.svc.cluster.local/"
        return _ran(there, references["polyglot-plain"], ["python", "-c", POST, url, json.dumps(document)])

    yield post
    there.delete("v1", "Namespace", there.namespace)


def _ran(there: Any, image: str, command: list[str]) -> str:
    """What a pod printed that ran a command to its end."""
    name = f"post-{uuid4().hex[:8]}"
    limits = {"cpu": "500m", "memory": "128Mi"}
    container = {
        "name": "post",
        "image": image,
        "command": command,
        "resources": {"requests": limits, "limits": limits},
    }
    spec = {"restartPolicy": "Never", "containers": [container]}
    there.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    end = time.monotonic() + 90
    while (there.get("v1", "Pod", name).get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
        assert time.monotonic() < end
        time.sleep(0.5)
    said: str = there.log(name, "post", previous=False, lines=20)
    there.delete("v1", "Pod", name)
    return said


def notification(bucket: str, key: str) -> object:
    """As versitygw sends it: the key as it is, no size, no version."""
    record = {
        "eventVersion": "2.2",
        "eventSource": "aws:s3",
        "eventName": "s3:ObjectCreated:Put",
        "s3": {
            "configurationId": "webhook-global",
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 0, "versionId": None},
        },
    }
    return {"Records": [record]}


def test_an_upload_is_registered_before_the_timer_would_find_it(
    tenant: Tenant, forward: Callable[[object], str]
) -> None:
    folder = f"inbox/dataset/told+{uuid4().hex[:6]}"
    tenant.storage.create(f"{folder}/a.csv", b"1,2\n")
    tenant.storage.create(f"{folder}/asset.json", json.dumps({"name": "told", "files": [{"path": "a.csv"}]}).encode())
    assert forward(notification(tenant.bucket, f"{folder}/asset.json")) == "204"
    end = time.monotonic() + 60
    while (receipt := tenant.storage.read(f"{folder}/receipt.json")) is None:
        assert time.monotonic() < end, [one.key for one in tenant.storage.list(folder)]
        time.sleep(0.5)
    asset = str(UUID(json.loads(receipt)["asset"]))
    while tenant.http("retrieve", "GET", f"/v1/assets/{asset}/status")[1].get("state") != "complete":
        assert time.monotonic() < end
        time.sleep(0.5)


def test_a_test_event_a_foreign_bucket_and_a_broker_that_is_gone_are_answered_at_once(
    forward: Callable[[object], str],
) -> None:
    key = "inbox/dataset/x/asset.json"
    for document in ({"Event": "s3:TestEvent"}, notification("somebodys", key), notification("nobodys", key)):
        assert forward(document) == "204"


def test_it_holds_no_credentials_and_no_token(tenant: Tenant, forward: Callable[[object], str]) -> None:
    there = connected(tenant.kubeconfig, f"{tenant.namespace}-cluster")
    forward({})  # there is a pod now
    pods = there.select("v1", "Pod", "serving.knative.dev/service=forward")
    assert pods
    for pod in pods:
        text = json.dumps(pod["spec"])
        assert "secretRef" not in text
        assert "secretKeyRef" not in text
        assert not [one for one in pod["spec"]["volumes"] if "secret" in one or "projected" in one]
