"""`polyglot up --processes`: each function as a process of its own, with its own keys only, gone when idle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from functions._runtime.local.processes import Processes
from functions.declaration import FUNCTIONS, by_name
from tests.platforms import Site, started


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A platform whose functions are processes."""
    site = started(tmp_path_factory.mktemp("processes"), processes=True)
    yield site
    site.platform.stop()


@pytest.fixture(scope="module")
def dataset(split: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dataset that went through register, ingest and deploy."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "rows.csv").write_text("1,2\n3,4\n")
    return split.ok("dataset", "register", str(folder), "--wait")


def environment_of(site: Site, service: str) -> dict[str, str]:
    apps = site.platform.apps
    assert isinstance(apps, Processes)
    pid = apps[service].pid
    assert pid is not None, f"{service} has no process"
    text = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return dict(item.partition("=")[::2] for item in text.split("\0") if item)


def test_a_chain_runs_through_processes(split: Site, dataset: str) -> None:
    split.ok("verify", dataset)
    assert split.status(dataset)["state"] == "complete"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
@pytest.mark.usefixtures("dataset")
def test_a_process_sees_the_keys_of_its_own_role_only(split: Site) -> None:
    split.ok("reconcile")
    for service in ("register", "ingest", "deploy", "retrieve", "reconcile"):
        role, environment = by_name(service).role, environment_of(split, service)
        folder = Path(environment["POLYGLOT_KEYS"])
        found = {path.name.partition(".")[0] for path in folder.iterdir()} if folder.exists() else set()
        assert found == ({role} if role else set()), service
        assert split.settings["POLYGLOT_TOKEN"] not in environment.values()


def test_every_service_of_the_declaration_has_a_process(split: Site) -> None:
    assert set(split.platform.apps) == {service for function in FUNCTIONS for service in function.services}
