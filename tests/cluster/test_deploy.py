"""`polyglot deploy` on a real cluster: a tenant that works, and what is said of deployments that do not."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions._runtime import manifests
from tests.cluster import accounts
from tests.cluster.edge import Edge
from tests.cluster.tenants import ROOT, Tenant, connected

WAITED = {"Service", "Broker", "Trigger", "PingSource"}


def _deploy(tenant: Tenant, images: Path, *options: str, status: int = 0) -> tuple[list[dict[str, Any]], str]:
    ran = tenant.run("deploy", "--namespace", tenant.namespace, "--images", str(images), "--json", *options)
    assert ran.status == status, ran.err
    return (json.loads(ran.out) if ran.out else []), ran.err


def test_everything_is_ready_and_the_addresses_answer(tenant: Tenant) -> None:
    states = {(one["kind"], one["name"]): one["state"] for one in tenant.deployed}
    assert set(states) == {(one["kind"], one["metadata"]["name"]) for one in manifests.objects()}
    assert {state for (kind, _), state in states.items() if kind in WAITED} == {"ready"}
    assert "{function}" in tenant.url
    assert tenant.http("register", "POST", "/v1/uploads", {"kind": "dataset"}, token="wrong")[0] == 401
    assert tenant.http("retrieve", "GET", "/v1/assets")[0] == 200


def test_a_dataset_is_registered_and_its_contract_deployed_through_broker_and_triggers(
    tenant: Tenant, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n")
    dataset = tenant.ok("dataset", "register", str(tmp_path), "--name", "deployed", "--wait")
    shown = json.loads(tenant.ok("show", dataset, "--json"))
    assert shown["contract"]["address"].startswith("0x")
    verdict = tenant.ok("verify", dataset)
    assert "integrity" in verdict


def test_a_second_deployment_changes_nothing(tenant: Tenant, images: Path) -> None:
    done, said = _deploy(tenant, images)
    assert {one["change"] for one in done} == {"unchanged"}, said


def test_a_dry_run_tells_an_image_that_would_change_and_changes_none(tenant: Tenant, images: Path) -> None:
    other = ("--image", "polyglot-plain=dev.local/polyglot-plain:another")
    done, _ = _deploy(tenant, images, "--dry-run", *other)
    assert {(one["name"], one["change"]) for one in done if one["change"] != "unchanged"} == {("bury", "changed")}
    assert {one["change"] for one in _deploy(tenant, images)[0]} == {"unchanged"}


def test_what_an_earlier_version_applied_goes_and_what_a_person_made_stays(tenant: Tenant, images: Path) -> None:
    there = tenant.cluster
    extra = {**next(one for one in manifests.objects() if one["kind"] == "NetworkPolicy")}
    there.apply({**extra, "metadata": {**extra["metadata"], "name": "earlier"}})
    there.create({**extra, "metadata": {**extra["metadata"], "name": "by-hand"}})
    done, _ = _deploy(tenant, images)
    assert {(one["name"], one["change"]) for one in done if one["change"] != "unchanged"} == {("earlier", "pruned")}
    assert there.get("networking.k8s.io/v1", "NetworkPolicy", "by-hand") is not None
    there.delete("networking.k8s.io/v1", "NetworkPolicy", "by-hand")


def test_a_trigger_of_another_broker_is_made_anew(tenant: Tenant, images: Path) -> None:
    there = tenant.cluster
    trigger = next(one for one in manifests.objects() if one["kind"] == "Trigger")
    name = trigger["metadata"]["name"]
    there.delete("eventing.knative.dev/v1", "Trigger", name)
    there.apply({**trigger, "spec": {**trigger["spec"], "broker": "another"}})
    done, _ = _deploy(tenant, images)
    assert {(one["name"], one["change"]) for one in done if one["change"] != "unchanged"} == {(name, "replaced")}
    assert {one["state"] for one in done if one["name"] == name} == {"ready"}


def test_an_image_that_is_not_there_is_named_and_the_version_before_goes_on(tenant: Tenant, images: Path) -> None:
    wrong = ("--image", "polyglot-plain=dev.local/polyglot-plain:nowhere", "--timeout", "2m")
    done, said = _deploy(tenant, images, *wrong, status=1)
    assert [one["name"] for one in done if one["state"] == "not ready"] == ["bury"]
    assert "dev.local/polyglot-plain:nowhere" in said
    assert "Image" in said  # ErrImageNeverPull, ErrImagePull or ImagePullBackOff
    assert not [one for one in _deploy(tenant, images)[0] if one["state"] == "not ready"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the PATH")
def test_the_same_files_are_taken_by_kubectl_with_an_overlay(tenant: Tenant, images: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "knative", tmp_path / "knative")
    references = {name: one.partition("@") for name, one in json.loads(images.read_text()).items()}
    pinned = [
        {"name": name, "newName": repository.partition(":")[0], **({"digest": digest} if at else {"newTag": "0.1.0"})}
        for name, (repository, at, digest) in references.items()
    ]
    overlay = {"namespace": tenant.namespace, "resources": ["../knative"], "images": pinned}
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(json.dumps(overlay))
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "name"]
    ended = subprocess.run(
        [*command, "-k", str(tmp_path / "overlay")],
        env={**os.environ, "KUBECONFIG": tenant.kubeconfig},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.split()) == len(manifests.objects())


@pytest.fixture
def bare(cluster: Edge, tenant: Tenant) -> Any:
    """A namespace with nothing in it."""
    there = connected(cluster.settings["KUBECONFIG"], f"{tenant.namespace}-bare")
    there.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": there.namespace}})
    yield there
    there.delete("v1", "Namespace", there.namespace)


def test_a_namespace_that_is_not_prepared_is_left_as_it_is(tenant: Tenant, bare: Any, images: Path) -> None:
    ran = tenant.run("deploy", "--namespace", bare.namespace, "--images", str(images))
    assert ran.status == 1
    assert "ConfigMap polyglot is not there" in ran.err
    assert f"polyglot key create trainer --secret {bare.namespace}" in ran.err
    assert bare.select("serving.knative.dev/v1", "Service") == []


def test_a_tenants_credentials_open_its_own_bucket_and_no_other(cluster: Edge, tenant: Tenant) -> None:
    own, other = accounts.client(cluster, tenant.credentials), f"{tenant.bucket}-other"
    accounts.client(cluster).create_bucket(Bucket=other)
    try:
        assert own.list_objects_v2(Bucket=tenant.bucket)["KeyCount"] > 0
        with pytest.raises(ClientError, match="AccessDenied"):
            own.list_objects_v2(Bucket=other)
    finally:
        accounts.client(cluster).delete_bucket(Bucket=other)
