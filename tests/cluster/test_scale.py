"""Scale: a model that asks for a GPU goes where one is, many chains at once all end, and then everything is at zero."""

import json
import time
from typing import Any

import pytest

from tests.cluster.chains import ask, open_chains, reconcile, status
from tests.cluster.tenants import Tenant
from tests.cluster.test_faults import kubectl
from tests.platforms import COPY_MODEL

ZERO = 180
"""Seconds until a function without requests is at zero: Knative's window of a minute, its grace, and some air."""


def get(tenant: Tenant, *what: str) -> list[dict[str, Any]]:
    found = kubectl(tenant, "-n", tenant.namespace, "get", *what, "-o", "json")
    items: list[dict[str, Any]] = json.loads(found or '{"items": []}')["items"]
    return items


@pytest.fixture
def gpu_node(tenant: Tenant) -> str:
    found = kubectl(tenant, "get", "nodes", "-l", "accelerator=nvidia", "-o", "jsonpath={.items[0].metadata.name}")
    if not found:
        pytest.skip("no node of this cluster is labelled accelerator=nvidia")
    return found


def test_a_model_that_asks_for_a_gpu_is_trained_and_translated_where_one_is(
    tenant: Tenant, dataset: str, script_image: str, gpu_node: str
) -> None:
    model = ask(tenant, dataset, script_image, COPY_MODEL, "--gpu", "1", name="on-gpu")
    wanted = {
        "the training": f"workflows.argoproj.io/workflow=train-{model}-1,polyglot.io/run=trains",
        "its translation": "serving.knative.dev/service=translate-torch-gpu",
    }
    seen: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + 400
    while (found := status(tenant, model)).get("state") != "complete":
        for name, selector in wanted.items():
            seen.update((name, pod) for pod in get(tenant, "pod", "-l", selector) if pod["spec"].get("nodeName"))
        assert time.monotonic() < end, found
        time.sleep(0.5)
    assert set(seen) == set(wanted)
    for pod in seen.values():
        assert pod["spec"]["nodeName"] == gpu_node
        assert pod["spec"]["nodeSelector"] == {"accelerator": "nvidia"}
        assert any("nvidia.com/gpu" in one["resources"].get("limits", {}) for one in pod["spec"]["containers"])


def test_everything_goes_to_zero_afterwards(tenant: Tenant) -> None:
    reconcile(tenant)
    assert open_chains(tenant) == []
    end = time.monotonic() + ZERO
    while running := [one["metadata"]["name"] for one in get(tenant, "deployment") if one["status"].get("replicas", 0)]:
        assert time.monotonic() < end, f"still running after {ZERO} s: {running}"
        time.sleep(2)
