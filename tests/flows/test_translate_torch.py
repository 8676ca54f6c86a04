"""PyTorch's exported programs: an export that was altered is found, weights may lie beside the model.

``test_translator_child`` has what is hostile, ``test_chain`` the way through the platform.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import numpy_helper

from functions._backends.translator import ChildTranslator
from tests.labs import in_lab
from tests.tabular import altered, at_once, holds
from tests.translations import Translations, translating, with_another_operator

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("translator")]

MAKE_MODELS = """\
import sys
from pathlib import Path
import torch
from torch import nn

class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.norm = nn.Embedding(40, 16), nn.LayerNorm(16)
        self.attention, self.last = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 5)
    def forward(self, tokens):
        x = self.norm(self.table(tokens))
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return torch.softmax(self.last(torch.tanh(x)), -1)

torch.manual_seed(7)
folder, batch = Path(sys.argv[1]), torch.export.Dim("batch", min=1)
image = nn.Sequential(
    nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, groups=8), nn.Sigmoid(),
    nn.Flatten(), nn.Linear(128, 10),
)
for _ in range(3):
    image(torch.randn(16, 1, 14, 14) * 2 + 1)  # so that the normalisation has something to say
length = torch.export.Dim("length", min=1, max=64)
MODELS = {
    "image": (image, torch.randn(2, 1, 14, 14), {0: batch}),
    "words": (Words(), torch.randint(0, 40, (2, 5)), {0: batch, 1: length}),
}
for name, (model, example, shapes) in MODELS.items():
    (folder / name).mkdir()
    program = torch.export.export(model.eval(), (example,), dynamic_shapes=(shapes,))
    torch.export.save(program, folder / name / "model.pt2")
"""
GOOD = ("image", "words")


@pytest.fixture(scope="module")
def translations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Translations]:
    """Programs exported by PyTorch in a process of its own, and their translations."""
    models = tmp_path_factory.mktemp("programs")
    in_lab(MAKE_MODELS, models)
    with translating("torch", models, tmp_path_factory.mktemp("targets"), GOOD) as found:
        yield found


@pytest.mark.parametrize("name", GOOD)
def test_a_program_computes_the_same_in_onnx(translations: Translations, name: str) -> None:
    assert holds(translations.report(name))
    assert translations.report(name)["skipped"] == []


# ---- exports that are wrong ----

OPERATORS = {
    "image": [("Relu", "Elu"), ("Sigmoid", "Tanh")],
    "words": [("Softmax", "LogSoftmax"), ("Tanh", "Sigmoid")],
}


def weights_of(model: onnx.ModelProto) -> list[str]:
    """The names of all tensors of real numbers, whatever layer they belong to."""
    real = (each for each in model.graph.initializer if each.data_type == onnx.TensorProto.FLOAT)
    return [each.name for each in real if numpy.prod(each.dims) > 1]


def weight(name: str) -> Callable[[onnx.ModelProto], None]:
    """Changes the last number of a tensor, by a twentieth of its largest one.

    Not one in the middle: what attention adds to its keys makes no difference to anything.
    """

    def change(model: onnx.ModelProto) -> None:
        tensor = next(each for each in model.graph.initializer if each.name == name)
        values = numpy_helper.to_array(tensor).copy()
        values.flat[-1] += 0.05 * max(float(numpy.abs(values).max()), 0.1)
        tensor.CopyFrom(numpy_helper.from_array(values, name))

    return change


def test_one_weight_of_any_layer_and_one_operator_that_were_altered_are_found(
    translations: Translations, tmp_path: Path
) -> None:
    changes = [
        (name, what, change)
        for name in GOOD
        for what, change in [
            *((each, weight(each)) for each in weights_of(translations.onnx(name))),
            *((f"{old} became {new}", with_another_operator(old, new)) for old, new in OPERATORS[name]),
        ]
    ]
    assert len(changes) > 15
    jobs = []
    for number, (name, _, change) in enumerate(changes):
        target = shutil.copytree(translations.targets / name, tmp_path / str(number))
        altered(target / "model.onnx", change)
        jobs.append((translations.models / name, target, {"measure": True, "seed": 11}))
    verdicts = [report.get("verdict", report) for report in at_once("torch", jobs)]
    assert [
        (name, what, verdict)
        for (name, what, _), verdict in zip(changes, verdicts, strict=True)
        if verdict != "not-equal"
    ] == []


# ---- more weights than one file takes ----


def apart(translations: Translations, target: Path) -> dict[str, Any]:
    """The report of a translation for which protobuf's end was said to come early."""
    return ChildTranslator().translate("torch", translations.models / "image", target, {"seed": 3, "one_file": 1000})


def test_weights_beyond_the_end_of_protobuf_lie_beside_the_model(translations: Translations, tmp_path: Path) -> None:
    report = apart(translations, tmp_path)
    assert holds(report)
    assert report["figures"] == translations.report("image")["figures"]
    names = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(names) == {"model.onnx", "model.onnx.data", "report.json"}
    model = onnx.load(str(tmp_path / "model.onnx"), load_external_data=False)
    beside = [each for each in model.graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL]
    assert beside
    assert {entry.value for each in beside for entry in each.external_data if entry.key == "location"} == {
        "model.onnx.data"
    }


def test_a_changed_weight_beside_the_model_is_found(translations: Translations, tmp_path: Path) -> None:
    apart(translations, tmp_path)
    path = tmp_path / "model.onnx.data"
    values = numpy.frombuffer(path.read_bytes(), dtype="float32").copy()
    values[numpy.abs(values).argmax()] *= 1.5
    path.write_bytes(values.tobytes())
    asked = {"measure": True, "seed": 5}
    report = ChildTranslator().translate("torch", translations.models / "image", tmp_path, asked)
    assert report["verdict"] == "not-equal"
