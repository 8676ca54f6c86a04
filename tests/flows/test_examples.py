"""The worked examples, run as plain scripts the way SageMaker would run them."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest

from functions._domain.formats import Format, ModelFile, detect

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("examples")]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = ("digits", "diabetes")
EPOCHS = "12"


@dataclass(frozen=True)
class Trained:
    """What one training left, and what it printed."""

    folder: Path
    printed: str

    @property
    def metrics(self) -> dict[str, float]:
        found: dict[str, float] = json.loads((self.folder / "output" / "metrics.json").read_text())
        return found


def run(name: str, folder: Path, channel: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The training script, copied to a place of its own, with nothing but SageMaker's environment."""
    for part in ("program", "model", "output"):
        (folder / part).mkdir(parents=True)
    script = folder / "program" / "train.py"
    script.write_bytes((EXAMPLES / name / "image" / "train.py").read_bytes())
    environment = {
        "PATH": os.defpath,
        "SM_CHANNEL_TRAIN": str(channel),
        "SM_MODEL_DIR": str(folder / "model"),
        "SM_OUTPUT_DIR": str(folder / "output"),
        "SM_HPS": "{}",
    }
    command = [sys.executable, str(script), *arguments, "--unknown-to-it", "1"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def made_dataset(name: str, folder: Path) -> Path:
    subprocess.run([sys.executable, str(EXAMPLES / name / "make_dataset.py"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def dataset(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_dataset(name, tmp_path_factory.mktemp(name) / "dataset")


@pytest.fixture(scope="module")
def trained(name: str, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp(f"{name}-run")
    done = run(name, folder, dataset, "--epochs", EPOCHS)
    assert done.returncode == 0, done.stderr
    return Trained(folder, done.stdout)


def test_the_dataset_is_always_the_same_bytes(name: str, dataset: Path, tmp_path: Path) -> None:
    again = made_dataset(name, tmp_path / "again")
    assert sorted(path.name for path in dataset.iterdir()) == ["test.csv", "train.csv"]
    assert all((again / path.name).read_bytes() == path.read_bytes() for path in dataset.iterdir())


def test_an_image_folder_holds_what_an_image_needs_and_nothing_else(name: str) -> None:
    image = EXAMPLES / name / "image"
    assert sorted(path.name for path in image.iterdir()) == ["Containerfile", "requirements.txt", "train.py"]
    assert 'CMD ["train"]' in (image / "Containerfile").read_text()


def test_the_training_is_worth_something(name: str, trained: Trained) -> None:
    """Guessing would be right in 10 of 100 digits, and 77 off in the progression."""
    assert trained.metrics["accuracy"] > 0.95 if name == "digits" else trained.metrics["rmse"] < 60
    assert f"epoch {EPOCHS}/{EPOCHS}" in trained.printed
    assert "ignored: --unknown-to-it 1" in trained.printed


def test_it_leaves_a_model_that_is_taken_and_samples_without_pickles(trained: Trained) -> None:
    paths = sorted((trained.folder / "model").iterdir())
    files = [ModelFile(path.name, path.stat().st_size, lambda path=path: path.open("rb")) for path in paths]  # type: ignore[misc]
    assert [path.name for path in paths] == ["model.pt2", "samples.npz"]
    assert detect(files) == Format("torch", "pt2", "model.pt2")
    with numpy.load(trained.folder / "model" / "samples.npz", allow_pickle=False) as samples:
        assert len(samples["labels"]) > 50
        assert len(samples.files) == 2


def test_another_run_elsewhere_gives_the_same_bytes(name: str, dataset: Path, trained: Trained, tmp_path: Path) -> None:
    assert run(name, tmp_path / "elsewhere", dataset, "--epochs", EPOCHS).returncode == 0
    for path in ("model/model.pt2", "model/samples.npz", "output/metrics.json"):
        assert (tmp_path / "elsewhere" / path).read_bytes() == (trained.folder / path).read_bytes()


def test_a_missing_channel_is_said_and_fails(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path / "run", tmp_path / "nothing")
    assert done.returncode == 1
    assert "train.csv is not in the channel" in done.stderr
    assert "train.csv is not in the channel" in (tmp_path / "run/output/failure").read_text()
    assert list((tmp_path / "run/model").iterdir()) == []
