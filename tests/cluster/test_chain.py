"""The main job on a cluster: the same chain as on a laptop, by HTTP and by files dropped into the bucket."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import accounts
from tests.cluster.chains import ask, assert_finished_once, dataset_of, reconcile, wait_for
from tests.cluster.edge import Edge
from tests.cluster.tenants import ROOT, Tenant
from tests.parts import eventually

EXAMPLES = {"digits": ("accuracy", 0.9), "diabetes": ("rmse", 0.0)}


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """An example's name, and its dataset as a folder."""
    name = str(request.param)
    script = ROOT / "examples" / name / "make_dataset.py"
    subprocess.run([sys.executable, str(script), str(tmp_path / name)], check=True)
    return name, tmp_path / name


def test_a_chain_by_http_is_finished_once_and_every_claim_verifies(
    tenant: Tenant, dataset: str, script_image: str, tmp_path: Path
) -> None:
    model = ask(tenant, dataset, script_image)
    found = wait_for(tenant, model)
    assert_finished_once(tenant, dataset, model)
    ran = tenant.run("verify", found["trained_model"], "--level", "all", "--json")
    assert ran.status == 0, ran.err
    tenant.ok("pull", found["translation"], str(tmp_path / "here"))
    assert (tmp_path / "here" / "model.onnx").stat().st_size > 0


def test_the_provenance_says_what_the_training_was_held_in(tenant: Tenant, dataset: str, script_image: str) -> None:
    model = ask(tenant, dataset, script_image, name="provenance")
    trained = wait_for(tenant, model)["trained_model"]
    envelope = json.loads(tenant.storage.read(f"assets/{trained}/evidence/training.{trained}.json") or b"{}")
    statement = json.loads(base64.b64decode(envelope["payload"]))
    inside = statement["predicate"]["buildDefinition"]["internalParameters"]
    assert inside["isolation"]["kind"] == "argo"
    assert inside["isolation"]["credentials"] == "none"
    assert inside["isolation"]["network"] in ("restricted by policy", "not restricted: policies are not enforced here")
    assert inside["environment"]["cpu"]["model"]
    assert inside["environment"]["image_digest"] == script_image
    assert inside["environment"]["log_digest"].startswith("sha256:")
    assert "training with" in tenant.ok("logs", model)


def trains(tenant: Tenant, dataset: str, name: str, image: str) -> None:
    """Train an example on a registered dataset, and check what came of it."""
    model = tenant.ok("model", "register", "--dataset", dataset, "--image", image, "--name", name, "--wait")
    shown = json.loads(tenant.ok("show", model, "--json"))
    trained = json.loads(tenant.ok("show", shown["trained_model"], "--json"))
    translation = json.loads(tenant.ok("show", shown["translation"], "--json"))
    metric, least = EXAMPLES[name]
    assert trained["metrics"][metric] > least
    assert translation["verdict"] in ("equal", "within-tolerance")
    assert tenant.run("verify", shown["trained_model"], "--level", "all").status == 0


def test_an_example_runs_from_end_to_end_by_http(
    tenant: Tenant, example: tuple[str, Path], training_images: dict[str, str]
) -> None:
    name, folder = example
    dataset = tenant.ok("dataset", "register", str(folder), "--name", name, "--wait")
    trains(tenant, dataset, name, training_images[name])


def dropped(cluster: Edge, tenant: Tenant, folder: Path, name: str) -> None:
    """Put a folder into the inbox as any S3 client would; ``asset.json`` comes last."""
    s3 = accounts.client(cluster, tenant.credentials)
    files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        s3.put_object(Bucket=tenant.bucket, Key=f"inbox/dataset/{name}/{path}", Body=(folder / path).read_bytes())
    asset = json.dumps({"files": [{"path": path} for path in files], "licence": "CC0-1.0"}).encode()
    s3.put_object(Bucket=tenant.bucket, Key=f"inbox/dataset/{name}/asset.json", Body=asset)


def received(tenant: Tenant, name: str) -> str | None:
    """The UUID that a receipt in the inbox tells."""
    data = tenant.storage.read(f"inbox/dataset/{name}/receipt.json")
    return json.loads(data)["asset"] if data else None


def test_an_example_dropped_into_the_inbox_is_found_by_the_sweep(
    cluster: Edge, tenant: Tenant, example: tuple[str, Path], training_images: dict[str, str]
) -> None:
    name, folder = example
    dropped(cluster, tenant, folder, f"{name}-swept")
    reconcile(tenant, everything=False)
    assert eventually(lambda: received(tenant, f"{name}-swept") is not None, seconds=60)
    dataset = str(received(tenant, f"{name}-swept"))
    wait_for(tenant, dataset)
    trains(tenant, dataset, name, training_images[name])


def test_nested_empty_and_oddly_named_files_go_through_the_clusters_store(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "ä b+%.csv").write_bytes(b"1,2\n")
    (tmp_path / "empty").write_bytes(b"")
    dataset = dataset_of(tenant, tmp_path, "odd names")
    tenant.ok("pull", dataset, str(tmp_path / "again"))
    assert (tmp_path / "again" / "deep" / "er" / "ä b+%.csv").read_bytes() == b"1,2\n"
