"""The canonical tensor digest: what must not change it, what must, and that hostile bytes are only ever refused."""

import io
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions._domain.errors import RejectedContent, UnavailableStorage
from functions._domain.formats import ModelFile
from functions._domain.tensors import Distance, digest_of, distance, read
from functions._domain.tensors.distance import numbers
from tests.unit.test_formats import PT2, zipped

SAVED_MODEL = Path(__file__).parents[1] / "assets" / "saved-model"
GRAPH = b"\x08\x01" + b"\x12\x40" + b"g" * 64
"""What counts as a ``saved_model.pb``: nobody looks inside."""

Files = Mapping[str, bytes]
Edit = Callable[[dict[str, bytes]], object]


def model_files(files: Files) -> list[ModelFile]:
    return [ModelFile(path, len(data), lambda data=data: io.BytesIO(data)) for path, data in files.items()]  # type: ignore[misc]


def digest(files: Files) -> str:
    return digest_of(read(model_files(files)))


def apart(one: Files, other: Files, **options: int) -> Distance:
    left, right = model_files(one), model_files(other)
    return distance(left, read(left), right, read(right), **options)


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(data: bytes, seed: int) -> bytes:
    """The same entries in another order, with other times, compression, attributes and a comment."""
    chosen = random.Random(seed)
    names = list(entries(data).items())
    chosen.shuffle(names)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in names:
            entry = zipfile.ZipInfo(name, (1980 + chosen.randrange(100), 1 + chosen.randrange(12), 1, 2, 3, 4))
            entry.compress_type = chosen.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
            entry.external_attr = chosen.randrange(1 << 16) << 16
            archive.writestr(entry, content)
        archive.comment = chosen.randbytes(20)
    return buffer.getvalue()


def exported(torch_model: Path) -> bytes:
    return torch_model.read_bytes()


def scripted() -> bytes:
    import torch

    torch.manual_seed(3)
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # deprecated, and still what people have
        torch.jit.save(torch.jit.trace(torch.nn.Linear(3, 2), torch.zeros(1, 3)), buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def forest(seed: int = 0) -> bytes:
    import skops.io
    from sklearn.ensemble import RandomForestClassifier

    rows = numpy.random.RandomState(seed).randn(60, 3)
    return bytes(skops.io.dumps(RandomForestClassifier(2, random_state=0).fit(rows, rows[:, 0] > 0)))


def keras(date: str = "2024-01-01@00:00:00", address: int = 139797133080400, shared: int = 139797133080400) -> bytes:
    layers = [{"units": 3, "shared_object_id": address}, {"units": 2, "shared_object_id": shared}]
    return zipped(
        {
            "metadata.json": json.dumps({"keras_version": "3.14.0", "date_saved": date}).encode(),
            "config.json": json.dumps({"class_name": "Sequential", "config": {"layers": layers}}).encode(),
            "model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(range(200)),
        }
    )


def arrays(**named: Any) -> bytes:
    buffer = io.BytesIO()
    numpy.savez(buffer, **named)
    return buffer.getvalue()


def samples() -> bytes:
    return arrays(rows=numpy.arange(12, dtype="float32").reshape(3, 4), labels=numpy.arange(3))


@pytest.fixture(scope="module")
def archives(torch_model: Path) -> dict[str, bytes]:
    return {
        "model.pt2": exported(torch_model),
        "model.ts": scripted(),
        "model.skops": forest(),
        "model.keras": keras(),
        "samples.npz": samples(),
        "notes.zip": zipped({"a/b.txt": b"1", "c": b"2"}),
    }


NAMES = ("model.pt2", "model.ts", "model.skops", "model.keras", "samples.npz", "notes.zip")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_packing_an_archive_again_keeps_its_digest(archives: dict[str, bytes], name: str, seed: int) -> None:
    whole = archives[name]
    assert digest({name: repacked(whole, seed)}) == digest({name: whole})


LEFT_OUT = (".data/", "data/sample_inputs/", ".debug_pkl")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(choice=st.integers(0, 2**32))
def test_changing_a_byte_of_what_counts_changes_the_digest(archives: dict[str, bytes], name: str, choice: int) -> None:
    """Text apart, where a byte may be a space, every entry that is not left out counts to its last byte."""
    chosen, whole = random.Random(choice), entries(archives[name])
    counts = [
        entry
        for entry, data in whole.items()
        if data and not entry.endswith((".json", ".npy")) and not any(part in entry for part in LEFT_OUT)
    ]
    counts += [entry for entry in whole if entry.endswith(".npy")]
    entry = chosen.choice(counts)
    data = bytearray(whole[entry])
    data[-1 - chosen.randrange(min(len(data), 8))] ^= 1 << chosen.randrange(8)
    changed = zipped({**whole, entry: bytes(data)})
    before = digest({name: archives[name]})
    with suppress(RejectedContent):  # a byte may make it another thing altogether
        assert digest({name: changed}) != before


def configured(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Edits the configuration of an exported program's weights."""

    def edit(whole: dict[str, bytes]) -> None:
        name = next(name for name in whole if name.endswith("model_weights_config.json"))
        document = json.loads(whole[name])
        change(document["config"])
        whole[name] = json.dumps(document).encode()

    return edit


def graph(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Edits an exported program's graph."""

    def edit(whole: dict[str, bytes]) -> None:
        name = next(name for name in whole if name.endswith("models/model.json"))
        document = json.loads(whole[name])
        change(document)
        whole[name] = json.dumps(document).encode()

    return edit


def under_another_name(whole: dict[str, bytes]) -> None:
    for name in list(whole):
        whole[f"other/{name.split('/', 1)[1]}"] = whole.pop(name)


def without(ending: str) -> Edit:
    return lambda whole: [whole.pop(name) for name in list(whole) if name.endswith(ending)]


def another(ending: str) -> Edit:
    return lambda whole: whole.update({name: b"something else" for name in whole if name.endswith(ending)})


SAME: dict[str, Edit] = {
    "saved under another name": under_another_name,
    "another serialization id": another(".data/serialization_id"),
    "other sample inputs": another("data/sample_inputs/model.pt"),
    "other stack traces": graph(lambda document: document["graph_module"]["graph"]["nodes"][0]["metadata"].clear()),
    "guards": graph(lambda document: document.update(guards_code=["x == 1"])),
    "keys in another order": graph(lambda document: document.update(dict(reversed(list(document.items()))))),
}
OTHER: dict[str, Edit] = {
    "a name": configured(lambda config: config.update({"renamed": config.pop("0.bias")})),
    "two tensors changed places": configured(
        lambda config: config.update({"0.weight": config["2.weight"], "2.weight": config["0.weight"]})
    ),
    "a type": configured(lambda config: config["0.bias"]["tensor_meta"].update(dtype=4)),
    "a shape": configured(lambda config: config["0.bias"]["tensor_meta"].update(sizes=[{"as_int": 4}, {"as_int": 2}])),
    "strides": configured(lambda config: config["0.weight"]["tensor_meta"].update(strides=[{"as_int": 1}] * 2)),
    "one tensor less": configured(lambda config: config.pop("0.bias")),
    "an operator": graph(
        lambda document: document["graph_module"]["graph"]["nodes"][1].update(target="torch.ops.aten.tanh.default")
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_what_only_one_saving_of_an_exported_program_says_does_not_count(archives: dict[str, bytes], case: str) -> None:
    whole = entries(archives["model.pt2"])
    SAME[case](whole)
    assert digest({"model.pt2": zipped(whole)}) == digest({"model.pt2": archives["model.pt2"]})


@pytest.mark.parametrize("case", OTHER)
def test_names_types_shapes_and_graph_of_an_exported_program_count(archives: dict[str, bytes], case: str) -> None:
    whole = entries(archives["model.pt2"])
    OTHER[case](whole)
    assert digest({"model.pt2": zipped(whole)}) != digest({"model.pt2": archives["model.pt2"]})


def test_an_exported_programs_tensors_have_the_names_that_pytorch_gives_them(archives: dict[str, bytes]) -> None:
    import torch

    program = torch.export.load(io.BytesIO(archives["model.pt2"]))
    found = {one.name: (one.dtype, one.shape) for one in read(model_files({"m": archives["model.pt2"]})) if one.dtype}
    assert found == {
        f"weights/{name}": (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in program.state_dict.items()
    }


def test_a_torchscript_models_storages_have_their_types_without_unpickling(archives: dict[str, bytes]) -> None:
    found = {one.name: (one.dtype, one.shape) for one in read(model_files({"m": archives["model.ts"]})) if one.dtype}
    assert found == {"data/0": ("float32", (6,)), "data/1": ("float32", (2,))}
    whole = entries(archives["model.ts"])
    whole = {name: b"lines" if name.endswith(".debug_pkl") else data for name, data in whole.items()}
    under_another_name(whole)
    assert digest({"m": zipped(whole)}) == digest({"m": archives["model.ts"]})


def test_a_scikit_learn_model_saved_twice_is_the_same_though_it_holds_addresses() -> None:
    one, other = forest(), forest()
    assert one != other
    assert digest({"model.skops": one}) == digest({"model.skops": other})
    assert digest({"model.skops": forest(1)}) != digest({"model.skops": one})


def test_a_text_in_a_scikit_learn_model_that_looks_like_an_address_counts() -> None:
    def model(text: str) -> dict[str, bytes]:
        schema = {"__class__": "str", "content": json.dumps(text), "__id__": 12345, "file": "none.npy"}
        return {"model.skops": zipped({"schema.json": json.dumps(schema).encode()})}

    assert digest(model('"__id__": 1')) != digest(model('"__id__": 2'))


def test_a_keras_models_date_and_addresses_do_not_count_but_what_shares_them_does() -> None:
    whole = digest({"model.keras": keras()})
    assert digest({"model.keras": keras("2026-02-02@02:02:02", 7, 7)}) == whole
    assert digest({"model.keras": keras(address=7, shared=8)}) != whole


NPZ = {
    "a name": arrays(rowS=numpy.zeros((2, 3), "float32")),
    "a type": arrays(rows=numpy.zeros((2, 3), "int32")),
    "a shape": arrays(rows=numpy.zeros((3, 2), "float32")),
    "its order": arrays(rows=numpy.zeros((2, 3), "float32", order="F")),
    "a value": arrays(rows=numpy.eye(2, 3, dtype="float32")),
    "one more": arrays(rows=numpy.zeros((2, 3), "float32"), more=numpy.zeros(0)),
}


@pytest.mark.parametrize("case", NPZ)
def test_names_types_shapes_and_values_of_arrays_count(case: str) -> None:
    assert digest({"samples.npz": NPZ[case]}) != digest({"samples.npz": arrays(rows=numpy.zeros((2, 3), "float32"))})


def test_an_array_alone_is_read_as_one() -> None:
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.zeros((2, 3)))
    (one,) = read(model_files({"a.npy": buffer.getvalue()}))
    assert (one.dtype, one.shape) == ("float64", (2, 3))


def saved_model(which: str, graph_: bytes = GRAPH) -> dict[str, bytes]:
    folder = SAVED_MODEL / which / "variables"
    variables = {f"export/variables/{path.name}": path.read_bytes() for path in folder.iterdir()}
    return {"export/saved_model.pb": graph_, "export/fingerprint.pb": which.encode(), **variables}


def test_two_exports_of_one_tensorflow_model_have_the_same_variables() -> None:
    first, second = saved_model("first"), saved_model("second", GRAPH.replace(b"g", b"h"))
    assert first["export/variables/variables.index"] != second["export/variables/variables.index"]
    assert digest(first) == digest(second)
    parts = {one.name: (one.dtype, one.shape) for one in read(model_files(first))}
    assert parts == {
        f"variables/{number}/.ATTRIBUTES/VARIABLE_VALUE": ("float32", shape)
        for number, shape in enumerate([(4, 3), (3,), (3, 2), (2,)])
    }


def test_a_variable_of_a_tensorflow_model_counts_to_the_byte() -> None:
    first = saved_model("first")
    path = "export/variables/variables.data-00000-of-00001"
    one = read(model_files(first))[0]
    assert one.place is not None
    value = first[path][one.place.start :][: one.place.length]
    other = {**first, path: first[path].replace(value, bytes([value[0] ^ 1]) + value[1:])}  # Keras stores it twice
    assert digest(other) != digest(first)
    far = apart(first, other)
    assert (far.tensors, far.tensors_differing, far.others) == (4, 1, ())
    assert far.max_absolute is not None
    assert 0 < far.max_absolute < 1e-6
    with pytest.raises(RejectedContent, match=r"variables\.data-00000-of-00001 is missing"):
        digest({name: data for name, data in first.items() if name != path})


def onnx_model(scale: float = 2.0, raw: bool = True, **names: str) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    values = numpy.array([scale, 3.0], "float32")
    weight = (
        numpy_helper.from_array(values, names.get("weight", "w"))
        if raw
        else helper.make_tensor("w", TensorProto.FLOAT, [2], values.tolist())
    )
    node = helper.make_node(names.get("operator", "Mul"), ["x", "w"], ["y"], doc_string=names.get("doc", ""))
    shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    made = helper.make_graph([node], names.get("graph", "g"), shape[:1], shape[1:], [weight])
    producer = names.get("producer", "somebody")
    model = helper.make_model(made, producer_name=producer, opset_imports=[helper.make_opsetid("", 18)])
    return bytes(model.SerializeToString())


def test_names_of_producer_and_graph_do_not_count_in_onnx_and_all_that_computes_does() -> None:
    whole = digest({"m.onnx": onnx_model()})
    same = onnx_model(graph="9f1c", producer="somebody else", doc="how it came about")
    assert digest({"m.onnx": same}) == whole
    for other in (onnx_model(2.5), onnx_model(operator="Add"), onnx_model(weight="v")):
        assert digest({"m.onnx": other}) != whole


def test_the_distance_of_onnx_models_is_measured_however_values_are_stored() -> None:
    for raw in (True, False):
        far = apart({"m.onnx": onnx_model(2.0, raw)}, {"m.onnx": onnx_model(2.5, raw)})
        assert far == Distance(1, 1, max_absolute=0.5, max_relative=0.2)


LIGHTGBM = """\
tree
version=v4

Tree=0
leaf_value={leaf}

end of trees

parameters:
[data: {path}]
[num_threads: {threads}]

end of parameters

pandas_categorical:null
"""


def test_settings_of_the_machine_do_not_count_in_lightgbm_and_trees_do() -> None:
    def model(leaf: float = 0.5, path: str = "/here", threads: int = 1) -> dict[str, bytes]:
        return {"model.txt": LIGHTGBM.format(leaf=leaf, path=path, threads=threads).encode()}

    assert digest(model(path="/there", threads=8)) == digest(model())
    assert digest(model(leaf=0.25)) != digest(model())


def test_files_beside_the_model_count_with_their_paths(archives: dict[str, bytes]) -> None:
    model = {"model.pt2": archives["model.pt2"]}
    beside = {**model, "samples.npz": samples(), "labels.txt": b"cat\ndog\n"}
    assert len({digest(one) for one in (model, beside, {**beside, "labels.txt": b"dog\ncat\n"})}) == 3
    renamed = {**model, "samples.npz": samples(), "names.txt": b"cat\ndog\n"}
    assert digest(renamed) != digest(beside)
    assert digest(dict(reversed(list(beside.items())))) == digest(beside)


@pytest.mark.parametrize(("dtype", "step"), [("float16", 2**-10), ("float32", 2**-23), ("float64", 2**-52)])
def test_the_smallest_step_of_each_type_is_measured(dtype: str, step: float) -> None:
    values = numpy.array([1.0, 0.0, -2.0, 0.0], dtype)
    other = values.copy()
    other[0] += numpy.array(step, dtype)
    far = apart({"s.npz": arrays(a=values)}, {"s.npz": arrays(a=other)})
    assert far == Distance(1, 1, max_absolute=step, max_relative=step / (1 + step))


def test_bfloat16_is_the_upper_half_of_a_float32() -> None:
    values = [1.0, -2.5, 0.0, 3e38, float("inf")]
    assert list(numbers(b"".join(struct.pack("<f", one)[2:] for one in values), "bfloat16")) == [
        struct.unpack("<f", b"\0\0" + struct.pack("<f", one)[2:])[0] for one in values
    ]


def test_numbers_that_are_not_finite_are_counted_and_not_measured() -> None:
    one = numpy.array([1.0, numpy.nan, numpy.inf, 5.0, 0.0])
    other = numpy.array([1.5, numpy.nan, 1.0, numpy.nan, 0.0])
    far = apart({"s.npz": arrays(a=one)}, {"s.npz": arrays(a=other)})
    assert (far.max_absolute, far.max_relative) == (0.5, 1 / 3)
    assert far.notes == ("2 numbers differ where one of the two is not finite",)
    huge = numpy.array([1.7e308]), numpy.array([-1.7e308])
    assert apart({"s.npz": arrays(a=huge[0])}, {"s.npz": arrays(a=huge[1])}).max_absolute is None


def test_tensors_of_one_side_or_of_another_type_are_counted_and_named() -> None:
    one = arrays(a=numpy.zeros(2), b=numpy.zeros(3), c=numpy.zeros(4), same=numpy.ones(1))
    other = arrays(a=numpy.zeros(2, "float32"), b=numpy.zeros(4), d=numpy.zeros(5), same=numpy.ones(1))
    far = apart({"s.npz": one, "x.txt": b"1"}, {"s.npz": other, "y.txt": b"1"})
    assert (far.tensors, far.tensors_differing, far.max_absolute) == (5, 4, None)
    assert far.others == ("x.txt", "y.txt")
    assert "4 of them" in far.notes[0]
    assert all(f"s.npz {name}" in far.notes[0] for name in "cd")


def test_only_so_many_bytes_are_measured_and_the_rest_is_said() -> None:
    zeros, ones = ({name: numpy.full(100, value) for name in "abc"} for value in (0.0, 1.0))
    far = apart({"s.npz": arrays(**zeros)}, {"s.npz": arrays(**ones)}, most=1700)
    assert (far.tensors_differing, far.max_absolute) == (3, 1.0)
    assert "1 of them" in far.notes[0]
    assert "s.npz c" in far.notes[0]


def test_a_tensor_larger_than_a_block_is_measured_to_its_end() -> None:
    one = numpy.zeros(300_001, "float64")
    other = one.copy()
    other[-1] = 4.0
    far = apart({"s.npz": arrays(a=one)}, {"s.npz": arrays(a=other)})
    assert (far.max_absolute, far.max_relative) == (4.0, 1.0)


HOSTILE = {
    "unpacks to far more": zipped({"schema.json": b"0" * 10**7}, zipfile.ZIP_DEFLATED),
    "an unusual compression": zipped({"a": b"0" * 100}, zipfile.ZIP_LZMA),
    "deep JSON": zipped({**PT2, "m/models/model.json": b"[" * 10**5}),
    "a configuration that is none": zipped({**PT2, "m/data/weights/model_weights_config.json": b"[]"}),
    "a weight that is not there": zipped(
        {
            **PT2,
            "m/data/weights/model_weights_config.json": json.dumps(
                {"config": {"w": {"path_name": "weight_0", "use_pickle": False, "tensor_meta": {}}}}
            ).encode(),
        }
    ),
    "an array without an end": zipped({"a.npy": b"\x93NUMPY\x01\x00\xff\xff{"}),
    "an array that computes": zipped(
        {"a.npy": b"\x93NUMPY\x01\x00\x20\x00" + b"{'descr': 1 + open('x').read()}".ljust(32)}
    ),
    "a schema without an end": zipped({"schema.json": b'{"__class__": "' + b"x" * (5 << 20)}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_by_name(case: str) -> None:
    with pytest.raises(RejectedContent, match="'model'"):
        read(model_files({"model": HOSTILE[case]}))


def test_brackets_in_a_text_do_not_make_a_document_deep() -> None:
    text = {"config.json": json.dumps({"a": '[{"\\' * 1000}).encode(), "metadata.json": b'{"keras_version": "3"}'}
    assert read(model_files({"model.keras": zipped(text)}))
    deep = {**text, "config.json": b'{"a":' * 201 + b"1" + b"}" * 201}
    with pytest.raises(RejectedContent, match="nested more than 200 times"):
        read(model_files({"model.keras": zipped(deep)}))


def test_a_pickle_beside_the_model_is_refused(archives: dict[str, bytes]) -> None:
    with pytest.raises(RejectedContent, match=r"state\.pkl.*pickle"):
        read(model_files({"model.pt2": archives["model.pt2"], "state.pkl": b"\x80\x04N."}))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_is_damaged_is_read_or_refused_and_nothing_else(archives: dict[str, bytes], seed: int) -> None:
    chosen = random.Random(seed)
    candidates = {**archives, "m.onnx": onnx_model(), **saved_model("first")}
    name = chosen.choice(sorted(candidates))
    data = bytearray(candidates[name])
    for _ in range(chosen.randrange(1, 20)):
        data[chosen.randrange(len(data))] = chosen.randrange(256)
    del data[chosen.randrange(len(data) // 2, len(data) + 1) :]
    files = {**(saved_model("first") if name.startswith("export/") else {}), name: bytes(data)}
    with suppress(RejectedContent):
        assert digest(files).startswith("sha256:")


def test_a_store_that_does_not_answer_says_nothing_about_the_bytes() -> None:
    def away() -> io.BytesIO:
        raise UnavailableStorage("away")

    with pytest.raises(UnavailableStorage):
        read([ModelFile("model.pt2", 100, away)])
