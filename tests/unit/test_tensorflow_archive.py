"""Nothing of a SavedModel runs that would do more than compute: each way out of the graph is refused by its name."""

from collections.abc import Mapping

import pytest

from tests.labs import in_lab

pytestmark = pytest.mark.slow

LAB = """\
import json, sys
from pathlib import Path
from functions._domain.errors import RejectedContent
from functions._translators import tensorflow_archive
from functions._translators.tensorflow_graph import start
tf = start("keras")
from tensorflow.core.protobuf import saved_model_pb2
folder, answers = Path(sys.argv[1]), {}

def saved(name, function, shape=(None, 4), dtype=tf.float32, signatures=None):
    module = tf.Module()
    module.weight = tf.Variable(tf.ones((4, 3)))
    module.call = tf.function(lambda x: function(x, module), input_signature=[tf.TensorSpec(shape, dtype, "x")])
    chosen = module.call if signatures is None else {each: module.call for each in signatures}
    tf.saved_model.save(module, str(folder / name), signatures=chosen)
    return folder / name / "saved_model.pb"

def say(name, path, change=None):
    if change:
        document = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        change(document.meta_graphs[0])
        path.write_bytes(document.SerializeToString())
    try:
        kept = tensorflow_archive.read(path)
        answers[name] = "kept: " + " ".join(sorted({node.op for node in kept.serving.node}))
    except RejectedContent as error:
        answers[name] = str(error)

def plain(x, module):
    return tf.nn.relu(x @ module.weight)

def with_table(x, module):
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [2]), 0)
    module.table = table
    return x + tf.cast(table.lookup(tf.constant([1])), tf.float32)

def branching(x, module):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: x + tf.io.decode_raw(tf.io.read_file("secret"), tf.float32), lambda: x)

secret = tf.constant("secret")
ways = {
    "reads a file": lambda x, m: x + tf.io.decode_raw(tf.io.read_file(secret), tf.float32),
    "writes a file": lambda x, m: (tf.raw_ops.WriteFile(filename=secret, contents=secret), x)[1],
    "lists a folder": lambda x, m: x + tf.cast(tf.size(tf.io.matching_files("*")), tf.float32),
    "runs Python": lambda x, m: tf.py_function(lambda v: v, [x], tf.float32),
    "runs numpy": lambda x, m: tf.numpy_function(lambda v: v, [x], tf.float32),
    "prints": lambda x, m: (tf.print(x, output_stream="file:///proof"), x)[1],
    "writes a checkpoint": lambda x, m: (tf.raw_ops.SaveV2(
        prefix=secret, tensor_names=["a"], shape_and_slices=[""], tensors=[x]), x)[1],
    "reads records": lambda x, m: x + tf.cast(
        tf.data.TFRecordDataset(["secret"]).cardinality(), tf.float32),
    "maps memory": lambda x, m: x + tf.raw_ops.ImmutableConst(
        dtype=tf.float32, shape=(4,), memory_region_name="secret"),
    "looks up": with_table,
    "in a branch": branching,
}
for name, way in ways.items():
    say(name, saved(name, way))
say("plain", saved("plain", plain))
say("one other signature", saved("other", plain, signatures=["predict"]))
say("two signatures", saved("two", plain, signatures=["predict", "score"]))
say("two and the default", saved("three", plain, signatures=["predict", "serving_default"]))
say("takes text", saved("text", lambda x, m: tf.strings.length(x), (None,), tf.string))
say("gives text", saved("says", lambda x, m: tf.strings.as_string(x)))

module = tf.Module()
module.call = tf.function(lambda x: x)
tf.saved_model.save(module, str(folder / "unsigned"))
say("unsigned", folder / "unsigned" / "saved_model.pb")

def rename(meta):
    for function in meta.graph_def.library.function:
        for node in function.node_def:
            if node.op == "Relu":
                node.op = "HouseRelu"
say("own operation", saved("own", plain), rename)

def in_restoring(meta):
    called = {node.name: node for node in meta.graph_def.node}[meta.saver_def.restore_op_name].attr["f"].func.name
    body = next(each for each in meta.graph_def.library.function if each.signature.name == called)
    body.node_def.add(name="proof", op="WriteFile", input=["file_prefix", "file_prefix"])
say("while restoring", saved("restoring", plain), in_restoring)

def at_the_start(meta):
    meta.graph_def.node.add(name="proof", op="WriteFile", input=["saver_filename", "saver_filename"])
    meta.collection_def["saved_model_main_op"].node_list.value[:] = ["proof"]
say("at the start", saved("start", plain), at_the_start)

def to_itself(meta):
    for function in meta.graph_def.library.function:
        for node in function.node_def:
            if node.op == "Relu":
                node.op = "PartitionedCall"
                node.attr["f"].func.name = function.signature.name
say("calls itself", saved("itself", plain), to_itself)

def many(meta):
    for function in meta.graph_def.library.function:
        for node in list(function.node_def):
            if node.op == "Relu":
                function.node_def.extend([node] * 100_000)
say("many operations", saved("many", plain), many)

def without_a_function(meta):
    del meta.graph_def.library.function[:]
say("lacks a function", saved("lacking", plain), without_a_function)

def dangling(meta):
    meta.signature_def["serving_default"].outputs["output_0"].name = "nowhere:0"
say("lacks an operation", saved("dangling", plain), dangling)

path = saved("cut", plain)
path.write_bytes(path.read_bytes()[:-100])
say("cut off", path)
path.write_bytes(b"\\x08\\x01\\x12\\x00")
say("empty graph", path)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What the vetting says of each model, made and looked at in one process that imports TensorFlow."""
    found: Mapping[str, str] = in_lab(LAB, tmp_path_factory.mktemp("saved"))
    return found


@pytest.mark.parametrize(
    ("way", "operation"),
    [
        ("reads a file", "ReadFile"),
        ("writes a file", "WriteFile"),
        ("lists a folder", "MatchingFiles"),
        ("runs Python", "EagerPyFunc"),
        ("runs numpy", "PyFunc"),
        ("prints", "PrintV2"),
        ("writes a checkpoint", "SaveV2"),
        ("reads records", "TFRecordDataset"),
        ("maps memory", "ImmutableConst"),
        ("looks up", "LookupTableFindV2"),
        ("in a branch", "ReadFile"),
        ("at the start", "WriteFile"),
    ],
)
def test_an_operation_that_reaches_outside_is_refused_by_name(
    answers: Mapping[str, str], way: str, operation: str
) -> None:
    assert f"'{operation}'" in answers[way]
    assert "no plain computations on numbers" in answers[way]


def test_what_restores_the_variables_may_do_no_more_than_that(answers: Mapping[str, str]) -> None:
    assert "'WriteFile' have no place in what restores variables" in answers["while restoring"]


def test_an_operation_of_another_library_is_refused_by_name(answers: Mapping[str, str]) -> None:
    assert "'HouseRelu' are not TensorFlow's own" in answers["own operation"]


def test_a_plain_model_is_kept_without_what_trains_and_saves_it(answers: Mapping[str, str]) -> None:
    for name in ("plain", "one other signature", "two and the default"):
        assert answers[name].startswith("kept: ")
        assert "Save" not in answers[name]


@pytest.mark.parametrize("name", ["two signatures", "unsigned"])
def test_it_must_be_clear_what_to_serve(answers: Mapping[str, str], name: str) -> None:
    assert "no signature named 'serving_default', and not exactly one other" in answers[name]
    assert "tf.saved_model.save(model, folder, signatures=" in answers[name]


@pytest.mark.parametrize("name", ["takes text", "gives text"])
def test_text_is_refused_with_the_way_out(answers: Mapping[str, str], name: str) -> None:
    assert "takes or gives text, which is not translated: leave what makes numbers of text out" in answers[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cut off", "this SavedModel cannot be read"),
        ("empty graph", "no signature named 'serving_default'"),
        ("lacks a function", "lacks 'function:__inference"),
        ("lacks an operation", "lacks 'nowhere'"),
    ],
)
def test_a_broken_model_is_refused_with_what_is_missing(answers: Mapping[str, str], name: str, reason: str) -> None:
    assert reason in answers[name]
    assert "save it again" in answers[name]


def test_a_function_that_calls_itself_ends_the_vetting_too(answers: Mapping[str, str]) -> None:
    assert answers["calls itself"].startswith("kept: ")


def test_a_graph_of_a_hundred_thousand_operations_is_refused(answers: Mapping[str, str]) -> None:
    assert "more than 50000 operations" in answers["many operations"]
