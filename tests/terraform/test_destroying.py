"""Destroying: nothing is left of the tenants, and all that was there before."""

import os

import pytest

from tests.cluster.conftest import KEEP
from tests.cluster.edge import Edge
from tests.cluster.tenants import connected
from tests.terraform.leftovers import buckets, users
from tests.terraform.operating import Applied

CONFIGS = ("config-features", "config-autoscaler", "config-deployment")


@pytest.mark.skipif(KEEP in os.environ, reason=f"{KEEP} keeps the tenants")
def test_nothing_is_left_and_knatives_settings_stay(cluster: Edge, two_tenants: Applied) -> None:
    serving = connected(cluster.settings["KUBECONFIG"], "knative-serving")
    before = {name: serving.get("v1", "ConfigMap", name)["data"] for name in CONFIGS}  # type: ignore[index]
    two_tenants.workspace.destroy()
    assert two_tenants.workspace.resources() == []
    for name, tenant in two_tenants.tenants.items():
        assert tenant.cluster.get("v1", "Namespace", name) is None
        assert f"{name}-models" not in buckets(cluster)
        assert not users(cluster, [name, f"{name}-erase"])
    assert {name: serving.get("v1", "ConfigMap", name)["data"] for name in CONFIGS} == before  # type: ignore[index]
    assert before["config-autoscaler"]["allow-zero-initial-scale"] == "true"
