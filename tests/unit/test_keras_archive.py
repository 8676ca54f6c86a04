"""Nothing in a .keras file that Keras would import, call or open passes the vetting, apart from what computes."""

from collections.abc import Mapping

import pytest

from tests.labs import in_lab

pytestmark = pytest.mark.slow

LAB = """\
import json, os, pickle, sys, zipfile
from pathlib import Path
os.environ["KERAS_BACKEND"] = "tensorflow"
from functions._domain.errors import RejectedContent
from functions._translators import keras as translator
from functions._translators.tensorflow_graph import start
start()
import h5py, keras, numpy
from keras import layers
folder, answers = Path(sys.argv[1]), {}

def say(name, path):
    try:
        answers[name] = "loaded: " + translator._loaded(path).name
    except RejectedContent as error:
        answers[name] = str(error)

def saved(name, *more, model=None):
    model = model or keras.Sequential([layers.Input((4,)), layers.Dense(3, activation="gelu", name="dense"), *more])
    path = folder / f"{name}.keras"
    model.save(path)
    return path

def altered(name, change=None, weights=None, entries=None, compression=zipfile.ZIP_STORED):
    source, path = saved("base"), folder / f"{name}.keras"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", compression) as new:
        for entry in old.namelist():
            data = old.read(entry)
            if entry == "config.json" and change:
                config = json.loads(data)
                change(config)
                data = json.dumps(config).encode()
            if entry == "model.weights.h5" and weights:
                (folder / "weights.h5").write_bytes(data)
                with h5py.File(folder / "weights.h5", "r+") as file:
                    weights(file)
                data = (folder / "weights.h5").read_bytes()
            new.writestr(entry, data)
        for entry, data in (entries or {}).items():
            new.writestr(entry, data)
    return path

def layer(config):
    return config["config"]["layers"][1]

say("plain", saved("plain"))
inputs = keras.Input((4, 6))
outputs = layers.Bidirectional(layers.LSTM(3))(keras.ops.concatenate([inputs, keras.activations.silu(inputs)], 1) * 2)
functional = keras.Model(inputs, layers.Dense(2, kernel_regularizer="l2", activation=keras.activations.relu)(outputs))
functional.compile("adam", "mse")
say("functional", saved("functional", model=functional))

say("lambda", saved("lambda", layers.Lambda(lambda x: x * 2, name="twice")))

@keras.saving.register_keras_serializable("house")
class Own(layers.Layer):
    def call(self, x):
        return x
say("own layer", saved("own", Own()))

class Plain(layers.Layer):
    def call(self, x):
        return x
say("unregistered layer", saved("unregistered", Plain()))
say("text", saved("text", model=keras.Sequential([
    keras.Input((), dtype="string"), layers.StringLookup(vocabulary=["a", "b"])])))

def becomes(**values):
    return lambda config: layer(config).update(values)

say("a function of os", altered("os", becomes(module="os", class_name="system", config={"command": "touch proof"})))
say("a function of keras", altered("get_file", becomes(
    module="keras.utils", class_name="get_file", config={"fname": "proof", "origin": "file:///etc/hostname"})))
say("unsafe mode", altered("unsafe", becomes(
    module="keras.config", class_name="enable_unsafe_deserialization", config={})))
say("another module of keras", altered("file_utils", becomes(
    module="keras.src.utils.file_utils", class_name="get_file", config={"fname": "proof"})))
say("a loader", altered("loader", becomes(
    module="keras.layers", class_name="TFSMLayer", config={"filepath": "/somewhere"})))
say("torch inside", altered("torch", becomes(
    module="keras.layers", class_name="TorchModuleWrapper", config={"module": pickle.dumps({}).hex()})))
say("no module", altered("none", becomes(module=None)))
say("an old layout", altered("old", lambda config: [layer(config).pop(key) for key in ("module", "registered_name")]))
say("another name", altered("renamed", becomes(registered_name="house>Dense")))
say("a name that is no class", altered("function", becomes(class_name="deserialize")))

def hidden(place, value):
    return lambda config: layer(config)["config"].update({place: value})

function = {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"}
say("a function as activation", altered("eval", hidden("activation", function)))
say("a function of numpy", altered("numpy", hidden("activation", {**function, "module": "numpy", "config": "save"})))
say("a lambda as activation", altered("bytecode", hidden(
    "activation", {"class_name": "__lambda__", "config": {"value": ["4wEA", None, None]}})))
say("a type", altered("typespec", hidden("dtype", {
    "class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow", "config": []})))
say("when compiled", altered("compiled", lambda config: config.update(
    compile_config={"optimizer": {"module": "os", "class_name": "system", "config": {"command": "touch proof"}}})))
say("compiled inside", altered("inside", lambda config: layer(config).update(
    compile_config={"module": "os", "class_name": "system", "config": {"command": "touch proof"}})))

def deep(config):
    place = config
    for _ in range(300):
        place["config"] = place = {}
say("nested", altered("deep", deep))
say("huge", altered("huge", lambda config: config.update(note="x" * 17_000_000)))
say("more entries", altered("assets", entries={"assets/vocabulary.txt": "a"}))

def link(kind):
    def change(file):
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = kind
    return change
(folder / "other.h5").write_bytes(b"")
with h5py.File(folder / "other.h5", "w") as other:
    other["secret"] = numpy.zeros((4, 3), "float32")
say("external link", altered("external", weights=link(h5py.ExternalLink(str(folder / "other.h5"), "secret"))))
say("soft link", altered("soft", weights=link(h5py.SoftLink("/layers/dense/vars/1"))))

def stored_elsewhere(file):
    del file["layers/dense/vars/0"]
    (folder / "raw").write_bytes(bytes(48))
    file.create_dataset("layers/dense/vars/0", (4, 3), "float32", external=[(str(folder / "raw"), 0, 48)])
say("stored elsewhere", altered("raw", weights=stored_elsewhere))

def virtual(file):
    del file["layers/dense/vars/0"]
    layout = h5py.VirtualLayout((4, 3), "float32")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (4, 3))
    file.create_virtual_dataset("layers/dense/vars/0", layout)
say("virtual", altered("virtual", weights=virtual))

def texts(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = numpy.array(["a", "b"], dtype=object)
say("texts", altered("texts", weights=texts))

def enormous(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (2**40,), "float32", chunks=(2**20,), compression="gzip")
say("enormous", altered("enormous", weights=enormous))

say("fewer weights", altered("fewer", weights=lambda file: file.__delitem__("layers/dense/vars/0")))

whole = saved("whole").read_bytes()
for name, data in (("cut off", whole[: len(whole) // 2]), ("no zip", b"PK" + bytes(100))):
    (folder / "cut.keras").write_bytes(data)
    say(name, folder / "cut.keras")
answers["proof"] = str(Path("proof").exists())
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What is said of each file, made and loaded in one process that imports Keras."""
    found: Mapping[str, str] = in_lab(LAB, tmp_path_factory.mktemp("keras"))
    return found


@pytest.mark.parametrize("name", ["plain", "functional", "when compiled", "compiled inside"])
def test_what_computes_is_loaded_and_what_compiled_it_is_dropped(answers: Mapping[str, str], name: str) -> None:
    assert answers[name].startswith("loaded: ")


@pytest.mark.parametrize("name", ["lambda", "a lambda as activation", "a loader", "torch inside", "a type"])
def test_code_is_refused_with_the_way_out(answers: Mapping[str, str], name: str) -> None:
    assert "is code, which is not run" in answers[name]
    assert "model.export('folder')" in answers[name]


def test_the_refusal_names_the_layer(answers: Mapping[str, str]) -> None:
    assert "Lambda 'twice'" in answers["lambda"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("own layer", "'Own' is not of Keras itself"),
        ("unregistered layer", "is not of Keras itself"),
        ("no module", "is not of Keras itself"),
        ("an old layout", "is not of Keras itself"),
        ("another name", "is not of Keras itself"),
        ("a function of os", "'os.system' is none of Keras' own"),
        ("a function of keras", "'keras.utils.get_file' is none of Keras' own"),
        ("unsafe mode", "'keras.config.enable_unsafe_deserialization' is none of Keras' own"),
        ("another module of keras", "'keras.src.utils.file_utils.get_file' is none of Keras' own"),
        ("a name that is no class", "'keras.layers.deserialize' is no layer or operation"),
        ("a function as activation", "'eval' of 'builtins' is no activation"),
        ("a function of numpy", "'save' of 'numpy' is no activation"),
        ("text", "StringLookup reads a vocabulary"),
    ],
)
def test_what_is_not_of_keras_or_does_not_compute_is_refused_by_name(
    answers: Mapping[str, str], name: str, reason: str
) -> None:
    assert reason in answers[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nested", "nested deeper than"),
        ("huge", "more than 16777216 bytes"),
        ("more entries", "'assets/vocabulary.txt' is none of a plain model's"),
        ("cut off", "cannot be read"),
        ("no zip", "cannot be read"),
        ("fewer weights", "cannot be loaded"),
    ],
)
def test_a_broken_or_crowded_file_is_refused(answers: Mapping[str, str], name: str, reason: str) -> None:
    assert reason in answers[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("external link", "'/layers/dense/vars/0' is a link to somewhere else"),
        ("soft link", "'/layers/dense/vars/0' is a link to somewhere else"),
        ("stored elsewhere", "is no plain array of numbers"),
        ("virtual", "is no plain array of numbers"),
        ("texts", "is no plain array of numbers"),
        ("enormous", "would unpack to"),
    ],
)
def test_weights_are_numbers_in_their_own_file(answers: Mapping[str, str], name: str, reason: str) -> None:
    assert reason in answers[name]


def test_nothing_ran(answers: Mapping[str, str]) -> None:
    assert answers["proof"] == "False"
