"""ONNX itself: passed through or converted to another opset, checked, measured; hostile files are refused."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from functions._translators.ensemble import DOMAIN, OPERATOR, VERSION, attributes
from functions._translators.splits import Tree
from tests.platforms import Site
from tests.tabular import (
    altered,
    at_once,
    holds,
    one_leaf,
    one_operator,
    one_threshold,
    one_weight,
    refused,
    translated,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("translator")]

GENERATOR = numpy.random.default_rng(2)
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
Value = tuple[str, int, Sequence[str | int | None]]


def weights(**shapes: tuple[int, ...]) -> list[TensorProto]:
    return [numpy_helper.from_array(GENERATOR.normal(size=size).astype("float32"), one) for one, size in shapes.items()]


def written(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    tensors: Sequence[TensorProto] = (),
    opsets: Sequence[tuple[str, int]] = (("", 15),),
    **more: Any,
) -> Path:
    """Writes a model; returns its folder."""
    values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
    graph = helper.make_graph(list(nodes), "graph", *values, list(tensors))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*one) for one in opsets], ir_version=8, **more)
    path.mkdir(parents=True)
    onnx.save(model, str(path / "net.onnx"))
    return path


def perceptron(path: Path, batch: str | int | None = "batch", **more: Any) -> Path:
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "first"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("MatMul", ["b", "second"], ["y"]),
    ]
    tensors = weights(first=(6, 16), second=(16, 3))
    return written(path, nodes, [("x", FLOAT, [batch, 6])], [("y", FLOAT, [batch, 3])], tensors, **more)


def tokens(path: Path) -> Path:
    node = helper.make_node
    nodes = [
        node("Cast", ["ids"], ["whole"], to=INT64),
        node("Gather", ["table", "whole"], ["rows"]),
        node("ReduceMean", ["rows"], ["y"], axes=[1], keepdims=0),
    ]
    ids = ("ids", TensorProto.INT32, ["batch", "tokens.1"])
    return written(path, nodes, [ids], [("y", FLOAT, ["batch", 8])], weights(table=(50, 8)))


def image(path: Path) -> Path:
    """Takes no image smaller than 20 by 20."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "kernel"], ["a"], kernel_shape=[20, 20]),
        node("GlobalAveragePool", ["a"], ["b"]),
        node("Flatten", ["b"], ["y"]),
    ]
    shape = ["batch", 1, "height", "width"]
    return written(path, nodes, [("x", FLOAT, shape)], [("y", FLOAT, ["batch", 4])], weights(kernel=(4, 1, 20, 20)))


def trees(path: Path) -> Path:
    """Only operators of the domain for classical models, and so no opset of ONNX's own."""
    feature, left, right = numpy.array([0, 1, 2, 0, 0, 0, 0]), [1, 3, 5, -1, -1, -1, -1], [2, 4, 6, -1, -1, -1, -1]
    threshold, values = numpy.array([50.5, -3.25, 0.125, 0, 0, 0, 0]), numpy.arange(7.0).reshape(-1, 1)
    tree = Tree(feature, threshold, numpy.array(left), numpy.array(right), numpy.zeros(7, bool), values)
    node = helper.make_node(OPERATOR, ["x"], ["y"], domain=DOMAIN, **attributes([tree], [(0,)]))
    return written(path, [node], [("x", FLOAT, [None, 3])], [("y", FLOAT, [None, 1])], opsets=[(DOMAIN, VERSION)])


def branches(path: Path, operator: str = "Neg", domain: str = "") -> Path:
    """A branch inside, and a function of the model's own."""
    node = helper.make_node
    inner = [
        helper.make_graph([node(one, ["x"], [f"out_{one}"], domain=where)], one,
                          [], [helper.make_tensor_value_info(f"out_{one}", FLOAT, None)])
        for one, where in ((operator, domain), ("Twice", "own"))
    ]  # fmt: skip
    nodes = [
        node("ReduceSum", ["x"], ["total"], keepdims=0),
        node("Greater", ["total", "zero"], ["more"]),
        node("If", ["more"], ["y"], then_branch=inner[0], else_branch=inner[1]),
    ]
    twice = helper.make_function(
        "own", "Twice", ["v"], ["w"], [node("Add", ["v", "v"], ["w"])], [helper.make_opsetid("", 15)]
    )
    zero = numpy_helper.from_array(numpy.float32(0), "zero")
    opsets = [("", 15), ("own", 1), *([(domain, 1)] if domain else [])]
    shape = ["batch", 2]
    return written(path, nodes, [("x", FLOAT, shape)], [("y", FLOAT, shape)], [zero], opsets, functions=[twice])


def outside(path: Path, location: str = "deep/weights.bin") -> Path:
    """Weights in a file beside the model, wherever it is said to be."""
    perceptron(path)
    model = onnx.load(str(path / "net.onnx"))
    data = b""
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).tobytes()
        told = {"location": location, "offset": str(len(data)), "length": str(len(values))}
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.extend(onnx.StringStringEntryProto(key=key, value=each) for key, each in told.items())
        data += values
    onnx.save_model(model, str(path / "net.onnx"))
    (path / "deep").mkdir()
    (path / "deep" / "weights.bin").write_bytes(data)
    return path


MODELS = {
    "perceptron": perceptron,
    "nameless": lambda path: perceptron(path, None),
    "fixed": lambda path: perceptron(path, 2),
    "tokens": tokens,
    "image": image,
    "trees": trees,
    "branches": branches,
    "outside": outside,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    for name, make in MODELS.items():
        make(folder / name)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the translations are."""
    return tmp_path_factory.mktemp("onnx-translations")


@pytest.fixture(scope="module")
def reports(models: Path, made: Path) -> dict[str, dict[str, Any]]:
    jobs = [(models / name, made / name, {"seed": 3}) for name in MODELS]
    return dict(zip(MODELS, at_once("onnx", jobs), strict=True))


Reports = dict[str, dict[str, Any]]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_passed_through_as_it_is_and_measured(reports: Reports, models: Path, made: Path, name: str) -> None:
    report = reports[name]
    assert holds(report)
    assert report["exporter"] == "passed through"
    assert report["opset"] == (1 if name == "trees" else 15)
    assert (made / name / "model.onnx").read_bytes() == (models / name / "net.onnx").read_bytes()


def test_the_reference_evaluator_runs_the_source_where_it_can(reports: Reports) -> None:
    runners = {name: report["source_run_by"] for name, report in reports.items()}
    assert runners["perceptron"] == runners["tokens"] == "ONNX's reference evaluator"
    assert runners["trees"] == "ONNX Runtime"


def test_inputs_fit_the_graph(reports: Reports) -> None:
    assert (reports["tokens"]["cases"], reports["tokens"]["skipped"]) == (7, [])
    assert (reports["fixed"]["cases"], reports["perceptron"]["cases"], reports["trees"]["cases"]) == (2, 6, 7)
    assert reports["image"]["skipped"] == []


def test_weights_beside_the_model_come_along(models: Path, made: Path, reports: Reports, tmp_path: Path) -> None:
    weights_ = "deep/weights.bin"
    assert (made / "outside" / weights_).read_bytes() == (models / "outside" / weights_).read_bytes()
    report = translated("onnx", models / "outside", tmp_path, opset=18)
    assert holds(report)
    assert [path.name for path in tmp_path.iterdir() if path.name != "report.json"] == ["model.onnx"]


def test_every_opset_can_be_asked_for(models: Path, tmp_path: Path) -> None:
    jobs = [
        (models / name, tmp_path / f"{name}-{opset}", {"opset": opset})
        for name in ("perceptron", "tokens", "image")
        for opset in (13, 18, 21, 23, 26)
    ]
    for (source, target, options), report in zip(jobs, at_once("onnx", jobs), strict=True):
        if "refusal" in report:  # there is no way down for each operator
            assert options["opset"] == 13
            assert "it cannot be exported to ONNX at opset 13" in report["refusal"]
            continue
        assert holds(report), source
        assert report["exporter"] == "onnx.version_converter"
        found = onnx.load(str(target / "model.onnx"))
        assert found.opset_import[0].version == report["opset"] == options["opset"]
        assert found.ir_version >= {13: 7, 18: 8, 21: 10, 23: 11, 26: 13}[report["opset"]]


def test_an_opset_that_nobody_has_is_refused(models: Path, tmp_path: Path) -> None:
    assert "to the opsets 7 to 26, not 99" in refused("onnx", models / "perceptron", tmp_path, opset=99)


# ---- exports that are wrong ----

ALTERED: Sequence[tuple[str, Callable[[onnx.ModelProto], None]]] = [
    ("perceptron", one_weight),
    ("perceptron", one_operator("Relu", "LeakyRelu")),
    ("tokens", one_operator("ReduceMean", "ReduceMax")),
    ("image", one_weight),
    ("branches", one_operator("ReduceSum", "ReduceMax")),
    ("trees", one_threshold(0, 1 + 1e-6)),
    ("trees", one_threshold(2, 1 - 1e-6)),
    ("trees", one_leaf(1)),
]


@pytest.mark.usefixtures("reports")
def test_every_altered_export_is_not_equal(models: Path, made: Path, tmp_path: Path) -> None:
    jobs = []
    for number, (name, change) in enumerate(ALTERED):
        target = shutil.copytree(made / name, tmp_path / str(number))
        altered(target / "model.onnx", change)
        jobs += [(models / name, target, {"measure": True, "seed": seed}) for seed in (11, 12)]
    verdicts = [report["verdict"] for report in at_once("onnx", jobs)]
    assert [(n // 2, ALTERED[n // 2][0]) for n, found in enumerate(verdicts) if found != "not-equal"] == []


# ---- files that are refused ----


def many_nodes(path: Path) -> Path:
    names = [f"v{number}" for number in range(100_001)]
    nodes = [helper.make_node("Relu", [one], [other]) for one, other in pairwise(names)]
    shape: list[str | int | None] = ["batch", 2]
    return written(path, nodes, [("v0", FLOAT, shape)], [("v100000", FLOAT, shape)])


def maps(path: Path) -> Path:
    node = helper.make_node("ZipMap", ["x"], ["y"], domain=DOMAIN, classlabels_int64s=[0, 1])
    folder = written(path, [node], [("x", FLOAT, ["batch", 2])], [], opsets=[("", 15), (DOMAIN, 1)])
    model = onnx.load(str(folder / "net.onnx"))
    kind = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
    model.graph.output.append(helper.make_value_info("y", helper.make_sequence_type_proto(kind)))
    onnx.save(model, str(folder / "net.onnx"))
    return folder


def texts(path: Path) -> Path:
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain=DOMAIN, keys_strings=["a"], values_int64s=[1])
    value = ("x", TensorProto.STRING, ["batch"])
    return written(path, [node], [value], [("y", INT64, ["batch"])], opsets=[("", 15), (DOMAIN, 2)])


def nothing(path: Path) -> Path:
    node = helper.make_node("Identity", ["w"], ["y"])
    return written(path, [node], [], [("y", FLOAT, [2])], weights(w=(2,)))


def invalid(path: Path) -> Path:
    return written(path, [helper.make_node("Relu", ["nowhere"], ["y"])], [("x", FLOAT, [2])], [("y", FLOAT, [2])])


HOSTILE = {
    "many nodes": (many_nodes, "more than 50000 operations"),
    "an operator of ones own": (
        lambda path: branches(path, "Special", "house"),
        "'house.Special' is none of ONNX's own",
    ),
    "one runtime's operator": (lambda path: branches(path, "Gelu", "com.microsoft"), "'com.microsoft.Gelu' is none"),
    "maps": (maps, "'y' is a sequence_type, not a tensor.*zipmap=False"),
    "texts": (texts, "'x' is of string; measured are"),
    "no input": (nothing, "takes no input"),
    "invalid": (invalid, "ONNX Runtime cannot load this model"),
    "climbs out": (lambda path: outside(path, "../../secret"), "'../../secret', which is outside the model's folder"),
    "climbs out later": (lambda path: outside(path, "deep/../../secret"), "outside the model's folder"),
    "absolute": (lambda path: outside(path, "/etc/passwd"), "'/etc/passwd', which is outside the model's folder"),
    "missing": (lambda path: outside(path, "deep/other.bin"), "'deep/other.bin', which is not there"),
    "a taken name": (lambda path: outside(path, "report.json"), "a name that is taken here"),
}


def test_what_cannot_be_passed_on_is_refused_with_the_reason(tmp_path: Path) -> None:
    jobs = [(make(tmp_path / name), tmp_path / "target", {}) for name, (make, _) in HOSTILE.items()]
    for (name, (_, words)), found in zip(HOSTILE.items(), at_once("onnx", jobs), strict=True):
        assert re.search(words, found.get("refusal", str(found))), (name, found)


def test_weights_that_are_cut_off_or_a_link_are_refused(tmp_path: Path) -> None:
    short, link = (outside(tmp_path / name) for name in ("short", "link"))
    data = short / "deep" / "weights.bin"
    data.write_bytes(data.read_bytes()[:-1])
    (link / "deep" / "weights.bin").unlink()
    (link / "deep" / "weights.bin").symlink_to("/etc/passwd")
    first, second = at_once("onnx", [(one, tmp_path / "target", {}) for one in (short, link)])
    assert "which ends before them" in first["refusal"]
    assert "which is not there" in second["refusal"]


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_file_that_is_cut_off_is_refused_by_the_child(models: Path, tmp_path: Path, kept: float) -> None:
    data = (models / "perceptron" / "net.onnx").read_bytes()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "net.onnx").write_bytes(data[: int(len(data) * kept)])
    assert "no model was found among 'net.onnx'" in refused("onnx", tmp_path / "source", tmp_path / "target")


def test_a_child_refuses_what_is_hostile_and_passes_on_what_is_not(models: Path, tmp_path: Path) -> None:
    source = outside(tmp_path / "source", "../secret")
    assert "outside the model's folder" in refused("onnx", source, tmp_path / "target")
    assert not (tmp_path / "target" / "model.onnx").exists()
    report = translated("onnx", models / "perceptron", tmp_path / "good")
    assert holds(report)
    assert set(report["versions"]) == {"numpy", "onnx", "onnxruntime"}


# ---- over the platform ----


def test_an_imported_onnx_model_is_translated_verified_and_pulled(site: Site, models: Path, tmp_path: Path) -> None:
    asset = site.ok("model", "import", str(models / "outside"), "--name", "onnx-outside", "--wait")
    shown = json.loads(site.ok("show", json.loads(site.ok("show", asset, "--json"))["translation"], "--json"))
    assert shown["verdict"] in ("equal", "within-tolerance")
    assert (shown["from"]["framework"], shown["exporter"]) == ("onnx", "passed through")
    found = json.loads(site.ok("verify", shown["id"], "--level", "equivalence", "--json"))["claims"][0]
    assert found["verdict"] in ("passed", "within-tolerance")
    site.ok("pull", shown["id"], str(tmp_path / "onnx"))
    pulled = {
        path.relative_to(tmp_path / "onnx").as_posix() for path in (tmp_path / "onnx").rglob("*") if path.is_file()
    }
    assert pulled == {"model.onnx", "deep/weights.bin"}
    converted = site.ok("translate", asset, "--opset", "21", "--wait")
    assert json.loads(site.ok("show", converted, "--json"))["opset"] == 21
