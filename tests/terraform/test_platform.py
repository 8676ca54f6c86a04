"""What is set for a whole cluster, tried in a namespace that plays Knative's: what was there stays."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions._runtime.deployer.cluster import KubernetesCluster
from tests.cluster.edge import Edge
from tests.cluster.tenants import connected
from tests.terraform.workspace import Workspace

NAMES = ("config-features", "config-autoscaler", "config-deployment", "workflow-controller-configmap")


class Played:
    """A namespace with ConfigMaps as Knative and Argo have them, and the module as a root module."""

    def __init__(self, cluster: Edge, place: Path) -> None:
        self.name, self.kubeconfig = f"played-{secrets.token_hex(3)}", cluster.settings["KUBECONFIG"]
        self.there: KubernetesCluster = connected(self.kubeconfig, self.name)
        self.workspace = Workspace.copied(place, "modules/platform", {"KUBECONFIG": self.kubeconfig})
        self.variables = {
            "serving_namespace": self.name,
            "argo": {"namespace": self.name},
            "storage_namespace": self.name,
        }

    def install(self, name: str, data: dict[str, str], *how: str) -> None:
        """Apply a ConfigMap as whoever installs Knative does."""
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        command = [
            "kubectl",
            "--kubeconfig",
            self.kubeconfig,
            "--namespace",
            self.name,
            "apply",
            *how,
            "--filename",
            "-",
        ]
        subprocess.run(command, input=json.dumps(made), check=True, text=True, capture_output=True)

    def data(self, name: str) -> Any:
        """What a ConfigMap holds."""
        return (self.there.get("v1", "ConfigMap", name) or {}).get("data")


@pytest.fixture(params=[(), ("--server-side",)], ids=["applied by the client", "applied by the server"])
def played(request: pytest.FixtureRequest, terraform: None, cluster: Edge, tmp_path: Path) -> Iterator[Played]:
    made = Played(cluster, tmp_path)
    made.there.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.name}})
    for name in NAMES:
        made.install(name, {"_example": "as installed", "theirs": name}, *request.param)
    yield made
    made.there.delete("v1", "Namespace", made.name)


def test_keys_are_added_and_all_that_was_there_stays_also_when_it_is_destroyed(played: Played) -> None:
    played.workspace.apply(played.variables)
    set_now = {name: played.data(name) for name in NAMES}
    for name in NAMES:
        assert set_now[name]["theirs"] == name
        assert set_now[name]["_example"] == "as installed"
    assert set_now["config-autoscaler"]["allow-zero-initial-scale"] == "true"
    assert set_now["config-features"]["kubernetes.podspec-tolerations"] == "enabled"
    assert set_now["config-deployment"]["queue-sidecar-memory-limit"] == "256Mi"
    assert "polyglot.io/run" in set_now["workflow-controller-configmap"]["workflowDefaults"]
    found = played.there.get("v1", "Namespace", played.name)
    assert found is not None
    assert found["metadata"]["labels"]["polyglot.io/storage"] == "true"
    assert played.workspace.changes() == []
    played.workspace.apply({**played.variables, "queue_proxy": {"memory_limit": "512Mi"}})
    assert played.data("config-deployment")["queue-sidecar-memory-limit"] == "512Mi"
    played.workspace.destroy()
    assert {name: played.data(name) for name in NAMES if name != "config-deployment"} == {
        name: data for name, data in set_now.items() if name != "config-deployment"
    }
    assert played.data("config-deployment")["theirs"] == "config-deployment"


def test_another_value_that_somebody_has_set_is_an_error_that_says_so(played: Played) -> None:
    played.install("config-autoscaler", {"theirs": "x", "allow-zero-initial-scale": "false"})
    before = played.data("config-autoscaler")
    said = played.workspace.refused(played.variables)
    assert f"ConfigMap {played.name}/config-autoscaler has another value already" in said
    assert "allow-zero-initial-scale" in said
    assert played.data("config-autoscaler") == before
    assert before["allow-zero-initial-scale"] == "false"
    played.workspace.apply({**played.variables, "zero_initial_scale": False})
    assert played.data("config-autoscaler")["allow-zero-initial-scale"] == "false"


def test_argos_settings_in_one_key_are_left_alone_with_advice(played: Played) -> None:
    played.there.delete("v1", "ConfigMap", "workflow-controller-configmap")
    played.install("workflow-controller-configmap", {"config": "parallelism: 10"})
    assert "write workflowDefaults into it by hand and set argo = null" in played.workspace.refused(played.variables)
    assert played.data("workflow-controller-configmap") == {"config": "parallelism: 10"}
    played.workspace.apply({**played.variables, "argo": None})


def test_what_is_not_installed_is_named(played: Played) -> None:
    kinds = {"workflows.argoproj.io": "Argo Workflows", "machines.example.org": "the machine shop"}
    said = played.workspace.refused({**played.variables, "required_kinds": kinds})
    assert "machines.example.org: install the machine shop first" in said
    assert "argoproj" not in said.partition("does not know these kinds:")[2].partition("Error")[0]
    elsewhere = {**played.variables, "serving_namespace": f"{played.name}-not"}
    assert f"ConfigMap {played.name}-not/config-features is not there" in played.workspace.refused(elsewhere)
