"""Real translators as real children: small PyTorch models become ONNX, and what is hostile or broken is refused."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest

from functions._backends.process_tree import tree
from functions._backends.translator import ChildTranslator, Limits
from functions._domain.errors import RejectedContent, Unavailable
from functions._runtime.wiring import WiredPorts
from functions.declaration import by_name

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("translator")]

MAKE_MODELS = """\
import sys
from pathlib import Path
import torch
from torch import nn

class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.last = nn.Embedding(50, 8), nn.Linear(8, 3)
    def forward(self, tokens):
        found = self.table(tokens)
        return {"scores": self.last(found.mean(1)), "sums": found.sum(-1)}

class Pair(nn.Module):
    def forward(self, left, right):
        return left @ right, (left.sum(0) * 3, right > 0)

class Custom(nn.Module):
    def forward(self, x):
        return torch.ops.house.twice(x)

torch.library.define("house::twice", "(Tensor x) -> Tensor")
torch.library.impl("house::twice", "cpu", lambda x: x * 2)
torch.library.register_fake("house::twice", lambda x: torch.empty_like(x))
torch.manual_seed(7)
folder, batch = Path(sys.argv[1]), torch.export.Dim("batch", min=1)
MODELS = {
    "mlp": (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), (torch.randn(2, 4),), ({0: batch},)),
    "conv": (
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)),
        (torch.randn(2, 1, 8, 8),), ({0: batch},),
    ),
    "embedding": (Embedding(), (torch.randint(0, 50, (2, 5)),), ({0: batch, 1: torch.export.Dim("length", min=1)},)),
    "pair": (Pair(), (torch.randn(3, 4), torch.randn(4, 5)), ({0: batch}, {1: torch.export.Dim("columns", min=1)})),
    "custom": (Custom(), (torch.randn(2, 4),), ({0: batch},)),
    "dropout": (nn.Dropout(0.5), (torch.randn(20, 40),), ({0: batch},)),
}
for name, (model, example, shapes) in MODELS.items():
    model = model.train() if name == "dropout" else model.eval()
    (folder / name).mkdir()
    torch.export.save(torch.export.export(model, example, dynamic_shapes=shapes), folder / name / "model.pt2")
(folder / "script").mkdir()
torch.jit.save(torch.jit.script(MODELS["mlp"][0]), folder / "script" / "model.pt")
(folder / "classic").mkdir()
torch.save(MODELS["mlp"][0].state_dict(), folder / "classic" / "model.pt")
"""
GOOD = ("conv", "again", "embedding", "pair", "script", "dropout")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each model, made by PyTorch in a process of its own."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-W", "ignore", "-c", MAKE_MODELS, str(folder)], check=True)
    shutil.copytree(folder / "conv", folder / "again")
    rows = numpy.random.default_rng(0).standard_normal((40, 4)).astype("float32")
    numpy.savez(folder / "script" / "samples.npz", inputs=rows, labels=numpy.arange(40) % 3)
    return folder


@pytest.fixture(scope="module")
def translations(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[dict[str, Any]]]]:
    """The reports of all good models, two at a time."""
    target = tmp_path_factory.mktemp("of-the-child")
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(
                ChildTranslator().translate, "torch", models / name, target / name, {"opset": None, "seed": 3}
            )
            for name in GOOD
        }


@pytest.fixture
def report(translations: Mapping[str, Future[dict[str, Any]]]) -> Callable[[str], dict[str, Any]]:
    return lambda name: translations[name].result()


def refused(source: Path, target: Path, **options: object) -> str:
    with pytest.raises(RejectedContent) as caught:
        ChildTranslator().translate("torch", source, target, options)
    return str(caught.value)


# ---- models that can be translated ----


def test_a_convolutional_net_is_translated_and_measured(report: Callable[[str], dict[str, Any]]) -> None:
    found = report("conv")
    assert found["schema"] == "polyglot/translation-report/v1"
    assert found["verdict"] in ("equal", "within-tolerance")
    assert (found["framework"], found["format"], found["opset"], found["cases"]) == ("torch", "pt2", 18, 7)
    assert found["inputs"][0]["dtype"] == "float"
    assert found["inputs"][0]["shape"][1:] == [1, 8, 8]
    assert isinstance(found["inputs"][0]["shape"][0], str), "the batch size is still free"
    assert set(found["versions"]) >= {"torch", "onnx", "onnxruntime", "onnxscript"}
    assert found["isolation"]["network"] in ("none", "host")


def test_two_translations_are_the_same_bytes_and_name_no_place(
    report: Callable[[str], dict[str, Any]], translations: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert report("conv")["figures"] == report("again")["figures"]
    folder = next(tmp_path_factory.getbasetemp().glob("of-the-child*"))
    one, other = ((folder / name / "model.onnx").read_bytes() for name in ("conv", "again"))
    assert one == other
    assert b"site-packages" not in one
    assert str(folder.parent).encode() not in one
    assert sorted(path.name for path in (folder / "conv").iterdir()) == ["model.onnx", "report.json"]


def test_tokens_stay_within_the_vocabulary_and_both_sizes_stay_free(report: Callable[[str], dict[str, Any]]) -> None:
    found = report("embedding")
    assert found["verdict"] in ("equal", "within-tolerance")
    assert found["skipped"] == []
    assert found["cases"] == 8, "one more, for tokens that were in none of the others"
    assert len(found["figures"]) == 2
    assert all(isinstance(side, str) for side in found["inputs"][0]["shape"])


def test_two_inputs_and_nested_outputs_keep_their_order(report: Callable[[str], dict[str, Any]]) -> None:
    found = report("pair")
    assert found["verdict"] in ("equal", "within-tolerance")
    assert [each["name"] for each in found["inputs"]] == ["left", "right"]
    assert [each["dtype"] for each in found["outputs"]] == ["float", "float", "bool"]


def test_torchscript_is_translated_by_the_samples_left_beside_it(report: Callable[[str], dict[str, Any]]) -> None:
    found = report("script")
    assert found["format"] == "torchscript"
    assert found["verdict"] in ("equal", "within-tolerance")
    assert found["metric"]["rows"] == 40
    assert found["metric"]["source"] == found["metric"]["onnx"]
    assert found["top1_agreement"] == 1


def test_a_model_that_answers_at_random_is_not_equal(report: Callable[[str], dict[str, Any]]) -> None:
    found = report("dropout")
    assert found["verdict"] == "not-equal"
    assert next(iter(found["figures"].values()))["max_abs"] > 0.1


# ---- models that cannot ----


def test_an_operator_of_ones_own_is_refused_by_name(models: Path, tmp_path: Path) -> None:
    assert "'house.twice.default' is not one of PyTorch's own computations" in refused(models / "custom", tmp_path)


def test_torchscript_without_samples_is_refused_with_the_way_out(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "script", tmp_path / "source")
    (tmp_path / "source" / "samples.npz").unlink()
    assert "torch.export.save, or leave samples.npz" in refused(tmp_path / "source", tmp_path / "target")


def test_an_archive_that_would_run_code_is_refused_and_nothing_runs(models: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    code = f"Symbol(open({str(target / 'proof')!r}, 'w').write('x'))"
    source = tmp_path / "source"
    source.mkdir()
    with (
        zipfile.ZipFile(models / "mlp" / "model.pt2") as old,
        zipfile.ZipFile(source / "model.pt2", "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("models/model.json"):
                text = data.decode().replace("Symbol(", code.replace('"', '\\"') + " + Symbol(", 1)
                assert json.loads(text)
                data = text.encode()
            new.writestr(name, data)
    assert "which no plain exported model has" in refused(source, target)
    assert not (target / "proof").exists()


def test_torchscript_that_writes_files_is_refused(models: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with zipfile.ZipFile(models / "script" / "model.pt") as old, zipfile.ZipFile(source / "model.pt", "w") as new:
        for name in old.namelist():
            code = old.read(name).replace(b"return", b"torch . \\\n save(input, 'proof')\n    return", 1)
            new.writestr(name, code if name.endswith(".py") else old.read(name))
    assert "reads or writes files (torch.save)" in refused(source, tmp_path / "target")


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_model_that_is_cut_off_is_refused(models: Path, tmp_path: Path, kept: float) -> None:
    data = (models / "mlp" / "model.pt2").read_bytes()
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.pt2").write_bytes(data[: int(len(data) * kept)])
    assert "cut off" in refused(source, tmp_path / "target")


def test_pickles_are_refused_with_the_way_out(models: Path, tmp_path: Path) -> None:
    assert "torch.export.save(" in refused(models / "classic", tmp_path / "one")
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.pt2").write_bytes(pickle.dumps({"weights": [1.0]}))
    assert "pickle" in refused(source, tmp_path / "two")


def test_an_opset_that_the_exporter_does_not_write_is_refused(models: Path, tmp_path: Path) -> None:
    assert "to the opsets 18 to 23, not 9" in refused(models / "mlp", tmp_path, opset=9)


@pytest.mark.parametrize("framework", ["cobol", "../torch", "torch.nn", ""])
def test_a_framework_that_nobody_translates_is_refused(models: Path, tmp_path: Path, framework: str) -> None:
    with pytest.raises(RejectedContent, match="no translator for"):
        ChildTranslator().translate(framework, models / "mlp", tmp_path, {})


# ---- limits, and ends from outside ----


@pytest.mark.parametrize(
    ("limits", "named"),
    [(Limits(seconds=0.5), "0.5 seconds"), (Limits(memory=100 * 2**20), "0.0977 GiB of memory")],
    ids=["time", "memory"],
)
def test_a_limit_ends_the_child_and_is_named(models: Path, tmp_path: Path, limits: Limits, named: str) -> None:
    with pytest.raises(RejectedContent, match=f"the limit of {named}"):
        ChildTranslator(limits).translate("torch", models / "mlp", tmp_path, {})


def test_how_much_memory_a_translation_may_have_is_a_setting(models: Path, tmp_path: Path) -> None:
    ports = WiredPorts(by_name("translate"), {"POLYGLOT_TRANSLATOR_MEMORY": str(100 * 2**20)})
    with pytest.raises(RejectedContent, match=r"the limit of 0\.0977 GiB of memory"):
        ports.translator.translate("torch", models / "mlp", tmp_path, {})


def test_a_child_ended_by_somebody_else_may_be_tried_again_and_saw_no_secret(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do not tell")
    seen: list[bytes] = []

    def end_it() -> None:
        while not (found := _children_with(b"functions._translators.torch")):
            time.sleep(0.02)
        time.sleep(0.3)
        seen.append(Path(f"/proc/{found[0]}/environ").read_bytes())
        os.kill(found[0], signal.SIGTERM)

    thread = threading.Thread(target=end_it)
    thread.start()
    with pytest.raises(Unavailable, match="SIGTERM"):
        ChildTranslator().translate("torch", models / "mlp", tmp_path, {})
    thread.join()
    assert b"do not tell" not in seen[0]


def _children_with(words: bytes) -> list[int]:
    found = []
    for pid in tree(os.getpid(), itself=False):
        line = Path(f"/proc/{pid}/cmdline").read_bytes() if Path(f"/proc/{pid}").exists() else b""
        if words in line and b"_backends.isolation" not in line:
            found.append(pid)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_child_dies_with_its_parent(models: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from functions._backends.translator import ChildTranslator\n"
        "ChildTranslator().translate('torch', Path(sys.argv[1]), Path(sys.argv[2]), {})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(models / "mlp"), str(tmp_path / "target")])
    while not (found := _children_with(b"functions._translators.torch")):
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 5
    while Path(f"/proc/{found[0]}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{found[0]}").exists()
