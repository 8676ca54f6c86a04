"""TensorFlow SavedModels as real children translate them, and once through the whole platform."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labs import in_lab
from tests.platforms import Site
from tests.translations import Translations, translating, with_another_operator, with_another_weight

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

MAKE_MODELS = """\
import sys
from pathlib import Path
from functions._translators.tensorflow_graph import start
tf = start("keras")
folder = Path(sys.argv[1])
tf.random.set_seed(7)

class Tokens(tf.Module):
    def __init__(self):
        self.table, self.last = tf.Variable(tf.random.normal((50, 8))), tf.Variable(tf.random.normal((8, 3)))
    @tf.function(input_signature=[
        tf.TensorSpec((None, None), tf.int64, "tokens"), tf.TensorSpec((None, 3), name="bias")])
    def __call__(self, tokens, bias):
        found = tf.gather(self.table, tf.where(tokens < 0, tokens + 50, tokens))
        return {"scores": tf.nn.softmax(tf.reduce_mean(found, 1) @ self.last + bias), "count": tf.shape(tokens)[1]}

class Branches(tf.Module):
    def __init__(self):
        self.weight = tf.Variable(tf.random.normal((4, 4)))
    @tf.function(input_signature=[tf.TensorSpec((None, 4), name="x")])
    def __call__(self, x):
        y = x @ self.weight if tf.reduce_sum(x) > 0 else x - self.weight[0]
        for _ in tf.range(tf.shape(x)[0]):
            y = tf.tanh(y @ self.weight)
        return y

class Image(tf.Module):
    def __init__(self):
        self.kernel, self.last = tf.Variable(tf.random.normal((3, 3, 3, 4))), tf.Variable(tf.random.normal((4, 2)))
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "pixels")])
    def __call__(self, pixels):
        x = tf.nn.conv2d(tf.cast(pixels, tf.float32) / 255, self.kernel, 2, "SAME")
        x = tf.nn.max_pool2d(tf.nn.gelu(x, approximate=False), 2, 2, "VALID")
        return tf.reduce_mean(x, (1, 2)) @ self.last

class Names(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 2), name="x"), tf.TensorSpec((None, 2), tf.float64, "never")])
    def __call__(self, x, never):
        return {"x": x, "y10": x * 10, "y9": x * 9}

class Reads(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 4), name="x")])
    def __call__(self, x):
        return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)

class Spectrum(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((4, 4), name="x")])
    def __call__(self, x):
        return tf.linalg.svd(x, compute_uv=False)

models = {
    "tokens": Tokens(), "branches": Branches(), "image": Image(), "names": Names(), "reads": Reads(), "svd": Spectrum(),
}
for name, model in models.items():
    tf.saved_model.save(model, str(folder / name), signatures=model.__call__)
"""
GOOD = ("tokens", "branches", "image", "names")


@pytest.fixture(scope="module")
def translations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Translations]:
    """Models made by TensorFlow in a process of its own, and their translations."""
    models = tmp_path_factory.mktemp("saved-models")
    in_lab(MAKE_MODELS, models)
    with translating("tensorflow", models, tmp_path_factory.mktemp("targets"), GOOD) as found:
        yield found


def test_tokens_stay_within_the_vocabulary_and_every_size_stays_free(translations: Translations) -> None:
    found = translations.report("tokens")
    assert found["verdict"] in ("equal", "within-tolerance")
    assert (found["framework"], found["format"], found["opset"]) == ("tensorflow", "saved-model", 13)
    assert (found["cases"], found["skipped"]) == (7, [])
    assert [(each["name"], each["shape"]) for each in found["inputs"]] == [
        ("bias", ["batch", 3]),
        ("tokens", ["batch", "length_1"]),
    ]
    assert [(each["name"], each["dtype"]) for each in found["outputs"]] == [("count", "int32"), ("scores", "float")]
    assert set(found["versions"]) >= {"tf2onnx", "onnxruntime"}


def test_branches_and_loops_become_those_of_onnx(translations: Translations) -> None:
    assert translations.report("branches")["verdict"] in ("equal", "within-tolerance")
    assert {node.op_type for node in translations.onnx("branches").graph.node} >= {"If", "Loop"}


def test_images_of_any_size_are_drawn_as_pixels(translations: Translations) -> None:
    found = translations.report("image")
    assert found["verdict"] in ("equal", "within-tolerance")
    assert found["inputs"][0]["shape"] == ["batch", "side_1", "side_2", 3]
    assert found["inputs"][0]["dtype"] == "uint8"
    assert found["skipped"] == []


def test_an_input_that_nothing_needs_is_kept_and_no_name_stands_for_two_tensors(translations: Translations) -> None:
    found = translations.report("names")
    assert found["verdict"] == "equal"
    assert [each["name"] for each in found["inputs"]] == ["never", "x"]
    assert [each["name"] for each in found["outputs"]] == ["x_1", "y9", "y10"]


def test_a_changed_weight_or_operator_is_found(translations: Translations, tmp_path: Path) -> None:
    assert translations.measured("tokens", with_another_weight, tmp_path / "weight")["verdict"] == "not-equal"
    changed = with_another_operator("Erf", "Tanh")
    assert translations.measured("image", changed, tmp_path / "operator")["verdict"] == "not-equal"


def test_an_operation_that_onnx_lacks_is_named(translations: Translations, tmp_path: Path) -> None:
    assert "Svd" in translations.refused(translations.models / "svd", tmp_path)


def test_a_model_that_reads_files_is_refused_before_it_runs(translations: Translations, tmp_path: Path) -> None:
    assert "'ReadFile'" in translations.refused(translations.models / "reads", tmp_path)


def test_weights_that_are_cut_off_are_refused(translations: Translations, tmp_path: Path) -> None:
    source = translations.copy("tokens", tmp_path / "source")
    weights = source / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:-500])
    assert "this SavedModel cannot be loaded" in translations.refused(source, tmp_path / "target")


def test_weights_that_are_missing_are_refused(translations: Translations, tmp_path: Path) -> None:
    source = translations.copy("tokens", tmp_path / "source")
    (source / "variables" / "variables.index").unlink()
    assert "this SavedModel cannot be loaded" in translations.refused(source, tmp_path / "target")


def test_an_opset_that_the_exporter_does_not_write_is_refused(translations: Translations, tmp_path: Path) -> None:
    assert "to the opsets 13 to 18, not 19" in translations.refused(translations.models / "tokens", tmp_path, opset=19)


def test_a_saved_model_goes_through_the_platform(translations: Translations, site: Site, tmp_path: Path) -> None:
    asset = site.ok("model", "import", str(translations.models / "tokens"), "--name", "saved", "--wait")
    shown = json.loads(site.ok("show", asset, "--json"))
    assert shown["framework"] == "tensorflow"
    site.ok("verify", shown["translation"], "--level", "equivalence")
    site.ok("pull", shown["translation"], str(tmp_path / "pulled"))
    assert (tmp_path / "pulled" / "model.onnx").is_file()
