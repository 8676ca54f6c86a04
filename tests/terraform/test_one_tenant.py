"""One tenant through its life: made, upgraded, mended, removed. It is never asked to do anything."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import accounts
from tests.cluster.edge import Edge
from tests.cluster.tenants import connected
from tests.terraform.leftovers import buckets, users
from tests.terraform.operating import addresses, complete, environment, ledgers
from tests.terraform.workspace import Workspace

READY, MANIFEST = "module.tenant.terraform_data.ready", "module.tenant.kubectl_manifest"


class One:
    """The tenant, its workspace, and the variables that it was applied with."""

    def __init__(self, cluster: Edge, images: Path, place: Path) -> None:
        self.name, self.cluster = f"t{secrets.token_hex(3)}-one", cluster
        ledger = ledgers(cluster, [self.name], place)[self.name]
        self.workspace = Workspace.copied(place, "examples/one-tenant", environment(cluster))
        self.images = complete(images, place)
        self.variables: dict[str, Any] = {
            **addresses(cluster, self.images),
            "name": self.name,
            "chain_id": ledger["chain_id"],
            "ledger_address": ledger["ledger"],
            "evidence_log_address": ledger["evidence_log"],
        }
        self.there = connected(cluster.settings["KUBECONFIG"], self.name)


@pytest.fixture(scope="module")
def one(terraform: None, cluster: Edge, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[One]:
    made = One(cluster, images, tmp_path_factory.mktemp("one-tenant"))
    try:
        made.workspace.apply(made.variables)
        yield made
    finally:
        if made.workspace.resources():
            made.workspace.apply({**made.variables, "force_destroy": True})
            made.workspace.destroy()


def test_the_outputs_say_where_it_is_and_what_is_done_next(one: One) -> None:
    found = one.workspace.outputs()
    assert found["url"] == f"http://{{function}}.{one.name}.{one.variables['domain']}"
    assert found["bucket"] == f"{one.name}-models"
    assert found["next"][1].startswith(f"polyglot token create --namespace {one.name} ")
    assert one.workspace.changes() == []


def test_an_upgrade_replaces_nothing_and_changes_what_runs_another_image(one: One) -> None:
    images = json.loads(one.images.read_text())
    one.images.write_text(json.dumps({**images, "polyglot-plain": images["polyglot-ledger"]}))
    assert one.workspace.changes() == [f'{MANIFEST}.service["Service/bury"]', READY]
    one.workspace.apply()
    found = one.there.get("serving.knative.dev/v1", "Service", "bury")
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == images["polyglot-ledger"]
    assert found["status"]["latestReadyRevisionName"] == found["status"]["latestCreatedRevisionName"]
    one.images.write_text(json.dumps(images))
    one.workspace.apply()


def test_an_image_that_is_nowhere_ends_with_the_reason_and_the_version_before_goes_on(one: One) -> None:
    images = json.loads(one.images.read_text())
    place = one.workspace.folder.parents[1] / "modules" / "tenant" / "variables.tf"
    one.images.write_text(json.dumps({**images, "polyglot-plain": "dev.local/nobody-has-this:1"}))
    text = place.read_text()
    place.write_text(text.replace("default     = 600", "default     = 60"))
    try:
        said = one.workspace.refused(one.variables)
        assert "Service/bury" in said
        assert "nobody-has-this" in said
    finally:
        place.write_text(text)
        one.images.write_text(json.dumps(images))
        one.workspace.apply(one.variables)
    assert one.workspace.changes() == []


def test_what_somebody_has_deleted_is_found_and_made_again(one: One) -> None:
    one.there.delete("eventing.knative.dev/v1", "Trigger", "deploy-asset-registered")
    assert one.workspace.changes() == [f'{MANIFEST}.delivery["Trigger/deploy-asset-registered"]']
    one.workspace.apply()
    assert one.there.get("eventing.knative.dev/v1", "Trigger", "deploy-asset-registered") is not None


def test_what_somebody_has_changed_is_put_right(one: One) -> None:
    quota = one.there.get("v1", "ResourceQuota", "tenant")
    assert quota is not None
    one.there.apply({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tenant"},
        "spec": {"hard": {**quota["spec"]["hard"], "pods": "1000"}},
    })  # fmt: skip
    assert one.workspace.changes() == [f'{MANIFEST}.bounds["quota"]']
    one.workspace.apply()
    mended = one.there.get("v1", "ResourceQuota", "tenant")
    assert mended is not None
    assert mended["spec"] == quota["spec"]


def test_a_bucket_with_something_in_it_is_not_destroyed_unless_that_is_said(one: One) -> None:
    accounts.client(one.cluster).put_object(Bucket=f"{one.name}-models", Key="assets/kept", Body=b"kept")
    ended = one.workspace.run(
        "destroy", "-input=false", "-auto-approve", "-no-color", "-target=module.tenant.aws_s3_bucket.this"
    )
    assert ended.returncode == 1
    assert "BucketNotEmpty" in ended.stderr
    one.workspace.apply()


def test_then_nothing_is_left_of_it(one: One) -> None:
    one.workspace.apply({**one.variables, "force_destroy": True})
    one.workspace.destroy()
    assert one.workspace.resources() == []
    assert one.there.get("v1", "Namespace", one.name) is None
    assert f"{one.name}-models" not in buckets(one.cluster)
    assert not users(one.cluster, [one.name, f"{one.name}-erase"])
