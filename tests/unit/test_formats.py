"""What a model is, told from its bytes; and that no bytes, however hostile, do anything but be refused."""

import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Mapping
from contextlib import suppress

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions._domain.errors import RejectedContent, UnavailableStorage
from functions._domain.formats import Format, ModelFile, detect


def model_file(path: str, data: bytes) -> ModelFile:
    return ModelFile(path, len(data), lambda: io.BytesIO(data))


def zipped(entries: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def field(number: int, value: int | bytes) -> bytes:
    """One protobuf field; lengths below 16384 only."""
    key = varint(number << 3 | (2 if isinstance(value, bytes) else 0))
    return key + varint(value) if isinstance(value, int) else key + varint(len(value)) + value


def varint(value: int) -> bytes:
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


PT2 = {"m/archive_format": b"pt2", "m/archive_version": b"0", "m/models/model.json": b"{}"}
TORCHSCRIPT = {"m/data.pkl": b"x", "m/constants.pkl": b"x", "m/code/__torch__.py": b"x", "m/version": b"3"}
STATE_DICT = {"m/data.pkl": b"x", "m/data/0": b"x", "m/version": b"3"}
ONNX = field(1, 10) + field(2, b"maker") + field(7, b"graph" * 200) + field(8, b"\x10\x12")
SAVED_MODEL = field(1, 1) + field(2, b"graph" * 100)


def exported(module: bytes) -> bytes:
    """A flatbuffer like those of ``jax.export``: the place of a table, its list of fields, the table, the module."""
    fields = struct.pack("<2H", 36, 8) + bytes(26) + struct.pack("<H", 4) + bytes(4)
    return (
        struct.pack("<I", 40) + fields + struct.pack("<iI", 36, 4) + struct.pack("<I", len(module)) + module + bytes(40)
    )


STABLEHLO = exported(b"ML\xefR\x0dStableHLO_v1.13.0\x00" + bytes(100))
XGBOOST_UBJ = b"{L" + struct.pack(">q", 7) + b"learner{L" + struct.pack(">q", 10) + b"attributes{}}"

MODELS = {
    ("model.pt2", zipped(PT2)): ("torch", "pt2"),
    ("model.bin", zipped(TORCHSCRIPT)): ("torch", "torchscript"),
    ("model.skops", zipped({"schema.json": b'{"__class__": "Pipeline", "__module__": "sklearn"}'})): (
        "sklearn",
        "skops",
    ),
    ("model.keras", zipped({"config.json": b"{}", "metadata.json": b'{"keras_version": "3.9"}'})): ("keras", "keras"),
    ("net", ONNX): ("onnx", "onnx"),
    ("export/saved_model.pb", SAVED_MODEL): ("tensorflow", "saved-model"),
    ("model.jax", STABLEHLO): ("jax", "stablehlo"),
    ("model.json", b'{"learner":{"attributes":{},"gradient_booster":{}},"version":[3,0,0]}'): ("xgboost", "json"),
    ("model.ubj", XGBOOST_UBJ): ("xgboost", "ubj"),
    ("model.txt", b"tree\nversion=v4\nnum_class=1\n"): ("lightgbm", "text"),
}


@pytest.mark.parametrize(("path", "data", "framework", "name"), [(*key, *value) for key, value in MODELS.items()])
def test_a_model_is_told_by_its_bytes(path: str, data: bytes, framework: str, name: str) -> None:
    assert detect([model_file(path, data)]) == Format(framework, name, path)


def test_a_name_alone_makes_no_model() -> None:
    with pytest.raises(RejectedContent, match=r"no model was found among 'model\.pt2'"):
        detect([model_file("model.pt2", b"not an archive"[::-1])])


def test_files_beside_the_model_are_fine() -> None:
    samples = io.BytesIO()
    numpy.savez(samples, rows=numpy.zeros((3, 2)), labels=numpy.zeros(3, "int64"))
    beside = {
        "metrics.json": b'{"accuracy": 0.9}', "labels.txt": b"zero\none\n", "samples.npz": samples.getvalue(),
        "empty": b"", "notes.zip": zipped({"a.txt": b"a"}), "picture.png": b"\x89PNG\r\n\x1a\n" + b"\x00" * 30,
    }  # fmt: skip
    files = [model_file(path, data) for path, data in beside.items()]
    assert detect([*files, model_file("m/model.pt2", zipped(PT2))]).main == "m/model.pt2"


def test_no_model_is_refused_with_what_was_found_and_what_is_taken() -> None:
    with pytest.raises(RejectedContent, match=r"'metrics\.json'.*\.pt2.*SavedModel.*skops.*ONNX"):
        detect([model_file("metrics.json", b"{}")])
    with pytest.raises(RejectedContent, match="no files at all"):
        detect([])


def test_two_models_are_refused_by_name() -> None:
    with pytest.raises(RejectedContent, match=r"a\.pt2 \(torch\)', 'b\.onnx \(onnx\)'; keep the one"):
        detect([model_file("b.onnx", ONNX), model_file("a.pt2", zipped(PT2))])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value", [{"weights": [1.0, 2.0]}, list(range(5000)), b"x" * 9000], ids=["dict", "list", "bytes"]
)
def test_a_pickle_is_refused_whatever_its_name(protocol: int, value: object) -> None:
    with pytest.raises(RejectedContent, match=r"'labels\.txt'.*pickle.*torch\.export\.save.*skops"):
        detect([model_file("labels.txt", pickle.dumps(value, protocol=protocol)), model_file("model.pt2", zipped(PT2))])


@pytest.mark.parametrize("path", ["model.joblib", "model.PKL", "a/model.pickle"])
def test_what_is_named_a_pickle_is_refused_even_compressed(path: str) -> None:
    with pytest.raises(RejectedContent, match="pickle"):
        detect([model_file(path, b"x\x9c\x01\x02")])


def test_a_pickle_inside_an_archive_is_refused_whatever_else_it_is() -> None:
    skops = {"schema.json": b'{"__class__": "Pipeline", "__module__": "sklearn"}', "more.pkl": b"\x80\x04."}
    with pytest.raises(RejectedContent, match=r"'more\.pkl' is a pickle"):
        detect([model_file("model.skops", zipped(skops))])


def test_a_classic_torch_save_is_refused_with_the_way_out() -> None:
    with pytest.raises(RejectedContent, match=r"torch\.export\.save\(torch\.export\.export\(model, \(example,\)\)"):
        detect([model_file("model.pt", zipped(STATE_DICT))])


def test_arrays_of_objects_are_refused_and_arrays_of_numbers_are_not() -> None:
    single, several, plain = io.BytesIO(), io.BytesIO(), io.BytesIO()
    numpy.save(single, numpy.array([{}, []], dtype=object))
    numpy.savez_compressed(several, good=numpy.zeros(3), bad=numpy.array([None], dtype=object))
    numpy.save(plain, numpy.zeros(3, [("P", "f4"), ("name", "U8")]))
    for path, data in (("a.npy", single), ("a.npz", several)):
        with pytest.raises(RejectedContent, match="pickled Python objects"):
            detect([model_file(path, data.getvalue())])
    with pytest.raises(RejectedContent, match="no model"):
        detect([model_file("a.npy", plain.getvalue())])


def test_a_zip_bomb_is_refused() -> None:
    bomb = zipped({**PT2, "m/data/weights/weight_0": b"\x00" * 50_000_000}, zipfile.ZIP_DEFLATED)
    with pytest.raises(RejectedContent, match="zip bomb"):
        detect([model_file("model.pt2", bomb)])


def test_a_huge_directory_is_refused_without_reading_it() -> None:
    crowded = zipped({f"m/{index:050d}": b"" for index in range(50_000)})
    with pytest.raises(RejectedContent, match="directory"):
        detect([model_file("model.pt2", crowded)])


def test_little_is_read_of_a_large_model() -> None:
    data = zipped({**PT2, "m/data/weights/weight_0": random.Random(0).randbytes(20_000_000)})
    read = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            got = super().read(size)
            read.append(len(got))
            return got

    assert detect([ModelFile("m.pt2", len(data), lambda: Counting(data))]).name == "pt2"
    assert sum(read) < 200_000


def test_a_store_that_does_not_answer_is_no_fault_of_the_bytes() -> None:
    def fail() -> io.BytesIO:
        raise UnavailableStorage("no answer")

    with pytest.raises(UnavailableStorage):
        detect([ModelFile("model.pt2", 10, fail)])


def found_or_refused(path: str, data: bytes) -> None:
    with suppress(RejectedContent):
        assert isinstance(detect([model_file(path, data)]), Format)


BEGINNINGS = [
    b"",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x80\x04\x95",
    b"\x80\x02",
    b"\x93NUMPY\x01\x00",
    b"\x08\x0a\x3a",
    b'{"learner":{',
]


@settings(deadline=None)
@given(beginning=st.sampled_from(BEGINNINGS), rest=st.binary(max_size=300), path=st.text(min_size=1, max_size=40))
def test_any_bytes_are_a_model_or_refused(beginning: bytes, rest: bytes, path: str) -> None:
    found_or_refused(path, beginning + rest)


WHOLE = [data for _, data in MODELS] + [zipped(STATE_DICT), zipped(PT2, zipfile.ZIP_DEFLATED)]


@settings(max_examples=400, deadline=None)
@given(
    data=st.sampled_from(WHOLE),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    end=st.floats(0, 1),
)
def test_damaged_models_are_a_model_or_refused(data: bytes, changes: list[tuple[float, int]], end: float) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * (len(damaged) - 1))] = value
    found_or_refused("saved_model.pb", bytes(damaged))
    found_or_refused("model", bytes(damaged[: int(end * len(damaged))]))


@settings(deadline=None)
@given(names=st.lists(st.text(max_size=60), max_size=8, unique=True), content=st.binary(max_size=50))
def test_absurd_names_in_an_archive_are_a_model_or_refused(names: list[str], content: bytes) -> None:
    # A zip writer cuts names at the first NUL.
    cut = {name.split("\x00")[0].encode(errors="ignore").decode() for name in names}
    usable = {name: content for name in cut if name}
    found_or_refused("model", zipped(usable))
    found_or_refused("model", zipped({**usable, "schema.json": json.dumps({"a": names}).encode()}))
