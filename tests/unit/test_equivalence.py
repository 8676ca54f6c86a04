"""The measuring of translations: what is wrong is found, what is rounding is not."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from functions._domain.errors import RejectedContent
from functions._translators.differences import TOLERANCES, compare, verdict
from functions._translators.equivalence import measure
from functions._translators.inputs import Array, Case, Input, Samples, Signature, draw, evaluate, read_samples, sizes

FEATURES, HIDDEN, CLASSES = 6, 8, 4
GENERATOR = numpy.random.default_rng(3)
WEIGHTS = {
    "first": GENERATOR.standard_normal((FEATURES, HIDDEN)).astype("float32"),
    "second": GENERATOR.standard_normal((HIDDEN, CLASSES)).astype("float32"),
}
SIGNATURE = Signature((Input("x", "float32", ("batch", FEATURES)),), {"batch": (1, 2, 5)})


def source(inputs: Sequence[Array]) -> list[Array]:
    return [numpy.maximum(inputs[0] @ WEIGHTS["first"], 0) @ WEIGHTS["second"]]


def written(
    path: Path, batch: str | int = "batch", outputs: int = 1, change: Callable[..., None] | None = None
) -> Path:
    """The same network in ONNX, changed where a test asks for it."""
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["scores"]),
    ]
    named = ["scores", "b"][:outputs]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, FEATURES])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, None]) for name in named],
        [numpy_helper.from_array(array, name) for name, array in WEIGHTS.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if change:
        change(model)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def measured(path: Path, samples: Samples | None = None, run: Callable[..., list[Array]] = source) -> dict[str, object]:
    return measure(path, run, draw(SIGNATURE, 5), samples)


# ---- whole models ----


def test_a_faithful_translation_is_within_tolerance(model: Path) -> None:
    report = measured(written(model))
    assert report["verdict"] in ("equal", "within-tolerance")
    assert report["cases"] == 6
    assert report["top1_agreement"] == 1.0
    assert report["metric"] is report["tie_break"] is None
    assert report["figures"]["scores"]["cases"] == 12  # type: ignore[index]
    json.dumps(report, allow_nan=False)


def test_each_provider_has_figures_of_its_own(model: Path) -> None:
    report = measured(written(model))
    assert report["providers"] == ["CPUExecutionProvider"]
    own = report["by_provider"]["CPUExecutionProvider"]  # type: ignore[index]
    assert (own["verdict"], own["figures"]) == (report["verdict"], report["figures"])


def test_an_accelerator_that_is_not_there_is_refused_politely(model: Path) -> None:
    with pytest.raises(RejectedContent, match="finds none here; ask for it with --accelerator none"):
        measure(written(model), source, draw(SIGNATURE, 5), None, "nvidia")


@settings(max_examples=25, deadline=None)
@given(layer=st.sampled_from(sorted(WEIGHTS)), place=st.integers(0, HIDDEN * CLASSES - 1), by=st.floats(1.02, 3))
def test_one_altered_weight_is_found(
    tmp_path_factory: pytest.TempPathFactory, layer: str, place: int, by: float
) -> None:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(each for each in model.graph.initializer if each.name == layer)
        values = numpy_helper.to_array(tensor).copy()
        values.flat[place] *= numpy.float32(by)
        tensor.CopyFrom(numpy_helper.from_array(values, layer))

    report = measured(written(tmp_path_factory.mktemp("altered") / "model.onnx", change=change))
    assert report["verdict"] == "not-equal"
    assert report["tie_break"]["sides_with"] == "ONNX Runtime"  # type: ignore[index]


@pytest.mark.parametrize("operator", ["Identity", "LeakyRelu", "Sigmoid", "Abs", "Elu"])
def test_one_altered_operator_is_found(model: Path, operator: str) -> None:
    def change(changed: onnx.ModelProto) -> None:
        changed.graph.node[1].op_type = operator

    report = measured(written(model, change=change))
    assert report["verdict"] == "not-equal"
    assert report["figures"]["scores"]["max_abs"] > 0  # type: ignore[index]


def test_a_frozen_batch_size_is_found(model: Path) -> None:
    report = measured(written(model, batch=2))
    assert report["verdict"] == "not-equal"
    assert "ONNX Runtime failed" in report["figures"]["scores"]["problem"]  # type: ignore[index]


def test_a_missing_output_and_one_too_many_are_not_equal(model: Path) -> None:
    report = measured(written(model), run=lambda inputs: [*source(inputs), inputs[0]])
    assert report["verdict"] == "not-equal"
    assert "missing" in report["figures"]["output_1"]["problem"]  # type: ignore[index]
    assert measured(written(model, outputs=2))["verdict"] == "not-equal"


def test_labelled_samples_give_accuracy_before_and_after(model: Path) -> None:
    rows = GENERATOR.standard_normal((100, FEATURES)).astype("float32")
    labels = source([rows])[0].argmax(1)
    labels[:10] = (labels[:10] + 1) % CLASSES
    report = measured(written(model), Samples((rows,), labels))
    assert report["metric"] == {"name": "accuracy", "rows": 100, "source": 0.9, "onnx": 0.9}
    assert report["samples"] == 100


def test_real_valued_labels_give_an_rmse_and_no_top1(model: Path) -> None:
    rows = GENERATOR.standard_normal((10, FEATURES)).astype("float32")
    report = measured(written(model), Samples((rows,), source([rows])[0] + 2.0))
    assert report["metric"]["name"] == "rmse"  # type: ignore[index]
    assert report["metric"]["onnx"] == pytest.approx(2.0, abs=1e-4)  # type: ignore[index]
    assert report["top1_agreement"] is None


def test_sizes_that_the_source_refuses_are_left_out_and_told(model: Path) -> None:
    def picky(inputs: Sequence[Array]) -> list[Array]:
        if len(inputs[0]) == 1:
            raise ValueError("too few rows")
        return source(inputs)

    report = measured(written(model), run=picky)
    assert report["verdict"] == "within-tolerance" or report["verdict"] == "equal"
    assert [each["reason"] for each in report["skipped"]] == ["ValueError: too few rows"] * 2  # type: ignore[attr-defined]


def test_a_source_that_takes_nothing_is_refused(model: Path) -> None:
    def broken(inputs: Sequence[Array]) -> list[Array]:
        raise ValueError("never")

    with pytest.raises(RejectedContent, match="never"):
        measured(written(model), run=broken)


def test_rows_without_a_number_in_the_source_say_nothing_where_others_do(model: Path) -> None:
    def partly(inputs: Sequence[Array]) -> list[Array]:
        found = source(inputs)[0]
        if len(found) > 2:
            found[0] = numpy.nan
        return [found]

    report = measured(written(model), run=partly)
    assert report["verdict"] in ("equal", "within-tolerance")
    assert report["undefined"] == ["normal, batch=5", "even, batch=5"]
    never = measured(written(model), run=lambda inputs: [source(inputs)[0] * numpy.float32("nan")])
    assert never["verdict"] == "not-equal"


# ---- comparing arrays ----

DTYPES = {"float16": 1e3, "float32": 1e6, "float64": 1e9}


@st.composite
def outputs(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from(sorted(DTYPES)))
    bound = DTYPES[dtype]
    sides = draw(arrays.array_shapes(max_dims=3, max_side=6))
    values = draw(arrays.arrays("float64", sides, elements=st.floats(-bound, bound)))
    return values.astype(dtype)


def scale_of(values: Array) -> float:
    found = numpy.abs(values.astype("float64"))
    if not found.any():
        return 1e-3
    return max(
        float(numpy.median(found[found > 0])), 1e-3 * float(found.max()), 16 * float(numpy.finfo(values.dtype).tiny)
    )


@given(expected=outputs(), data=st.data())
def test_an_error_above_tolerance_is_found_and_one_below_is_not(expected: Array, data: st.DataObject) -> None:
    tolerance = TOLERANCES[expected.dtype.name]
    place = data.draw(st.integers(0, expected.size - 1))
    value = float(expected.flat[place])
    allowed = tolerance["relative"] * abs(value) + tolerance["absolute"] * scale_of(expected)
    for factor, within in ((0.4, True), (2.5, False)):
        changed = expected.copy()
        changed.flat[place] = value + factor * allowed
        # What the dtype rounds away was never injected.
        injected = abs(float(changed.flat[place]) - value)
        if within or injected > allowed:
            assert compare(expected, changed).within is (injected <= allowed)


@given(expected=outputs())
def test_the_same_numbers_are_equal(expected: Array) -> None:
    assert verdict([compare(expected, expected.copy())]) == "equal"


@given(expected=outputs(), special=st.sampled_from([numpy.nan, numpy.inf, -numpy.inf]), data=st.data())
def test_nan_and_infinity_must_be_in_the_same_places(expected: Array, special: float, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, expected.size - 1))
    with_special = expected.copy()
    with_special.flat[place] = special
    assert compare(with_special, with_special.copy()).equal
    for one, other in ((expected, with_special), (with_special, expected)):
        assert not compare(one, other).within
    if numpy.isinf(special):
        assert not compare(with_special, numpy.where(numpy.isinf(with_special), -with_special, with_special)).within


def test_a_float32_model_that_answers_in_float64_is_judged_as_float32() -> None:
    expected, actual = numpy.array([1.0]), numpy.array([1.0 + 1e-6])
    assert compare(expected, actual, "float32").within
    assert not compare(expected, actual).within
    assert compare(expected.astype("float16"), expected.astype("float16") + numpy.float16(0.002), "float32").within


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e6])
def test_an_error_is_found_whatever_the_size_of_all_outputs(size: float) -> None:
    expected = (size * GENERATOR.uniform(0.5, 1, (4, 5))).astype("float32")
    changed = expected.copy()
    changed[1, 2] *= numpy.float32(1.001)
    assert not compare(expected, changed).within
    assert compare(expected, (expected * numpy.float32(1 + 1e-6))).within


def test_the_least_of_many_probabilities_are_no_measure_of_the_others() -> None:
    expected = numpy.array([[1.0, *[1e-20] * 20]], dtype="float32")
    changed = expected.copy()
    changed[0, 5] = 1e-9
    assert compare(expected, changed).within
    changed[0, 5] = 1e-6
    assert not compare(expected, changed).within


def test_small_numbers_in_one_case_are_judged_beside_those_of_others(model: Path) -> None:
    """One number next to zero is what large ones left when they cancelled each other."""
    small, rounded = numpy.array([1e-6], "float32"), numpy.array([1.0004e-6], "float32")
    assert not compare(small, rounded).within
    assert compare(small, rounded, largest_of_all=1.0).within


def test_masked_numbers_are_no_measure_of_the_others() -> None:
    lowest = numpy.finfo("float32").min
    expected = numpy.float32([lowest, lowest, lowest, 1.0])
    assert not compare(expected, numpy.float32([lowest, lowest, lowest, 1.1])).within


@pytest.mark.parametrize(
    "changed", [numpy.zeros((2, 3), "float64"), numpy.zeros((3, 2), "float32")], ids=["dtype", "shape"]
)
def test_another_dtype_or_shape_is_not_equal(changed: Array) -> None:
    found = compare(numpy.zeros((2, 3), "float32"), changed)
    assert not found.within
    assert "was expected" in str(found.problem)


def test_whole_numbers_and_truth_values_are_exact() -> None:
    assert compare(numpy.array([1, 2]), numpy.array([1, 2])).equal
    assert compare(numpy.array([1, 2]), numpy.array([1, 3])).problem == "1 of 2 whole numbers differ"
    assert not compare(numpy.array([True]), numpy.array([False])).within


def test_nothing_compared_is_not_equal() -> None:
    assert verdict([]) == "not-equal"


# ---- inputs ----


def test_the_same_seed_draws_the_same_inputs_and_another_draws_others() -> None:
    one, same, other = draw(SIGNATURE, 1), draw(SIGNATURE, 1), draw(SIGNATURE, 2)
    assert all(numpy.array_equal(a.arrays[0], b.arrays[0]) for a, b in zip(one, same, strict=True))
    assert not any(numpy.array_equal(a.arrays[0], b.arrays[0]) for a, b in zip(one, other, strict=True))


def test_inputs_fit_the_signature_at_three_sizes() -> None:
    signature = Signature(
        (
            Input("tokens", "int32", ("batch", "length"), low=0, high=9),
            Input("image", "float16", ("batch", 3, "2*side + 1"), centre=100.0, spread=2.0),
            Input("mask", "bool", ("length",)),
            Input("small", "uint8", (400,), low=0, high=10_000),
        ),
        {"batch": (1, 2, 5), "length": (1, 4, 7), "side": (1, 2, 3)},
    )
    cases = draw(signature, 0)
    assert {case.arrays[0].shape for case in cases} == {(1, 4), (2, 7), (5, 1)}
    for case in cases:
        tokens, image, mask, small = case.arrays
        assert [array.dtype.name for array in case.arrays] == ["int32", "float16", "bool", "uint8"]
        assert tokens.min() >= 0
        assert tokens.max() <= 9
        assert image.shape[2] % 2 == 1
        assert 80 < image.mean() < 120
        assert mask.shape == (tokens.shape[1],)
        assert small.max() > 10


@settings(max_examples=25, deadline=None)
@given(vocabulary=st.integers(3, 300), seed=st.integers(0, 9))
def test_every_token_of_a_small_vocabulary_is_in_some_case(vocabulary: int, seed: int) -> None:
    tokens = Input("tokens", "int32", ("batch", "length"), low=0, high=vocabulary - 1)
    signature = Signature((tokens,), {"batch": (1, 2, 3), "length": (1, 5, 6)})
    drawn = [case.arrays[0] for case in draw(signature, seed)]
    assert {int(token) for array in drawn for token in array.reshape(-1)} == set(range(vocabulary))
    assert {array.shape for array in drawn} == {(1, 5), (2, 6), (3, 1), *([(3, 6)] if len(drawn) > 6 else [])}


def test_a_large_vocabulary_or_model_does_not_make_cases_without_end() -> None:
    tokens = Input("tokens", "int64", ("batch", 4), low=0, high=2**40)
    words = Input("tokens", "int64", ("batch", 4), low=0, high=99_999)
    assert len(draw(Signature((tokens,), {"batch": (1, 2, 3)}), 0)) == 6
    assert len(draw(Signature((words,), {"batch": (1, 2, 3)}), 0)) == 64
    assert len(draw(Signature((words,), {"batch": (1, 2, 3)}), 0, few=True)) == 3


def test_one_altered_row_of_a_table_is_found(model: Path) -> None:
    table = GENERATOR.standard_normal((200, 4)).astype("float32")
    changed = table.copy()
    changed[137] *= 1.01
    node = helper.make_node("Gather", ["table", "tokens"], ["rows"])
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch"])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph([node], "net", [tokens], [rows], [numpy_helper.from_array(changed, "table")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(model))
    signature = Signature((Input("tokens", "int64", ("batch",), high=199),), {"batch": (1, 2, 5)})
    for seed in range(5):
        report = measure(model, lambda arrays: [table[arrays[0]]], draw(signature, seed), None)
        assert report["verdict"] == "not-equal"


@pytest.mark.parametrize("dtype", ["bool", "int64"])
def test_a_mask_never_hides_a_whole_row(dtype: str) -> None:
    padding = Input("m", dtype, ("batch", "length")).like(numpy.zeros((2, 5), dtype))
    keeping = Input("m", dtype, ("batch", "length")).like(numpy.ones((2, 5), dtype))
    scopes = {"batch": (1, 2, 50), "length": (1, 4, 50)}
    for known, first in ((padding, 0), (keeping, 1)):
        masks = [case.arrays[0] for case in draw(Signature((known,), scopes), 0)]
        assert all((mask[:, 0] == first).all() for mask in masks)
        assert any((mask != first).any() for mask in masks)


@given(low=st.integers(0, 50), room=st.one_of(st.none(), st.integers(0, 50)), hint=st.integers(0, 60))
def test_sizes_stay_within_what_the_model_declares(low: int, room: int | None, hint: int) -> None:
    high = None if room is None else max(1, low + room)
    found = sizes(low, high, hint)
    assert found[0] == max(1, low)
    assert all(size >= low and (high is None or size <= high) for size in found)


def test_a_size_is_arithmetic_and_nothing_else() -> None:
    assert evaluate("2*(s0 + 1) - s1//2 + -1", {"s0": 3, "s1": 5}) == 5
    for expression in ("__import__('os')", "s0.real", "s9", "'a'*9", "[1][0]", "2**99"):
        with pytest.raises(RejectedContent, match="cannot be drawn"):
            evaluate(expression, {"s0": 3})


def test_an_input_too_large_to_measure_is_refused() -> None:
    with pytest.raises(RejectedContent, match="more numbers than"):
        draw(Signature((Input("x", "float32", (2**20, 2**20)),), {}), 0)


# ---- samples ----


def test_samples_are_read_by_name_from_either_file(tmp_path: Path) -> None:
    inputs = [Input("x", "float32", ("batch", 2))]
    numpy.savez(tmp_path / "samples.npz", x=numpy.ones((3, 2)), labels=numpy.array([0, 1, 2]))
    found = read_samples(tmp_path, inputs)
    assert found is not None
    assert (found.rows, found.arrays[0].dtype.name) == (3, "float32")
    (tmp_path / "samples.npz").unlink()
    (tmp_path / "samples.json").write_text('{"inputs": [[1, 2]], "labels": [0.5]}')
    found = read_samples(tmp_path, inputs)
    assert found is not None
    assert found.labels is not None
    assert found.labels.dtype.kind == "f"
    (tmp_path / "samples.json").unlink()
    assert read_samples(tmp_path, inputs) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[1, 2]", "attribute"),
        ("{broken", "Expecting"),
        ('{"y": [[1, 2]]}', "no array for the inputs"),
        ('{"x": [[1, 2, 3]]}', "the model takes"),
        ('{"x": [["a", "b"]]}', "cast"),
        ('{"x": []}', "the model takes"),
        ('{"x": [[1, 2]], "labels": [1, 2]}', "same number of rows"),
        ('{"x": [[1], [1, 2]]}', "inhomogeneous"),
    ],
)
def test_samples_that_do_not_fit_are_refused_with_the_reason(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "samples.json").write_text(content)
    with pytest.raises(RejectedContent, match=rf"samples\.json cannot be used: .*{reason}.*leave it out"):
        read_samples(tmp_path, [Input("x", "float32", ("batch", 2))])


@given(data=st.binary(max_size=200))
def test_any_bytes_as_samples_are_refused_in_our_words(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("samples")
    (folder / "samples.npz").write_bytes(b"PK\x03\x04" + data)
    with pytest.raises(RejectedContent):
        read_samples(folder, [Input("x", "float32", ("batch", 2))])


def test_a_case_has_a_name_that_tells_its_sizes() -> None:
    assert isinstance(draw(SIGNATURE, 0)[0], Case)
    assert draw(SIGNATURE, 0)[2].name == "normal, batch=2"
