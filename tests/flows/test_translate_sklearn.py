"""scikit-learn: real skops files through the real translator; labels agree, bad exports and hostile files are found."""

import io
import json
import shutil
import zipfile
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
    holds,
    no_way_of_missing,
    one_leaf,
    one_operator,
    one_threshold,
    one_weight,
    refused,
    trained,
    translated,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("translator")]

TRAIN = """
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (GradientBoostingRegressor, HistGradientBoostingClassifier, HistGradientBoostingRegressor,
    RandomForestClassifier, RandomForestRegressor, VotingClassifier)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

x, test = table(300), table(200)
names = numpy.array(["low", "middle", "high"])
gaps, gaps_in_test = x.copy(), test.copy()
gaps[::7, 1] = gaps[::3, 3] = gaps_in_test[::5, 1] = numpy.nan
coded = numpy.column_stack([generator.integers(0, 4, len(x)), x])
two, three = question(x), question(x, 3)
wanted, wanted_of_three = question(test), question(test, 3)
forest = RandomForestClassifier(30, random_state=0)
voters = [("a", GaussianNB()), ("b", RandomForestClassifier(6, random_state=0))]
CLASSIFIERS = {
    "forest": (RandomForestClassifier(20, random_state=0), x, names[three], test, names[wanted_of_three]),
    "scaled": (make_pipeline(StandardScaler(), forest), x, two, test, wanted),
    "svc": (make_pipeline(StandardScaler(), SVC()), x, two, test, wanted),
    "linear-svc": (make_pipeline(StandardScaler(), LinearSVC()), x, three, test, wanted_of_three),
    "boosting": (HistGradientBoostingClassifier(max_iter=20), gaps, three, gaps_in_test, wanted_of_three),
    "tree": (DecisionTreeClassifier(max_depth=6, random_state=0), gaps, two, gaps_in_test, wanted),
    "mlp": (make_pipeline(StandardScaler(), MLPClassifier((16,), random_state=0)), x, three, test, wanted_of_three),
    "imputed": (make_pipeline(SimpleImputer(), StandardScaler(), SVC()), gaps, two, gaps_in_test, wanted),
    "voting": (VotingClassifier(voters, voting="soft"), x, two, test, wanted),
}
for name, (model, rows, labels, samples, right) in CLASSIFIERS.items():
    skops.io.dump(model.fit(rows, labels), split(name, samples, right) / "model.skops")
codes = ("codes", OneHotEncoder(handle_unknown="ignore"), [0])
numeric = ColumnTransformer([codes, ("rest", StandardScaler(), slice(1, 7))])
OTHERS = {
    "encoded": make_pipeline(numeric, PCA(4), LogisticRegression()).fit(coded, three),
    "regression": GradientBoostingRegressor(n_estimators=20).fit(x, x[:, 3] * 2),
    "histogram": HistGradientBoostingRegressor(max_iter=20).fit(x, x[:, 3] * 2),
    "ridge": make_pipeline(StandardScaler(), Ridge()).fit(x, x[:, 3] * 2),
    "badly-converted": OneVsRestClassifier(LinearSVC()).fit(x, three),
    "own-function": FunctionTransformer(func=table).fit(x),
    "ufunc": make_pipeline(FunctionTransformer(numpy.log1p), Ridge()).fit(abs(x), x[:, 0]),
    "unfitted": RandomForestClassifier(),
    "no-estimator": {"weights": [1.0, 2.0]},
    "categories": HistGradientBoostingClassifier(max_iter=5, categorical_features=[0]).fit(coded, two),
    "two-questions": RandomForestClassifier(3).fit(x, numpy.column_stack([two, three])),
}
for name, model in OTHERS.items():
    skops.io.dump(model, place(name) / "model.skops")
"""
CLASSIFIERS = ("forest", "scaled", "svc", "linear-svc", "boosting", "tree", "mlp", "imputed", "voting")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(TRAIN, tmp_path_factory.mktemp("sklearn"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the translations are."""
    return tmp_path_factory.mktemp("translations")


@pytest.fixture(scope="module")
def reports(models: Path, made: Path) -> Mapping[str, dict[str, Any]]:
    """What became of every model."""
    names = [path.name for path in sorted(models.iterdir())]
    return dict(zip(names, at_once("sklearn", [(models / one, made / one, {"seed": 3}) for one in names]), strict=True))


Reports = Mapping[str, dict[str, Any]]

# ---- models that can be translated ----


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_label_of_the_test_split_is_the_same_or_a_named_flip(reports: Reports, name: str) -> None:
    report = reports[name]
    assert holds(report)
    assert (report["samples"], report["skipped"]) == (200, [])
    flipped = [row for row in report["flips"]["rows"] if row["case"] == "samples"]
    assert round((1 - report["top1_agreement"]) * 200) <= len(flipped)
    assert report["metric"]["name"] == "accuracy"
    assert report["metric"]["source"] > 0.5
    assert abs(report["metric"]["source"] - report["metric"]["onnx"]) <= len(flipped) / 200


@pytest.mark.parametrize("name", ["forest", "boosting", "tree", "svc", "mlp", "linear-svc", "imputed"])
def test_without_a_scaler_before_trees_no_row_flips(reports: Reports, name: str) -> None:
    report = reports[name]
    assert report["flips"] == {"number": 0, "rows": []}
    assert report["top1_agreement"] == 1


@pytest.mark.parametrize("name", ["encoded", "regression", "histogram", "ridge"])
def test_other_estimators_are_translated_and_measured(reports: Reports, name: str) -> None:
    report = reports[name]
    assert holds(report)
    assert (report["framework"], report["format"], report["exporter"]) == ("sklearn", "skops", "skl2onnx")
    assert report["skipped"] == []
    assert set(report["versions"]) >= {"scikit-learn", "skl2onnx", "skops", "onnx", "onnxruntime"}


def test_inputs_and_outputs_have_names_and_a_free_batch(reports: Reports) -> None:
    report = reports["forest"]
    assert report["inputs"] == [{"name": "X", "dtype": "float", "shape": ["batch", 6]}]
    assert report["outputs"] == [
        {"name": "label", "dtype": "string", "shape": ["batch"]},
        {"name": "probabilities", "dtype": "float", "shape": ["batch", 3]},
    ]
    svc = reports["svc"]
    assert [each["name"] for each in svc["outputs"]] == ["label", "scores"]
    assert (svc["opset"], svc["ir_version"]) == (13, 7)


def test_a_child_makes_the_same_bytes(models: Path, reports: Reports, made: Path, tmp_path: Path) -> None:
    report = translated("sklearn", models / "scaled", tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == (made / "scaled" / "model.onnx").read_bytes()
    assert report["figures"] == reports["scaled"]["figures"]


def test_every_opset_can_be_asked_for(models: Path, tmp_path: Path) -> None:
    opsets = range(13, 23)
    jobs = [
        (models / name, tmp_path / f"{name}-{opset}", {"opset": opset})
        for name in ("scaled", "mlp")
        for opset in opsets
    ]
    for (_, target, options), report in zip(jobs, at_once("sklearn", jobs), strict=True):
        assert holds(report)
        declared = {one.domain: one.version for one in onnx.load(str(target / "model.onnx")).opset_import}
        assert report["opset"] == declared[""] == options["opset"]


# ---- exports that are wrong ----

ALTERED: Sequence[tuple[str, Callable[[onnx.ModelProto], None]]] = [
    *(("forest", one_threshold(place)) for place in range(0, 400, 67)),
    ("forest", one_leaf(40)),
    ("tree", one_threshold(3)),
    ("boosting", one_threshold(-1)),
    ("boosting", one_leaf(5, "class_weights")),
    ("boosting", no_way_of_missing),
    *(("scaled", one_threshold(place, more=0.01)) for place in range(0, 400, 67)),
    ("scaled", one_operator("ArgMax", "ArgMin")),
    ("histogram", one_leaf(7)),
    ("mlp", one_weight),
    ("mlp", one_operator("Relu", "Sigmoid")),
    ("svc", one_operator("Neg", "Identity")),
]


@pytest.mark.usefixtures("reports")
def test_every_altered_export_is_not_equal(models: Path, made: Path, tmp_path: Path) -> None:
    jobs = []
    for number, (name, change) in enumerate(ALTERED):
        target = shutil.copytree(made / name, tmp_path / str(number))
        altered(target / "model.onnx", change)
        jobs += [(models / name, target, {"measure": True, "seed": seed}) for seed in (11, 12)]
    verdicts = [report["verdict"] for report in at_once("sklearn", jobs)]
    assert [
        (number // 2, ALTERED[number // 2][0]) for number, found in enumerate(verdicts) if found != "not-equal"
    ] == []


def test_a_converter_that_is_wrong_is_found(reports: Reports) -> None:
    report = reports["badly-converted"]
    assert report["verdict"] == "not-equal"
    assert report["figures"]["scores"]["max_abs"] > 0.1
    assert report["tie_break"]["sides_with"] in ("ONNX Runtime", "neither")


# ---- files that are refused ----


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own-function", ("__main__.table", "none of your own")),
        ("unfitted", ("never fitted",)),
        ("no-estimator", ("a dict, which is no estimator", "skops.io.dump")),
        ("categories", ("functools.partial",)),
        ("two-questions", ("several questions at once", "train one model for each")),
        ("ufunc", ("cannot be exported to ONNX", "FunctionTransformer")),
    ],
)
def test_what_cannot_be_translated_is_refused_with_the_reason(
    reports: Reports, name: str, words: tuple[str, ...]
) -> None:
    found = reports[name]["refusal"]
    assert all(word in found for word in words), found


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of a skops file, each entry changed or left out; returns its folder."""
    target.mkdir()
    with zipfile.ZipFile(source / "model.skops") as old, zipfile.ZipFile(target / "model.skops", "w") as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)
    return target


def test_a_type_that_is_not_allowed_is_refused_by_name_and_not_made(models: Path, tmp_path: Path) -> None:
    """The loader is asked to call ``os.system``, as a pickle would."""
    proof = tmp_path / "target" / "proof"
    call = {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(f"touch {proof}"),
    }
    attack = {
        "__class__": "system",
        "__module__": "os",
        "__loader__": "ConstructorFromReduceNode",
        "content": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [call]},
    }

    def change(name: str, data: bytes) -> bytes:
        if name != "schema.json":
            return data
        schema = json.loads(data)
        schema["content"]["content"]["n_jobs"] = attack
        return json.dumps(schema).encode()

    source = rewritten(models / "forest", tmp_path / "source", change)
    assert "it holds os.system, which a model may not bring along" in refused("sklearn", source, tmp_path / "target")
    assert not proof.exists()


def test_a_pickle_inside_the_archive_is_refused(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "forest", tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "source" / "model.skops", "a") as archive:
        archive.writestr("more.pkl", b"\x80\x04\x8c\x01a\x94.")
    assert "'more.pkl' is a pickle" in refused("sklearn", tmp_path / "source", tmp_path / "target")


def test_objects_inside_an_array_are_refused(models: Path, tmp_path: Path) -> None:
    """An array of objects is a pickle in the clothes of numpy."""
    held = io.BytesIO()
    numpy.save(held, numpy.array([{}], dtype=object), allow_pickle=True)

    def change(name: str, data: bytes) -> bytes:
        return held.getvalue() if name.endswith(".npy") else data

    source = rewritten(models / "forest", tmp_path / "source", change)
    assert "allow_pickle=False" in refused("sklearn", source, tmp_path / "target")


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(models: Path, tmp_path: Path, kept: float) -> None:
    data = (models / "forest" / "model.skops").read_bytes()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.skops").write_bytes(data[: int(len(data) * kept)])
    assert "cut off" in refused("sklearn", tmp_path / "source", tmp_path / "target")


def test_a_zip_bomb_is_refused(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "forest", tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "source" / "model.skops", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.npy", bytes(1 << 30))
    assert "zip bomb" in refused("sklearn", tmp_path / "source", tmp_path / "target")


def test_a_tree_that_points_outside_is_refused(models: Path, tmp_path: Path) -> None:
    """scikit-learn would follow such an index into other memory."""

    def change(name: str, data: bytes) -> bytes:
        if not name.endswith(".npy"):
            return data
        nodes = numpy.load(io.BytesIO(data))
        if nodes.dtype.names is None or "left_child" not in nodes.dtype.names:
            return data
        nodes["left_child"][0] = 10**9
        held = io.BytesIO()
        numpy.save(held, nodes)
        return held.getvalue()

    source = rewritten(models / "tree", tmp_path / "source", change)
    assert "one of its trees is none" in refused("sklearn", source, tmp_path / "target")


def test_deep_nesting_is_refused(models: Path, tmp_path: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        head = b'{"__class__": "x", "content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        return head if name == "schema.json" else data

    source = rewritten(models / "tree", tmp_path / "source", change)
    assert "cannot be read: RecursionError" in refused("sklearn", source, tmp_path / "target")


# ---- over the platform ----


def test_an_imported_pipeline_is_translated_verified_and_pulled(site: Site, models: Path, tmp_path: Path) -> None:
    import onnxruntime

    asset = site.ok("model", "import", str(models / "boosting"), "--name", "sklearn-boosting", "--wait")
    shown = json.loads(site.ok("show", json.loads(site.ok("show", asset, "--json"))["translation"], "--json"))
    assert shown["verdict"] in ("equal", "within-tolerance")
    assert (shown["from"]["framework"], shown["from"]["format"]) == ("sklearn", "skops")
    assert shown["equivalence"]["metric"]["rows"] == 200
    found = json.loads(site.ok("verify", shown["id"], "--level", "equivalence", "--json"))["claims"][0]
    assert found["verdict"] in ("passed", "within-tolerance")
    site.ok("pull", shown["id"], str(tmp_path / "onnx"))
    split = numpy.load(models / "boosting" / "samples.npz")
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])
    label, _ = session.run(None, {"X": split["inputs"]})
    accuracy = float((label == split["labels"]).mean())
    assert accuracy == pytest.approx(shown["equivalence"]["metric"]["source"])
