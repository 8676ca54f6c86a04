"""`polyglot doctor --namespace` at a real deployment: that all is well, what is not, and what one may not look at."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from functions._runtime import manifests
from tests.cluster.tenants import Tenant

RBAC = "rbac.authorization.k8s.io/v1"


def checked(tenant: Tenant, status: int, *options: str, **environment: str) -> dict[str, dict[str, Any]]:
    ran = tenant.run("doctor", "--namespace", tenant.namespace, "--json", *options, **environment)
    assert ran.status == status, ran.out or ran.err
    return {one["name"]: one for one in json.loads(ran.out)}


def test_of_a_deployment_with_which_nothing_is_wrong_nothing_is_said_to_be(tenant: Tenant) -> None:
    found = checked(tenant, 0)
    unknown = {name for name, one in found.items() if not one["known"]}
    assert unknown <= {"GPU nodes", "Argo Workflows", "dead letters"}
    services = len([one for one in manifests.objects() if one["kind"] == "Service"])
    assert found["Services"]["found"] == f"{services} ready"
    assert {"functions", "open chains"} <= set(found)
    assert found["role trainer"]["found"].endswith("whose keys its function has")
    assert {"bucket", "what guards the files", "ledger", "evidence log", "rights", "clock of the cluster"} <= set(found)
    assert "(I3)" in found["what guards the files"]["found"]
    assert found["other buckets"]["ok"]


def test_what_was_removed_and_what_may_too_much_is_named_and_a_deployment_mends_it(
    tenant: Tenant, images: Path
) -> None:
    there, name = tenant.cluster, "run-may-read-secrets"
    head = {"apiVersion": RBAC, "metadata": {"name": name}}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    there.create({**head, "kind": "Role", "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    there.create(
        {**head, "kind": "RoleBinding", "roleRef": role, "subjects": [{"kind": "ServiceAccount", "name": "run"}]}
    )
    there.delete("eventing.knative.dev/v1", "Trigger", "deploy-asset-registered")
    try:
        found = checked(tenant, 1)
        assert "not there: deploy-asset-registered" in found["Triggers"]["found"]
        assert "run get secrets" in found["rights"]["found"]
        assert {one for one in found if not found[one]["ok"]} == {"Triggers", "rights"}
    finally:
        there.delete(RBAC, "RoleBinding", name)
        there.delete(RBAC, "Role", name)
        tenant.ok("deploy", "--namespace", tenant.namespace, "--images", str(images))
    checked(tenant, 0)


@pytest.fixture
def onlooker(tenant: Tenant, tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig of somebody who may look at Knative's objects of the namespace, and at nothing secret."""
    there, name = tenant.cluster, "onlooker"
    seen = {
        "": ["configmaps", "pods", "events"],
        "apps": ["replicasets"],
        "serving.knative.dev": ["*"],
        "eventing.knative.dev": ["*"],
        "sources.knative.dev": ["*"],
    }
    rules = [{"apiGroups": [group], "resources": kinds, "verbs": ["get", "list"]} for group, kinds in seen.items()]
    there.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    there.create({"apiVersion": RBAC, "kind": "Role", "metadata": {"name": name}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    binding = {"roleRef": role, "subjects": [{"kind": "ServiceAccount", "name": name}]}
    there.create({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": name}, **binding})
    token = there._json(
        "POST", f"/api/v1/namespaces/{tenant.namespace}/serviceaccounts/{name}/token", None, {"spec": {}}
    )
    config = yaml.safe_load(Path(tenant.kubeconfig).read_text())
    config["users"] = [{"name": name, "user": {"token": token["status"]["token"]}}]
    for context in config["contexts"]:
        context["context"]["user"] = name
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    yield path
    for api, kind in ((RBAC, "RoleBinding"), (RBAC, "Role"), ("v1", "ServiceAccount")):
        there.delete(api, kind, name)


def test_somebody_who_may_not_look_is_told_so_and_nothing_is_called_wrong(tenant: Tenant, onlooker: Path) -> None:
    found = checked(tenant, 0, KUBECONFIG=str(onlooker))
    hidden = ("credentials", "keys of trainer", "rights", "variants", "storage")
    assert {name: found[name]["known"] for name in hidden} == dict.fromkeys(hidden, False)
    assert all("not allowed to look" in found[name]["found"] for name in hidden)
    assert "cannot be seen from here" in found["role trainer"]["found"]
    assert found["Broker"]["ok"]
