"""Two tenants beside each other: they work at the same time, nothing drifts, and Terraform has kept no secret."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions._domain import cluster as names
from functions._domain.ports import ROLES
from tests.cluster import accounts
from tests.cluster.chains import ask, assert_finished_once, dataset_of, wait_for
from tests.cluster.edge import Edge
from tests.cluster.tenants import ROOT, Tenant
from tests.terraform.operating import Applied


def both(two_tenants: Applied, act: Callable[[Tenant], Any]) -> dict[str, Any]:
    """Do something for both tenants at once."""
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(act, tenant) for name, tenant in two_tenants.tenants.items()}
        return {name: one.result() for name, one in running.items()}


def test_the_doctor_finds_nothing_wrong_with_either(two_tenants: Applied) -> None:
    for name, tenant in two_tenants.tenants.items():
        ran = tenant.run("doctor", "--namespace", name, "--json")
        found = {one["name"]: one for one in json.loads(ran.out)}
        assert ran.status == 0, [one for one in found.values() if not one["ok"]]
        assert found["zero initial scale"]["ok"]
        assert "policy denies deleting below assets/" in found["what guards the files"]["found"]
        assert "versioning keeps" in found["what guards the files"]["found"]


def test_both_run_a_chain_at_the_same_time_and_every_claim_verifies(
    two_tenants: Applied, torch_model: Path, script_image: str
) -> None:
    def chain(tenant: Tenant) -> tuple[str, str, Any]:
        dataset = dataset_of(tenant, torch_model.parent)
        model = ask(tenant, dataset, script_image)
        return dataset, model, wait_for(tenant, model, seconds=900)

    made = both(two_tenants, chain)
    for name, (dataset, model, found) in made.items():
        tenant = two_tenants.tenants[name]
        assert_finished_once(tenant, dataset, model)
        ran = tenant.run("verify", found["trained_model"], "--level", "all", "--json")
        assert ran.status == 0, ran.err
    assert len({model for _, model, _ in made.values()}) == 2


def test_both_run_the_digits_example_at_the_same_time(
    two_tenants: Applied, training_images: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "digits"
    subprocess.run([sys.executable, str(ROOT / "examples" / "digits" / "make_dataset.py"), str(folder)], check=True)

    def example(tenant: Tenant) -> Any:
        dataset = tenant.ok("dataset", "register", str(folder), "--name", "digits", "--wait")
        asked = ("--dataset", dataset, "--image", training_images["digits"], "--name", "digits", "--wait")
        model = tenant.ok("model", "register", *asked, timeout=1200)
        trained = json.loads(tenant.ok("show", model, "--json"))["trained_model"]
        assert tenant.run("verify", trained, "--level", "all").status == 0
        return json.loads(tenant.ok("show", trained, "--json"))["metrics"]["accuracy"]

    assert min(both(two_tenants, example).values()) > 0.9


def test_a_tenants_users_open_its_own_bucket_and_not_the_other(
    cluster: Edge, two_tenants: Applied, acme: Tenant, globex: Tenant
) -> None:
    own = accounts.client(cluster, acme.credentials)
    assert "Contents" in own.list_objects_v2(Bucket=acme.bucket)
    with pytest.raises(ClientError, match="AccessDenied"):
        own.list_objects_v2(Bucket=globex.bucket)
    with pytest.raises(ClientError, match="AccessDenied"):
        own.put_bucket_policy(Bucket=acme.bucket, Policy='{"Version": "2012-10-17", "Statement": []}')


def test_a_plan_finds_no_changes(two_tenants: Applied) -> None:
    assert two_tenants.workspace.changes() == []


def test_terraform_has_kept_no_secret(two_tenants: Applied) -> None:
    kept = two_tenants.workspace.kept()
    for tenant in two_tenants.tenants.values():
        looked = dict(hidden(tenant))
        assert {name for name, _ in looked} >= {
            names.S3_SECRET, names.S3_ERASE_SECRET, *(names.key_secret(role) for role in ROLES),
        }  # fmt: skip
        for where, value in looked.items():
            assert not found_in(kept, value), f"{where} is in what Terraform keeps"
        assert tenant.token not in kept


def hidden(tenant: Tenant) -> Mapping[tuple[str, str], bytes]:
    """What the Secrets of a namespace hold that nobody else may know, by Secret and name."""
    public = {"AWS_ACCESS_KEY_ID", "namespace", "ca.crt"}
    return {
        (one["metadata"]["name"], name): base64.b64decode(value)
        for one in tenant.cluster.select("v1", "Secret")
        for name, value in (one.get("data") or {}).items()
        if name not in public
    }


def found_in(kept: str, value: bytes) -> bool:
    """Whether a text holds a value: as it is, in base64 at any offset, or a part that is long enough to tell."""
    lines = [line for line in value.decode(errors="replace").split("\n") if len(line) >= 20 and "-----" not in line]
    encoded = [base64.b64encode(value[shift:])[4:-4].decode()[:60] for shift in range(3)]
    return any(part in kept for part in [*lines, *encoded])


def test_what_looks_for_secrets_finds_one() -> None:
    secret = b"c2VjcmV0LXRoYXQtaXMtbG9uZw-and-more"
    assert found_in(f'"key": "{secret.decode()}"', secret)
    assert found_in(base64.b64encode(b'{"a": "' + secret + b'"}').decode(), secret)
    assert not found_in("nothing of it", secret)


def test_the_namespace_takes_no_pod_that_could_take_the_node(acme: Tenant) -> None:
    container = {"name": "c", "image": "dev.local/any@sha256:" + "0" * 64, "securityContext": {"privileged": True}}
    ran = kubectl(acme, "create", "--filename", "-", given={
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "taker"}, "spec": {"containers": [container]},
    })  # fmt: skip
    assert ran.returncode != 0
    assert 'violates PodSecurity "restricted' in ran.stderr


@pytest.mark.parametrize(("asked", "said"), [
    ({"memory": "100Gi"}, "exceeded quota"),
    ({"nvidia.com/gpu": "1"}, "exceeded quota"),
])  # fmt: skip
def test_the_quota_bounds_what_a_pod_can_ask_for(acme: Tenant, asked: dict[str, str], said: str) -> None:
    safe = {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    container = {"name": "c", "image": "dev.local/any@sha256:" + "0" * 64, "securityContext": safe}
    container["resources"] = {"requests": asked, "limits": asked}
    ran = kubectl(acme, "create", "--filename", "-", given={
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "taker"}, "spec": {"containers": [container]},
    })  # fmt: skip
    assert ran.returncode != 0
    assert said in ran.stderr


def kubectl(tenant: Tenant, *arguments: str, given: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "--kubeconfig", tenant.kubeconfig, "--namespace", tenant.namespace, *arguments]
    return subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
