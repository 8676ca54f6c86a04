"""What an ONNX model is fed while it is measured: told by its graph.

Sizes that it leaves open are tried small first, since some models take no small images. Whole numbers that choose rows
of a table stay within it. Where trees are given the model's own input, their splits are tried from both sides.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.inputs import TAKEN, Case, Input, Signature, draw
from functions._translators.onnx_archive import nodes
from functions._translators.probes import probes, threshold_columns
from functions._translators.splits import Tree

_BATCH = (1, 2, 5)
_SIDES = ((1, 4, 7), (8, 9, 16), (32, 33, 48), (64, 80, 96), (128, 160, 192), (224, 256, 288))


def signature_of(model: Any, takes: Callable[[Case], bool]) -> Signature:
    """The inputs of a model, at sizes that it takes.

    Args:
        model: without its weights.
        takes: whether the model answers a case.

    Raises:
        RejectedContent: an input that cannot be drawn.
    """
    inputs = tuple(_inputs(model))
    symbols = dict.fromkeys(side for known in inputs for side in known.shape if isinstance(side, str))
    first = {known.shape[0] for known in inputs if known.shape and isinstance(known.shape[0], str)}
    found = Signature(inputs, {})
    for sides in _SIDES:
        found = Signature(inputs, {name: _BATCH if name in first else sides for name in symbols})
        if len(first) == len(symbols) or any(map(takes, draw(found, 0, few=True))):
            break
    return found


def _inputs(model: Any) -> Iterator[Input]:
    weights, rows = {tensor.name for tensor in model.graph.initializer}, _rows_of_tables(model)
    given = [value for value in model.graph.input if value.name not in weights]
    if not given:
        raise RejectedContent("it takes no input, so there is nothing to measure")
    tables = table_trees(model)
    for number, value in enumerate(given):
        dtype, shape = _dtype(value), tuple(_sides(value, number))
        if trees := tables.get(value.name, []):
            width = shape[-1] if shape and isinstance(shape[-1], int) else 0
            columns = threshold_columns(trees, width, missing=True) if width else ()
            yield Input(value.name, dtype, shape, columns=columns)
        else:
            low, high = _bounds(dtype, rows.get(value.name))
            yield Input(value.name, dtype, shape, low, high)


def _dtype(value: Any) -> str:
    import onnx

    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise RejectedContent(f"its input {value.name[:60]!r} is a {kind}, not a tensor: export it with tensors")
    code = value.type.tensor_type.elem_type
    name = "" if code == onnx.TensorProto.STRING else onnx.helper.tensor_dtype_to_np_dtype(code).name
    if name not in TAKEN:
        shown = onnx.TensorProto.DataType.Name(code).lower()
        raise RejectedContent(f"its input {value.name[:60]!r} is of {shown}; measured are {', '.join(TAKEN)}")
    return str(name)


def _sides(value: Any, number: int) -> Iterator[int | str]:
    """Sizes; those that are open get a name that is one to Python, and the same where the model says the same."""
    for place, side in enumerate(value.type.tensor_type.shape.dim):
        if side.HasField("dim_value"):
            if side.dim_value <= 0:
                yield "batch" if place == 0 else f"open_{number}_{place}"
            else:
                yield int(side.dim_value)
        elif side.dim_param:
            yield side.dim_param if side.dim_param.isidentifier() else f"named_{side.dim_param.encode().hex()}"
        else:
            yield "batch" if place == 0 else f"open_{number}_{place}"


def _bounds(dtype: str, rows: int | None) -> tuple[int, int]:
    if rows is not None:
        return 0, rows - 1
    return (int(numpy.iinfo(dtype).min), int(numpy.iinfo(dtype).max)) if dtype in ("uint8", "int8") else (0, 1)


def _rows_of_tables(model: Any) -> Mapping[str, int]:
    """For inputs of whole numbers that look rows up, the number of rows of the smallest table that they reach."""
    sizes = {tensor.name: int(tensor.dims[0]) for tensor in model.graph.initializer if tensor.dims}
    makers = {output: node for node in model.graph.node for output in node.output}
    found: dict[str, int] = {}
    for node in model.graph.node:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if node.op_type == "Gather" and axis == 0 and node.input[0] in sizes:
            for name in _ancestors(node.input[1], makers):
                found[name] = min(sizes[node.input[0]], found.get(name, 2**31))
    return found


def _ancestors(name: str, makers: Mapping[str, Any]) -> set[str]:
    seen, waiting = {name}, [name]
    while waiting:
        node = makers.get(waiting.pop())
        for before in node.input if node is not None else ():
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return seen


# ---- trees ----


def split_cases(model: Any, signature: Signature, generator: numpy.random.Generator) -> tuple[Case, ...]:
    """A case that tries the splits of trees, where the model's one input is a table for some."""
    if len(signature.inputs) != 1 or not signature.inputs[0].columns:
        return ()
    known = signature.inputs[0]
    rows = probes(table_trees(model)[known.name], known.columns, generator).astype(known.dtype)
    return (Case("both sides of its splits", (rows,)),) if isinstance(known.shape[0], str) and len(rows) else ()


def table_trees(model: Any) -> Mapping[str, list[Tree]]:
    """The trees that are given an input of the model as it is, by its name."""
    found: dict[str, list[Tree]] = defaultdict(list)
    inputs = {value.name for value in model.graph.input}
    for node in nodes(model):
        if node.op_type in ("TreeEnsembleClassifier", "TreeEnsembleRegressor") and node.input[0] in inputs:
            found[node.input[0]] += _trees(node)
    return found


def _trees(node: Any) -> Iterator[Tree]:
    lists = {attribute.name: attribute.strings or attribute.floats or attribute.ints for attribute in node.attribute}
    ids, own, feature, true, false = (
        numpy.array(lists.get(f"nodes_{name}", ()), dtype="int64")
        for name in ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    )
    thresholds = numpy.array(lists.get("nodes_values", ()), dtype="float64")
    missing = numpy.array(lists.get("nodes_missing_value_tracks_true") or [0] * len(ids), dtype=bool)
    modes = numpy.array(lists.get("nodes_modes", ()))
    says = _said(lists)
    for tree in numpy.unique(ids):
        at = numpy.flatnonzero(ids == tree)
        places = {int(number): place for place, number in enumerate(own[at])}
        split, kinds = modes[at] != b"LEAF", set(modes[at].tolist())
        if not kinds <= {b"LEAF", b"BRANCH_LEQ"} and not kinds <= {b"LEAF", b"BRANCH_LT"}:
            continue
        left, right = (
            numpy.array(
                [places.get(int(each), 0) if inner else -1 for each, inner in zip(side[at], split, strict=True)]
            )
            for side in (true, false)
        )
        values = numpy.array([[says.get((int(tree), int(number)), 0.0)] for number in own[at]])
        found = Tree(feature[at], thresholds[at], left, right, missing[at], values, b"BRANCH_LT" in kinds)
        if found.is_sound(int(feature.max(initial=0)) + 1):
            yield found


def _said(lists: Mapping[str, Sequence[Any]]) -> Mapping[tuple[int, int], float]:
    """A number for each leaf that differs where what it says differs."""
    found: dict[tuple[int, int], float] = defaultdict(float)
    for kind in ("target", "class"):
        parts = [lists.get(f"{kind}_{name}", ()) for name in ("treeids", "nodeids", "ids", "weights")]
        for tree, node, sum_, weight in zip(*parts, strict=False):
            found[int(tree), int(node)] += float(weight) * (1 + 0.618 * int(sum_))
    return found
