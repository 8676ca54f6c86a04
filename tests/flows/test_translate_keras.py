"""Keras 3 files, made with each of its backends, as real children translate them, and once through the platform."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.labs import in_lab
from tests.platforms import Site
from tests.translations import Translations, translating, with_another_operator, with_another_weight

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keras")]

MAKE_MODELS = """\
import sys
from pathlib import Path
if sys.argv[2] == "tensorflow":
    from functions._translators.tensorflow_graph import start
    start()
else:
    sys.modules["tensorflow"] = None
import keras, numpy
from keras import layers
folder, backend = Path(sys.argv[1]), keras.backend.backend()
assert backend == sys.argv[2]
keras.utils.set_random_seed(7)

def save(name, model, samples):
    (folder / f"{name}-{backend}").mkdir()
    model.save(folder / f"{name}-{backend}" / "model.keras")
    # What the model answers on its own backend is the truth that its translation is held against.
    answers = model.predict(samples, batch_size=20, verbose=0)
    numpy.savez(folder / f"{name}-{backend}" / "samples.npz", inputs=samples, labels=answers)

def image():
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization(beta_initializer="normal", moving_mean_initializer="normal")(x)
    x = layers.DepthwiseConv2D(3, activation="relu6")(x)
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", bias_initializer="normal")(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))

def attention():
    tokens = layers.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(50, 8)(tokens)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.Dense(16, activation="gelu")(x)
    return keras.Model(tokens, layers.Dense(3, activation="softmax")(keras.ops.max(x, 1)))

def recurrent():
    first = layers.Bidirectional(layers.LSTM(4, return_sequences=True))
    return keras.Sequential([layers.Input((None, 5)), first, layers.GRU(6), layers.Dense(2)])

generator = numpy.random.default_rng(3)
save("image", image(), generator.standard_normal((20, 16, 16, 3)).astype("float32"))
if backend == "tensorflow":
    save("attention", attention(), generator.integers(0, 50, (20, 6)).astype("int32"))
    save("recurrent", recurrent(), generator.standard_normal((20, 4, 5)).astype("float32"))
    pair = {"left": layers.Input((4,), name="left"), "right": layers.Input((4,), name="right")}
    model = keras.Model(pair, {"sum": pair["left"] + pair["right"], "cut": pair["right"][:, 1:]})
    (folder / "pair").mkdir()
    model.save(folder / "pair" / "model.keras")
    (folder / "lambda").mkdir()
    keras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x * 2)]).save(folder / "lambda" / "model.keras")
"""
ANSWERED = (
    "image-tensorflow",
    "image-jax",
    "image-torch",
    "attention-tensorflow",
    "recurrent-tensorflow",
)


@pytest.fixture(scope="module")
def translations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Translations]:
    """Models made by Keras on each backend, in a process of its own, and their translations."""
    models = tmp_path_factory.mktemp("keras-models")
    with ThreadPoolExecutor(2) as pool:
        for backend in ("tensorflow", "jax", "torch"):
            pool.submit(in_lab, MAKE_MODELS, models, backend, KERAS_BACKEND=backend)
    with translating("keras", models, tmp_path_factory.mktemp("targets"), (*ANSWERED, "pair")) as found:
        yield found


@pytest.mark.parametrize("name", ANSWERED)
def test_a_model_answers_as_it_did_on_the_backend_that_made_it(translations: Translations, name: str) -> None:
    found = translations.report(name)
    assert found["verdict"] in ("equal", "within-tolerance")
    assert (found["framework"], found["format"], found["opset"], found["skipped"]) == ("keras", "keras", 13, [])
    assert found["metric"]["rows"] == 20
    assert found["metric"]["onnx"] < 1e-5


def test_every_size_stays_free_and_tokens_keep_their_name(translations: Translations) -> None:
    tokens = translations.report("attention-tensorflow")["inputs"][0]
    assert tokens == {"name": "tokens", "dtype": "int32", "shape": ["batch", "length_1"]}


def test_nested_inputs_and_outputs_keep_their_order(translations: Translations) -> None:
    found = translations.report("pair")
    assert found["verdict"] in ("equal", "within-tolerance")
    assert [each["name"] for each in found["inputs"]] == ["left", "right"]
    assert [each["shape"][1] for each in found["outputs"]] == [3, 4]


def test_a_changed_weight_or_operator_is_found(translations: Translations, tmp_path: Path) -> None:
    weight = translations.measured("attention-tensorflow", with_another_weight, tmp_path / "weight")
    assert weight["verdict"] == "not-equal"
    changed = with_another_operator("Softmax", "LogSoftmax")
    assert translations.measured("attention-tensorflow", changed, tmp_path / "operator")["verdict"] == "not-equal"


def test_a_lambda_layer_is_refused_with_the_way_out(translations: Translations, tmp_path: Path) -> None:
    assert "is code, which is not run: use layers" in translations.refused(translations.models / "lambda", tmp_path)


def test_a_file_that_is_cut_off_is_refused(translations: Translations, tmp_path: Path) -> None:
    source = translations.copy("pair", tmp_path / "source")
    path = source / "model.keras"
    path.write_bytes(path.read_bytes()[:-200])
    assert "cut off" in translations.refused(source, tmp_path / "target")


def test_a_keras_file_goes_through_the_platform(translations: Translations, site: Site, tmp_path: Path) -> None:
    asset = site.ok("model", "import", str(translations.models / "image-jax"), "--name", "layers", "--wait")
    shown = json.loads(site.ok("show", asset, "--json"))
    assert shown["framework"] == "keras"
    site.ok("verify", shown["translation"], "--level", "equivalence")
    site.ok("pull", shown["translation"], str(tmp_path / "pulled"))
    assert (tmp_path / "pulled" / "model.onnx").is_file()
