"""The cluster, and one tenant for a whole session; both are skipped, with the reason, where there is no cluster."""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import edge, tenants
from tests.cluster.chains import dataset_of
from tests.cluster.edge import Edge
from tests.cluster.tenants import IMAGES, ROOT, Tenant

HERE = Path(__file__).parent
TRAINING = "POLYGLOT_TRAINING_IMAGES"
KEEP = "POLYGLOT_KEEP"
"""A namespace for this session that is left for looking at, and used again by the next one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a cluster, and is left out of `make test` by this marker. Scale comes last: it looks at
    whether all that went before has come to rest."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(900))
    items.sort(key=lambda item: item.path.name == "test_scale.py" and item.path.is_relative_to(HERE))


@pytest.fixture(scope="session")
def cluster() -> Edge:
    """The cluster to test with."""
    found = edge.found()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def images() -> Path:
    """The images to test, as ``make images`` or a cluster's own loader has written them down."""
    path = Path(os.environ.get(IMAGES) or ROOT / "build" / "images.json")
    if not path.is_file():
        pytest.skip(f"no images to deploy: {path} is not there; `make images` writes it, {IMAGES} names another")
    return path


@pytest.fixture(scope="session")
def tenant(cluster: Edge, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A tenant of its own for this session, with everything deployed."""
    kept = os.environ.get(KEEP)
    folder = ROOT / "build" / "cluster" / kept if kept else tmp_path_factory.mktemp("admin")
    made = tenants.created(cluster, kept or f"test-{secrets.token_hex(3)}", folder, images)
    yield made
    if not kept:
        tenants.removed(cluster, made)


@pytest.fixture(scope="session")
def script_image(images: Path) -> str:
    """An image that has Python, by its digest: our own, in which a training may be a script on a command line."""
    reference: str = json.loads(images.read_text())["polyglot-ledger"]
    if "@sha256:" not in reference:
        pytest.skip(
            f"{reference} is not pinned, and trainings are by digest only: push the images (make images PUSH=1)"
        )
    return reference


@pytest.fixture(scope="session")
def training_images() -> dict[str, str]:
    """The examples' images by name, each by its digest."""
    path = Path(os.environ.get(TRAINING) or ROOT / "build" / "training-images.json")
    if not path.is_file():
        pytest.skip(f"no images of the examples: {path} is not there, see knative/README.md; {TRAINING} names another")
    found: dict[str, str] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="session")
def dataset(tenant: Tenant, torch_model: Path) -> str:
    """A dataset that holds a model, which quick trainings copy out of it."""
    return dataset_of(tenant, torch_model.parent)
