"""XGBoost and LightGBM: real models of every kind of objective, altered exports, hostile files."""

import json
import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest

from tests.platforms import Site
from tests.tabular import (
    altered,
    at_once,
    attribute,
    holds,
    no_way_of_missing,
    one_leaf,
    one_operator,
    one_threshold,
    refused,
    trained,
    translated,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("translator")]

DATA = """
x, test = table(400), table(200)
gaps, gaps_in_test = x.copy(), test.copy()
gaps[generator.random(x.shape) < 0.1] = numpy.nan
gaps_in_test[generator.random(test.shape) < 0.1] = numpy.nan
zeros = numpy.where(generator.random(x.shape) < 0.3, 0, x)
coded = x.copy()
coded[:, 1] = generator.integers(0, 9, len(x))
two, three, number = question(x), question(x, 3), abs(x[:, 3] * 2 + (coded[:, 1] % 3) * 30) + 1
several = numpy.column_stack([number, number * 2 + 1])
"""
TRAIN_XGBOOST = (
    DATA
    + """
import xgboost

MODELS = {
    "binary": ({"objective": "binary:logistic"}, gaps, two),
    "logits": ({"objective": "binary:logitraw"}, x, two),
    "hinge": ({"objective": "binary:hinge"}, x, two),
    "classes": ({"objective": "multi:softprob", "num_class": 3}, gaps, three),
    "best-class": ({"objective": "multi:softmax", "num_class": 3}, x, three),
    "parallel": ({"objective": "multi:softprob", "num_class": 3, "num_parallel_tree": 3}, x, three),
    "regression": ({"objective": "reg:squarederror", "base_score": 100.0}, gaps, number),
    "logistic-regression": ({"objective": "reg:logistic"}, x, two),
    "counts": ({"objective": "count:poisson"}, x, number),
    "tweedie": ({"objective": "reg:tweedie"}, x, number),
    "quantiles": ({"objective": "reg:quantileerror", "quantile_alpha": [0.3, 0.7]}, x, number),
    "hazard": ({"objective": "survival:cox"}, x, number),
    "dart": ({"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3}, x, two),
    "targets": ({"objective": "reg:squarederror"}, x, several),
    "vectors": ({"objective": "reg:squarederror", "multi_strategy": "multi_output_tree"}, x, several),
    "linear": ({"objective": "reg:squarederror", "booster": "gblinear"}, x, number),
}
for name, (settings, rows, labels) in MODELS.items():
    model = xgboost.train({**settings, "max_depth": 4, "seed": 1}, xgboost.DMatrix(rows, labels), 12)
    if name in ("binary", "classes"):
        split(name, gaps_in_test, question(test, 2 if name == "binary" else 3))
    else:
        place(name)
    model.save_model(folder / name / ("model.ubj" if name in ("classes", "dart") else "model.json"))
kinds = ["q", "c", "q", "q", "q", "q"]
for name, most in (("categories", 2), ("one-hot", 20)):
    rows = xgboost.DMatrix(coded, number, feature_types=kinds, enable_categorical=True)
    xgboost.train({"max_depth": 4, "max_cat_to_onehot": most}, rows, 12).save_model(place(name) / "model.json")
"""
)
TRAIN_LIGHTGBM = (
    DATA
    + """
import lightgbm

bagged = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}
MODELS = {
    "binary": ({"objective": "binary"}, gaps, two),
    "steep": ({"objective": "binary", "sigmoid": 2.0}, x, two),
    "zeros": ({"objective": "binary", "zero_as_missing": True}, zeros, two),
    "never-missing": ({"objective": "regression", "use_missing": False}, gaps, number),
    "classes": ({"objective": "multiclass", "num_class": 3}, gaps, three),
    "one-against-all": ({"objective": "multiclassova", "num_class": 3}, x, three),
    "root": ({"objective": "regression", "reg_sqrt": True}, x, number),
    "counts": ({"objective": "poisson"}, x, number),
    "shares": ({"objective": "cross_entropy"}, x, two),
    "lambda": ({"objective": "cross_entropy_lambda"}, x, two),
    "bagged": ({"objective": "binary", **bagged}, x, two),
    "bagged-classes": ({"objective": "multiclass", "num_class": 3, **bagged}, x, three),
    "dart": ({"objective": "binary", "boosting": "dart"}, x, two),
    "categories": ({"objective": "regression", "categorical_feature": [1], "cat_smooth": 1, "min_data_per_group": 1},
        coded, number),
    "linear": ({"objective": "regression", "linear_tree": True}, x, number),
}
for name, (settings, rows, labels) in MODELS.items():
    data = lightgbm.Dataset(rows, labels, params={"verbose": -1})
    model = lightgbm.train({**settings, "seed": 1, "verbose": -1, "num_leaves": 9}, data, 12)
    if name in ("binary", "classes"):
        split(name, gaps_in_test, question(test, 2 if name == "binary" else 3))
    else:
        place(name)
    model.save_model(folder / name / "model.txt")
"""
)
SCRIPTS = {"xgboost": TRAIN_XGBOOST, "lightgbm": TRAIN_LIGHTGBM}
LINEAR = {"xgboost": "'gblinear', which has no trees", "lightgbm": "train it without linear_tree"}


@pytest.fixture(scope="module", params=["xgboost", "lightgbm"])
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def models(framework: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(SCRIPTS[framework], tmp_path_factory.mktemp(framework))


@pytest.fixture(scope="module")
def made(framework: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the translations are."""
    return tmp_path_factory.mktemp(f"{framework}-translations")


Reports = Mapping[str, dict[str, Any]]


@pytest.fixture(scope="module")
def reports(framework: str, models: Path, made: Path) -> Reports:
    """What became of every model."""
    names = [path.name for path in sorted(models.iterdir())]
    return dict(zip(names, at_once(framework, [(models / one, made / one, {"seed": 3}) for one in names]), strict=True))


def test_every_objective_is_translated_and_measured(reports: Reports, framework: str) -> None:
    found = {name: report.get("verdict") for name, report in reports.items()}
    assert found.pop("linear") is None
    assert {name for name, verdict in found.items() if verdict not in ("equal", "within-tolerance")} == set()
    assert len(found) >= 14
    for report in reports.values():
        assert report.get("flips", {}).get("number", 0) == 0
        assert report.get("skipped", []) == []


def test_a_booster_that_has_no_plain_trees_is_refused(reports: Reports, framework: str) -> None:
    assert LINEAR[framework] in reports["linear"]["refusal"]


@pytest.mark.parametrize("name", ["binary", "classes"])
def test_every_label_of_the_test_split_is_the_same(reports: Reports, name: str) -> None:
    report = reports[name]
    assert report["samples"] == 200
    assert report["top1_agreement"] == 1
    assert report["metric"]["name"] == "accuracy"
    assert report["metric"]["source"] == report["metric"]["onnx"] > 0.6


def test_inputs_and_outputs_have_names_and_a_free_batch(reports: Reports) -> None:
    report = reports["classes"]
    assert report["inputs"] == [{"name": "X", "dtype": "float", "shape": ["batch", 6]}]
    assert report["outputs"] == [
        {"name": "label", "dtype": "int64", "shape": ["batch"]},
        {"name": "probabilities", "dtype": "float", "shape": ["batch", 3]},
    ]
    assert reports["counts"]["outputs"] == [{"name": "prediction", "dtype": "float", "shape": ["batch", 1]}]


def test_a_child_makes_the_same_bytes(
    framework: str, models: Path, reports: Reports, made: Path, tmp_path: Path
) -> None:
    report = translated(framework, models / "binary", tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == (made / "binary" / "model.onnx").read_bytes()
    assert report["figures"] == reports["binary"]["figures"]
    assert any(name.startswith(framework) for name in report["versions"])


def test_every_opset_can_be_asked_for(framework: str, models: Path, tmp_path: Path) -> None:
    names = ("classes", "counts", "zeros" if framework == "lightgbm" else "hinge")
    jobs = [
        (models / name, tmp_path / f"{name}-{opset}", {"opset": opset}) for name in names for opset in range(13, 24)
    ]
    for (_, target, options), report in zip(jobs, at_once(framework, jobs), strict=True):
        assert holds(report)
        declared = {one.domain: one.version for one in onnx.load(str(target / "model.onnx")).opset_import}
        assert report["opset"] == declared[""] == options["opset"]


# ---- exports that are wrong ----


def another_comparison(model: onnx.ModelProto) -> None:
    """Takes one ``<`` for ``<=``, or the other way around."""
    modes = attribute(model, "nodes_modes").strings
    place = next(index for index, mode in enumerate(modes) if mode in (b"BRANCH_LT", b"BRANCH_LEQ"))
    modes[place] = b"BRANCH_LEQ" if modes[place] == b"BRANCH_LT" else b"BRANCH_LT"


def another_base(model: onnx.ModelProto) -> None:
    """Begins the sums a thousandth higher."""
    base = model.graph.initializer[0]
    base.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(base) * numpy.float32(1.001), base.name))


ALTERED: Sequence[tuple[str, Callable[[onnx.ModelProto], None]]] = [
    *((name, one_threshold(place, 1 + 1e-6)) for name in ("binary", "counts") for place in range(0, 120, 17)),
    *((name, one_leaf(place)) for name in ("classes", "dart") for place in range(0, 60, 13)),
    ("binary", another_comparison),
    ("categories", another_comparison),
    ("binary", no_way_of_missing),
    ("classes", no_way_of_missing),
    ("binary", one_operator("Sigmoid", "HardSigmoid")),
    ("counts", one_operator("Exp", "Softplus")),
    ("classes", one_operator("Softmax", "LogSoftmax")),
    ("classes", one_operator("ArgMax", "ArgMin")),
]


@pytest.mark.usefixtures("reports")
def test_every_altered_export_is_not_equal(framework: str, models: Path, made: Path, tmp_path: Path) -> None:
    changes = [*ALTERED, *([("regression", another_base)] if framework == "xgboost" else [])]
    jobs = []
    for number, (name, change) in enumerate(changes):
        target = shutil.copytree(made / name, tmp_path / str(number))
        altered(target / "model.onnx", change)
        jobs += [(models / name, target, {"measure": True, "seed": seed}) for seed in (11, 12)]
    verdicts = [report["verdict"] for report in at_once(framework, jobs)]
    assert [(n // 2, changes[n // 2][0]) for n, found in enumerate(verdicts) if found != "not-equal"] == []


# ---- files that are refused ----


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_refused(framework: str, models: Path, tmp_path: Path, kept: float) -> None:
    for name in ("binary", "classes"):
        (path,) = (models / name).glob("model.*")
        data = path.read_bytes()
        (tmp_path / name).mkdir()
        (tmp_path / name / path.name).write_bytes(data[: int(len(data) * kept)])
    jobs = [(tmp_path / name, tmp_path / "target", {}) for name in ("binary", "classes")]
    assert all(
        "cannot be read" in found["refusal"] or "cut off" in found["refusal"] for found in at_once(framework, jobs)
    )


def test_a_tree_that_points_outside_is_refused(framework: str, models: Path, tmp_path: Path) -> None:
    jobs = []
    for number, child in enumerate((-7, 0, 10**6) if framework == "xgboost" else (10**6, 0, -(10**6))):
        (tmp_path / str(number)).mkdir()
        (path,) = (models / "counts").glob("model.*")
        if framework == "xgboost":
            document = json.loads(path.read_bytes())
            document["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = child
            text = json.dumps(document, separators=(",", ":"))
        else:
            before, line, rest = path.read_text().partition("left_child=")
            text = f"{before}{line}{child}{rest[rest.index(' ') :]}"
        (tmp_path / str(number) / path.name).write_text(text)
        jobs.append((tmp_path / str(number), tmp_path / "target", {}))
    for found in at_once(framework, jobs):
        assert "one of its trees is none" in found["refusal"]


def test_an_objective_of_ones_own_and_a_model_without_trees_are_refused(
    framework: str, models: Path, tmp_path: Path
) -> None:
    (path,) = (models / "counts").glob("model.*")
    text = path.read_text()
    if framework == "xgboost":
        own = text.replace("count:poisson", "house:special")
        document = json.loads(text)
        document["learner"]["gradient_booster"]["model"].update(trees=[], tree_info=[])
        empty = json.dumps(document, separators=(",", ":"))
    else:
        own = text.replace("objective=poisson", "objective=house_special")
        empty = text[: text.index("Tree=0")] + text[text.index("end of trees") :]
    for name, changed in (("own", own), ("empty", empty)):
        (tmp_path / name).mkdir()
        (tmp_path / name / path.name).write_text(changed)
    first, second = at_once(framework, [(tmp_path / name, tmp_path / "t", {}) for name in ("own", "empty")])
    assert "is not known: train it with one of" in first["refusal"]
    assert "it has no trees" in second["refusal"]


def test_a_pickled_booster_is_refused(framework: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.bin").write_bytes(pickle.dumps({"booster": b"x" * 100, "kind": framework}))
    assert "pickle" in refused(framework, tmp_path / "source", tmp_path / "target")


# ---- over the platform ----


def test_an_imported_booster_is_translated_verified_and_pulled(
    site: Site, framework: str, models: Path, tmp_path: Path
) -> None:
    import onnxruntime

    asset = site.ok("model", "import", str(models / "binary"), "--name", f"{framework}-binary", "--wait")
    shown = json.loads(site.ok("show", json.loads(site.ok("show", asset, "--json"))["translation"], "--json"))
    assert shown["verdict"] in ("equal", "within-tolerance")
    assert shown["from"]["framework"] == framework
    found = json.loads(site.ok("verify", shown["id"], "--level", "equivalence", "--json"))["claims"][0]
    assert found["verdict"] in ("passed", "within-tolerance")
    site.ok("pull", shown["id"], str(tmp_path / "onnx"))
    split = numpy.load(models / "binary" / "samples.npz")
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])
    label, _ = session.run(None, {"X": split["inputs"]})
    assert float((label == split["labels"]).mean()) == pytest.approx(shown["equivalence"]["metric"]["source"])
