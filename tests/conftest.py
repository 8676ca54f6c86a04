"""Parts that many tests share: one platform for a whole session, and a small PyTorch model made once."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platforms import Site, image_folder, started

MAKE_MODEL = """\
import sys, torch
torch.manual_seed(7)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
batch = torch.export.Dim("batch", min=1, max=64)
program = torch.export.export(model, (torch.randn(2, 4),), dynamic_shapes=({0: batch},))
torch.export.save(program, sys.argv[1])
"""


RECURSION = sys.getrecursionlimit()


def pytest_collection_finish() -> None:
    """``eth_account``, which a test compares ours with, has a dependency that allows a hundred times deeper recursion.

    Then deep JSON does not end in an exception, but overflows the stack and ends the process, which ours never does.
    """
    sys.setrecursionlimit(RECURSION)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The embedded platform with every function, for tests that leave it usable."""
    found = started(tmp_path_factory.mktemp("platform"))
    yield found
    found.platform.stop()


@pytest.fixture(scope="session")
def torch_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small exported PyTorch program, ``model.pt2``, in a folder of its own."""
    path = tmp_path_factory.mktemp("torch") / "model.pt2"
    subprocess.run([sys.executable, "-W", "ignore", "-c", MAKE_MODEL, str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def quick_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder whose training copies the model out of its dataset."""
    return image_folder(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def assets(
    site: Site, torch_model: Path, quick_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """A finished chain, by kind; its dataset has some files beside the model. Who changes any of it, restores it."""
    place = tmp_path_factory.mktemp("finished")
    (place / "deep" / "er").mkdir(parents=True)
    for name, data in (("deep/er/a.csv", b"1,2,3\n"), ("b.csv", b"3,2,1\n"), ("empty", b"")):
        (place / name).write_bytes(data)
    shutil.copyfile(torch_model, place / "model.pt2")
    dataset = site.ok("dataset", "register", str(place), "--name", "finished", "--wait")
    asked = ("--dataset", dataset, "--image", str(quick_image), "--name", "finished", "--wait")
    model = site.ok("model", "register", *asked)
    shown = json.loads(site.ok("show", model, "--json"))
    return {
        "dataset": dataset,
        "model": model,
        "trained-model": shown["trained_model"],
        "translation": shown["translation"],
    }
