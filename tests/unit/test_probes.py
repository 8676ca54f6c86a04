"""Trees as arrays, and the rows that try their splits: each reached, each told two things."""

import numpy
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from functions._translators.columns import Column, columns_like, draw_table
from functions._translators.ensemble import DOMAIN, OPERATOR, VERSION, attributes
from functions._translators.inputs import Array, Input, Signature, draw
from functions._translators.probes import probes, threshold_columns
from functions._translators.splits import Tree, not_above, not_below

FEATURES = 4
COLUMNS = (Column(), Column((5.0,), 2.0), Column((0.0, 1.0, 2.0, 3.0), 0.0), Column((-100.0,), 30.0))


def grown(seed: int, splits: int, strict: bool = False) -> Tree:
    """A random tree; its third column holds categories."""
    generator = numpy.random.default_rng(seed)
    size = 2 * splits + 1
    feature, threshold = numpy.zeros(size, int), numpy.zeros(size)
    left, right = numpy.full(size, -1), numpy.full(size, -1)
    categories, open_, used = {}, [0], 1
    for _ in range(splits):
        node = open_.pop(int(generator.integers(len(open_))))
        feature[node] = generator.integers(FEATURES)
        column = COLUMNS[feature[node]]
        threshold[node] = column.points[0] + column.spread * generator.normal()
        if not column.spread:
            categories[node] = tuple(map(int, generator.choice(4, generator.integers(1, 4), replace=False)))
        left[node], right[node] = used, used + 1
        open_ += [used, used + 1]
        used += 2
    missing = generator.random(size) < 0.5
    return Tree(feature, threshold, left, right, missing, generator.normal(size=(size, 2)), strict, categories)


@given(threshold=st.floats(-1e30, 1e30), number=st.floats(-(2.0**100), 2.0**100, width=32))
def test_no_float32_is_on_another_side_of_a_rounded_threshold(threshold: float, number: float) -> None:
    known = numpy.array([threshold])
    for near in (number, float(numpy.float32(threshold))):
        assert (near <= threshold) == (near <= float(not_above(known)[0]))
        assert (near < threshold) == (near < float(not_below(known)[0]))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), splits=st.integers(1, 25), strict=st.booleans(), gap=st.sampled_from([0.0, 1e-3]))
def test_pairs_part_at_their_split_and_are_told_two_things(seed: int, splits: int, strict: bool, gap: float) -> None:
    tree = grown(seed, splits, strict)
    rows = probes([tree], COLUMNS, numpy.random.default_rng(seed), gap)
    assert rows.shape == (2 * splits, FEATURES)
    told = tree.values[tree.leaves(rows)]
    apart = (told[::2] != told[1::2]).any(axis=1)
    # A split that no row reaches, since the path to it contradicts itself, tells nothing.
    reached = [node for node in tree.splits if _can_be_reached(tree, int(node))]
    assert apart.sum() >= len(reached)


def _can_be_reached(tree: Tree, node: int) -> bool:
    low, high = numpy.full(FEATURES, -numpy.inf), numpy.full(FEATURES, numpy.inf)
    allowed, child = {0, 1, 2, 3, 4}, node
    while (above := int(tree.parents[child])) >= 0:
        feature, goes_left = tree.feature[above], tree.left[above] == child
        if above in tree.categories:
            members = set(tree.categories[above])
            allowed = allowed & members if goes_left else allowed - members
        elif goes_left:
            high[feature] = min(high[feature], tree.threshold[above])
        else:
            low[feature] = max(low[feature], tree.threshold[above])
        child = above
    own = tree.threshold[node]
    room = (high - low).min() > 0.05 and low[tree.feature[node]] + 0.01 < own < high[tree.feature[node]] - 0.01
    if node in tree.categories:
        members = set(tree.categories[node])
        room = (high - low).min() > 0.05 and bool(allowed & members) and bool(allowed - members)
    return bool(room and allowed)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), splits=st.integers(1, 15), strict=st.booleans())
def test_onnx_runtime_goes_the_same_ways(seed: int, splits: int, strict: bool) -> None:
    """Thresholds at their edge, categories, and missing numbers."""
    trees = [grown(seed, splits, strict), grown(seed + 1, splits, strict)]
    generator = numpy.random.default_rng(seed)
    rows = numpy.concatenate([probes(trees, COLUMNS, generator), draw_table(generator, COLUMNS, 40, "even")])
    rows = rows.astype("float32")
    rows[::5, generator.integers(FEATURES)] = numpy.nan
    wanted = sum(tree.values[tree.leaves(rows)] for tree in trees)
    assert numpy.allclose(summed(trees, rows), wanted, rtol=1e-5, atol=1e-6)


def summed(trees: list[Tree], rows: Array) -> Array:
    node = helper.make_node(OPERATOR, ["x"], ["y"], domain=DOMAIN, **attributes(trees, [(0, 1)] * len(trees)))
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return numpy.asarray(session.run(None, {"x": rows})[0])


@pytest.mark.parametrize("gap", [0.0, 1e-3])
@pytest.mark.parametrize("threshold", [numpy.inf, 1e300])
def test_a_split_that_only_missing_numbers_pass_is_tried_by_one(threshold: float, gap: float) -> None:
    """Beside it are splits above, which sends missing numbers the same way, and below, which looks elsewhere."""
    feature, limits = numpy.array([1, 1, 0, 3, 0, 0, 0]), numpy.array([5.0, threshold, 0, -90.0, 0, 0, 0])
    left, right = numpy.array([1, 4, -1, 5, -1, -1, -1]), numpy.array([2, 3, -1, 6, -1, -1, -1])
    missing, values = numpy.array([True, *[False] * 6]), numpy.arange(14).reshape(7, 2)
    tree = Tree(feature, limits, left, right, missing, values)
    for columns in (COLUMNS, threshold_columns([tree], FEATURES)):
        rows = probes([tree], columns, numpy.random.default_rng(0), gap)
        assert not numpy.isinf(rows).any()
        assert set(tree.leaves(rows)) == {2, 4, 5, 6}
        assert all(numpy.isfinite([column.spread, *column.points]).all() for column in columns)


def test_what_is_no_tree_is_told() -> None:
    tree = grown(1, 6)
    assert tree.is_sound(FEATURES)
    assert not tree.is_sound(FEATURES - 3)
    for child in (-5, 0, len(tree.left), 10**9, int(tree.right[0])):
        left = tree.left.copy()
        left[0] = child
        broken = Tree(tree.feature, tree.threshold, left, tree.right, tree.missing_left, tree.values)
        assert not broken.is_sound(FEATURES)


def balanced(seed: int, depth: int) -> Tree:
    """A tree in which every split can be reached, as those of real trees can."""
    generator, size = numpy.random.default_rng(seed), 2 ** (depth + 1) - 1
    low, high = numpy.full((size, FEATURES), -100.0), numpy.full((size, FEATURES), 100.0)
    feature, threshold = generator.integers(FEATURES, size=size), numpy.zeros(size)
    left, right = numpy.full(size, -1), numpy.full(size, -1)
    for node in range(size // 2):
        left[node], right[node] = 2 * node + 1, 2 * node + 2
        threshold[node] = generator.uniform(low[node, feature[node]], high[node, feature[node]])
        for child in (left[node], right[node]):
            low[child], high[child] = low[node], high[node]
        high[left[node], feature[node]] = low[right[node], feature[node]] = threshold[node]
    return Tree(feature, threshold, left, right, generator.random(size) < 0.5, generator.normal(size=(size, 1)))


def test_of_very_many_splits_the_seed_chooses() -> None:
    trees = [balanced(seed, 10) for seed in range(20)]
    one, same, other = (probes(trees, COLUMNS, numpy.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(one) == 2 * 16384
    assert numpy.array_equal(one, same)
    assert not numpy.array_equal(one, other)


# ---- columns ----


def test_columns_are_told_by_rows() -> None:
    rows = numpy.array([[1.0, 20.5, 0.0], [0.0, 10.25, -1.5], [1.0, numpy.nan, numpy.nan], [0.0, 15.5, 2.5]])
    flags, sizes, around = columns_like(rows)
    assert flags == Column((0.0, 1.0), 0.0, positive=True)
    assert (sizes.missing, sizes.positive, flags.missing) == (True, True, False)
    assert sizes.points[0] == pytest.approx(15.41, abs=0.01)
    assert not around.positive


def test_a_table_is_drawn_column_by_column() -> None:
    columns = (
        Column((0.0, 7.0), 0.0),
        Column((1000.0,), 1.0, missing=True),
        Column((0.0,), 1.0, positive=True),
        Column(spread=1.0, guessed=True),
    )
    signature = Signature((Input("X", "float32", ("batch", 4), columns=columns),), {"batch": (1, 2, 500)})
    normal, even = (case.arrays[0] for case in draw(signature, 0)[-2:])
    for table in (normal, even):
        assert (table.shape, table.dtype.name) == ((500, 4), "float32")
        assert set(table[:, 0]) == {0.0, 7.0}
        assert 990 < numpy.nanmean(table[:, 1]) < 1010
        assert table[:, 2].min() >= 0
        assert numpy.abs(table[:, 3]).max() > 20
    assert not numpy.isnan(normal).any()
    assert 20 < numpy.isnan(even[:, 1]).sum() < 120
    assert not numpy.isnan(even[:, [0, 2, 3]]).any()
