"""Terraform's examples applied to a cluster, for a whole session; skipped, with the reason, where there is none.

``acme`` and ``globex`` are the two tenants of ``examples/two-tenants``. With ``POLYGLOT_KEEP=NAME`` they are called
NAME-acme and NAME-globex, stay after the session, and are used again by the next one.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import KEEP, cluster, images, script_image, training_images
from tests.cluster.edge import Edge
from tests.cluster.tenants import ROOT, Tenant
from tests.terraform.operating import Applied, addresses, complete, environment, ledgers, opened
from tests.terraform.workspace import Workspace

__all__ = ["cluster", "images", "script_image", "training_images"]

HERE = Path(__file__).parent
WITHOUT_CLUSTER = "test_plan.py"
LAST = "test_destroying.py"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nearly everything here needs a cluster; all of it needs Terraform. What destroys comes last."""
    for item in (one for one in items if one.path.is_relative_to(HERE)):
        item.add_marker(pytest.mark.terraform if item.path.name == WITHOUT_CLUSTER else pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(2400))
    items.sort(key=lambda item: item.path.is_relative_to(HERE) and item.path.name == LAST)


@pytest.fixture(scope="session")
def terraform() -> None:
    """Terraform itself."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on the PATH: install 1.9 or newer")


@pytest.fixture(scope="session")
def two_tenants(
    terraform: None, cluster: Edge, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Applied]:
    """Both tenants of the example, ready, their roles appointed."""
    kept = os.environ.get(KEEP)
    place = ROOT / "build" / "terraform" / kept if kept else tmp_path_factory.mktemp("two-tenants")
    place.mkdir(parents=True, exist_ok=True)
    prefix = kept or f"t{secrets.token_hex(3)}"
    names = [f"{prefix}-acme", f"{prefix}-globex"]
    workspace = Workspace.copied(place, "examples/two-tenants", environment(cluster))
    made = ledgers(cluster, names, place)
    variables = {
        **addresses(cluster, complete(images, place)),
        "chain_id": made[names[0]]["chain_id"],
        "force_destroy": True,
        "tenants": {
            name: {"ledger_address": one["ledger"], "evidence_log_address": one["evidence_log"]}
            for name, one in made.items()
        },
    }
    try:
        workspace.apply(variables)
        found = workspace.outputs()["tenants"]
        yield Applied(workspace, {n: opened(cluster, n, found[n]["url"], made[n], place / n) for n in names})
    finally:
        if not kept:
            workspace.destroy()


@pytest.fixture(scope="session")
def acme(two_tenants: Applied) -> Tenant:
    """The first of them."""
    return next(iter(two_tenants.tenants.values()))


@pytest.fixture(scope="session")
def globex(two_tenants: Applied) -> Tenant:
    """The second."""
    return list(two_tenants.tenants.values())[1]
