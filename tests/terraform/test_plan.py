"""What Terraform plans for a tenant agrees with the declaration, the settings and the handbook. No cluster is asked."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from functions._domain import cluster as names
from functions._runtime import manifests
from functions._runtime.settings import CLUSTER, CONFIG_MAP, SETTINGS
from functions.declaration import FUNCTIONS
from tests.cluster.tenants import ROOT
from tests.terraform.flows import Place, lets_through
from tests.terraform.workspace import Workspace

NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "nowhere",
    "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "nobody", "user": {}}],
    "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
}
API_SERVER = "192.0.2.1"


def nowhere(place: Path, example: str) -> tuple[Workspace, dict[str, object]]:
    """An example for a cluster that is nowhere, and its variables but for the tenants."""
    (place / "kubeconfig").write_text(yaml.safe_dump(NOWHERE))
    services = (one for one in manifests.objects() if one["kind"] == "Service")
    images = {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in services}
    (place / "images.json").write_text(json.dumps({name: f"registry.example.org/{name}:1" for name in images}))
    workspace = Workspace.copied(place, example, {"AWS_ACCESS_KEY_ID": "owner", "AWS_SECRET_ACCESS_KEY": "hidden-away"})
    return workspace, {
        "kubeconfig": str(place / "kubeconfig"),
        "images": str(place / "images.json"),
        "domain": "example.org",
        "ingress_namespaces": ["ingress"],
        "api_server": [f"{API_SERVER}/32"],
        "store_public_url": "https://s3.example.org",
        "chain_id": 1337,
    }


@pytest.fixture(scope="module")
def plan(terraform: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The plan of the example for one tenant."""
    workspace, variables = nowhere(tmp_path_factory.mktemp("plan"), "examples/one-tenant")
    return workspace.plan({**variables, "ledger_address": "0x" + "1" * 40, "evidence_log_address": "0x" + "2" * 40})


@pytest.fixture(scope="module")
def applied(plan: Any) -> Mapping[tuple[str, str], Any]:
    """Every Kubernetes object that is planned, by kind and name, each with its namespace."""
    found = {}
    for one in plan["resource_changes"]:
        if one["type"] == "kubectl_manifest":
            after = one["change"]["after"]
            document = yaml.safe_load(after["yaml_body"])
            if after.get("override_namespace"):
                document["metadata"]["namespace"] = after["override_namespace"]
            assert (document["kind"], document["metadata"]["name"]) not in found
            found[document["kind"], document["metadata"]["name"]] = document
    return found


def test_every_object_that_is_rendered_is_planned_as_it_is(applied: Mapping[tuple[str, str], Any]) -> None:
    rendered = [one for one in manifests.objects() if "gpu" not in one["metadata"]["name"]]
    for one in rendered:
        planned = json.loads(json.dumps(applied[one["kind"], one["metadata"]["name"]]))
        assert planned["metadata"].pop("namespace") == "acme"
        if one["kind"] == "Service":
            container = planned["spec"]["template"]["spec"]["containers"][0]
            container["image"] = container["image"].removeprefix("registry.example.org/").removesuffix(":1")
        assert planned == one
    assert not [name for _, name in applied if "gpu" in name]


def test_what_is_planned_beside_is_the_tenants_own(applied: Mapping[tuple[str, str], Any]) -> None:
    rendered = {(one["kind"], one["metadata"]["name"]) for one in manifests.objects()}
    assert {kind for kind, name in applied if (kind, name) not in rendered} == {
        "Namespace", "ResourceQuota", "LimitRange", "NetworkPolicy", "ConfigMap", "Job",
    }  # fmt: skip


def test_functions_are_given_settings_that_they_know_and_all_that_they_need(
    applied: Mapping[tuple[str, str], Any],
) -> None:
    given = set(applied["ConfigMap", names.SETTINGS]["data"])
    known = {one.name for one in SETTINGS if one.source == CONFIG_MAP}
    assert given <= known
    assert set(CLUSTER) - given <= {"POLYGLOT_LOG_LEVEL"} | {name for name in known if "OIDC" in name}


def test_the_module_names_no_setting_that_no_function_knows() -> None:
    text = (ROOT / "terraform" / "modules" / "tenant" / "main.tf").read_text()
    known = {one.name for one in SETTINGS}
    assert set(re.findall(r"\bPOLYGLOT_[A-Z0-9_]+", text)) <= known


def test_the_handbook_shows_the_policy_that_the_module_sets(plan: Any) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    (policy,) = (one for one in plan["resource_changes"] if one["type"] == "aws_s3_bucket_policy")
    assert json.loads(policy["change"]["after"]["policy"]) == json.loads(text)


def test_the_quota_has_room_for_a_deployment_and_a_chain(applied: Mapping[tuple[str, str], Any]) -> None:
    hard = applied["ResourceQuota", "tenant"]["spec"]["hard"]
    limits = applied["LimitRange", "tenant"]["spec"]["limits"][0]
    requested = [
        one["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"]
        for (kind, _), one in applied.items()
        if kind == "Service"
    ]
    small = sum(_mebibytes(one) + _mebibytes(limits["defaultRequest"]["memory"]) for one in requested if "Mi" in one)
    largest = max(_mebibytes(one) for one in requested)
    # What starts at a deployment, twice, since old pods go when new ones are ready; a translation, a check, a training.
    assert 2 * small + 3 * largest <= _mebibytes(hard["requests.memory"])


def _mebibytes(quantity: str) -> int:
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


def test_two_tenants_are_planned_apart_and_never_with_one_ledger(terraform: None, tmp_path: Path) -> None:
    workspace, variables = nowhere(tmp_path, "examples/two-tenants")
    ours, theirs = (
        {"ledger_address": f"0x{one * 40}", "evidence_log_address": f"0x{other * 40}"} for one, other in ("ab", "cd")
    )
    said = workspace.refused({**variables, "tenants": {"acme": ours, "globex": {**ours}}})
    assert "two have the same ledger_address" in said
    plan = workspace.plan({**variables, "tenants": {"acme": ours, "globex": theirs}})
    planned = [one["change"]["after"] for one in plan["resource_changes"] if one["type"] == "kubectl_manifest"]
    namespaces = [one["override_namespace"] or yaml.safe_load(one["yaml_body"])["metadata"]["name"] for one in planned]
    assert namespaces.count("acme") == namespaces.count("globex") == len(planned) / 2


def test_no_credential_of_whoever_applies_is_planned(plan: Any) -> None:
    assert "hidden-away" not in json.dumps(plan)


# The network

ACME = {"polyglot.io/tenant": "acme"}
STORE = Place("storage", {}, {names.STORAGE_LABEL: "true"})
NODE, DNS, BROKER = Place("ledger"), Place("kube-system"), Place("knative-eventing")
API, INTERNET = Place(address=API_SERVER), Place(address="198.51.100.1")
INGRESS, ACTIVATOR, STRANGER = Place("ingress"), Place("knative-serving"), Place("globex", {"app": "any"})


def function(service: str) -> Place:
    name = next(function.name for function in FUNCTIONS if service in function.services)
    return Place("acme", {"serving.knative.dev/service": service, "app.kubernetes.io/name": name}, ACME)


TRAINS = Place("acme", {names.RUN_LABEL: names.RUN_TRAINS}, ACME)
ANNOUNCES = Place("acme", {names.RUN_LABEL: names.RUN_ANNOUNCES}, ACME)
KEYS = Place("acme", {"batch.kubernetes.io/job-name": "keys"}, ACME)
ANYTHING = Place("acme", {"app": "somebody-started-this"}, ACME)

PASSES = [
    (INGRESS, function("register"), 8012), (ACTIVATOR, function("translate-torch"), 8012),
    (ACTIVATOR, function("verify"), 8013), (ACTIVATOR, function("verify"), 9090), (BROKER, function("bury"), 8112),
    *((function(name), place, port) for name in ("register", "deploy", "translate-torch", "bury", "train")
      for place, port in ((STORE, 7070), (NODE, 8545), (BROKER, 8080), (DNS, 53))),
    *((function(name), API, 6443) for name in ("train", "collect", "retrieve")),
    (TRAINS, STORE, 7070), (TRAINS, API, 6443), (TRAINS, DNS, 53), (ANNOUNCES, BROKER, 8080), (ANNOUNCES, API, 6443),
    (KEYS, API, 6443),
]  # fmt: skip
STOPPED = [
    (STRANGER, function("register"), 8012), (STRANGER, TRAINS, 80), (INGRESS, function("register"), 22),
    (ANYTHING, function("register"), 8012), (TRAINS, function("register"), 8012), (INGRESS, TRAINS, 80),
    (function("train"), function("register"), 8012), (function("train"), Place("globex", {"app": "any"}), 80),
    *((function(name), API, 6443) for name in ("register", "deploy", "translate-torch", "verify", "bury", "erase")),
    *((function(name), INTERNET, 443) for name in ("register", "train", "translate-torch", "bury")),
    (TRAINS, BROKER, 8080), (TRAINS, NODE, 8545), (TRAINS, INTERNET, 443), (TRAINS, function("retrieve"), 8012),
    (ANNOUNCES, NODE, 8545), (ANNOUNCES, STORE, 7070), (ANNOUNCES, INTERNET, 443),
    *((ANYTHING, place, 443) for place in (API, STORE, NODE, BROKER, INTERNET)),
    (KEYS, STORE, 7070), (KEYS, BROKER, 8080), (KEYS, INTERNET, 443),
]  # fmt: skip


@pytest.fixture(scope="module")
def policies(applied: Mapping[tuple[str, str], Any]) -> list[Any]:
    return [one for (kind, _), one in applied.items() if kind == "NetworkPolicy"]


@pytest.mark.parametrize(("sender", "receiver", "port"), PASSES)
def test_what_a_part_needs_passes_the_policies(policies: list[Any], sender: Place, receiver: Place, port: int) -> None:
    protocol = "UDP" if port == 53 else "TCP"
    assert lets_through(policies, sender, receiver, port, protocol)


@pytest.mark.parametrize(("sender", "receiver", "port"), STOPPED)
def test_what_no_part_needs_is_stopped(policies: list[Any], sender: Place, receiver: Place, port: int) -> None:
    assert not lets_through(policies, sender, receiver, port)


def test_every_function_that_talks_to_the_engine_reaches_the_api_server_and_no_other(policies: list[Any]) -> None:
    for one in (function for function in FUNCTIONS if function.scope == "tenant"):
        for service in one.services:
            assert lets_through(policies, function(service), API, 6443) == bool(one.engine), service
