"""StableHLO's operations that make few numbers of many, and that sort (https://openxla.org/stablehlo/spec), in ONNX.

What is done with two numbers is a small program of its own. Those that ONNX has a word for are recognised.
"""

from collections.abc import Mapping, Sequence

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.inputs import Array
from functions._translators.stablehlo_elementwise import HANDLERS as ELEMENTWISE
from functions._translators.stablehlo_elementwise import Handler
from functions._translators.stablehlo_graph import Graph, Tensor, onnx_type
from functions._translators.stablehlo_program import Block, Operation, Value

_CHOOSING = frozenset(("compare", "or", "and", "select", "return"))
_REDUCED = {
    "add": "ReduceSum", "maximum": "ReduceMax", "minimum": "ReduceMin", "multiply": "ReduceProd",
    "or": "ReduceMax", "and": "ReduceMin",
}  # fmt: skip
_NEUTRAL = {"add": 0.0, "multiply": 1.0, "maximum": -numpy.inf, "minimum": numpy.inf, "or": 0.0, "and": 1.0}


def _word(block: Block) -> str:
    """The one operation that a body consists of. Raises RejectedContent for a longer one."""
    names = [operation.name.removeprefix("stablehlo.") for operation in block.operations[:-1]]
    if len(names) != 1 or names[0] not in _REDUCED or set(block.operations[0].operands) != set(block.arguments):
        raise RejectedContent(
            f"it combines numbers by {', '.join(names)[:100] or 'nothing'}, which ONNX has no word for: use sums, "
            "products, largest and smallest"
        )
    return names[0]


def _reduce(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    body, axes = operation.regions[0], operation.attributes["dimensions"]
    if len(operation.results) == 2:
        return _extreme(graph, operation, operands, axes)
    operand, initial = operands
    word = _word(body)
    # ONNX reduces no truth values.
    number = graph.cast(operand, "int32") if operand.dtype == "bool" else operand.name
    reduced = graph.op(_REDUCED[word], number, graph.constant(axes, "int64"), keepdims=0) if axes else number
    if operand.dtype == "bool":
        reduced = graph.op("Cast", reduced, to=onnx_type("bool"))
    if _is_neutral(graph, initial, word):
        return [reduced]
    return list(ELEMENTWISE[word](graph, operation, [Tensor(reduced, operand.dtype, ()), initial]))


def _is_neutral(graph: Graph, initial: Tensor, word: str) -> bool:
    value = graph.value(initial.name)
    if value is None:
        return False
    if word in ("maximum", "minimum") and value.dtype.kind in "iu":
        bounds = numpy.iinfo(value.dtype)
        return bool(value == (bounds.min if word == "maximum" else bounds.max))
    return bool(value == _NEUTRAL[word])


def _extreme(graph: Graph, operation: Operation, operands: Sequence[Tensor], axes: Sequence[int]) -> list[str]:
    """The largest or smallest number and where it is, as ``argmax`` looks for it: the second operand counts."""
    body, (axis, *more) = operation.regions[0], axes
    first = body.operations[0]
    direction = first.attributes.get("comparison_direction")
    compared = first.operands == (body.arguments[0], body.arguments[2])
    names = {each.name.removeprefix("stablehlo.") for each in body.operations}
    if not compared or direction not in ("GT", "LT") or not names <= _CHOOSING or more or operands[1].counts != axis:
        raise RejectedContent("it reduces two arrays at once in a way that ONNX has no word for: use argmax or argmin")
    arg, value = ("ArgMax", "ReduceMax") if direction == "GT" else ("ArgMin", "ReduceMin")
    place = graph.op(arg, operands[0].name, axis=axis, keepdims=0)
    found = graph.op(value, operands[0].name, graph.constant([axis], "int64"), keepdims=0)
    return [found, graph.op("Cast", place, to=onnx_type(operands[1].dtype))]


def _reduce_window(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    operand, initial = operands
    attributes, rank, word = operation.attributes, operand.rank, _word(operation.regions[0])
    ones = (1,) * rank
    window, strides = attributes["window_dimensions"], attributes.get("window_strides", ones)
    edges = attributes.get("padding", numpy.zeros((rank, 2), int))
    dilations, base = attributes.get("window_dilations", ones), attributes.get("base_dilations", ones)
    if not _is_neutral(graph, initial, word) or set(base) != {1} or word not in ("add", "maximum", "minimum"):
        raise RejectedContent(f"it combines windows of numbers by {word!r} in a way that ONNX has no word for")
    axes = [axis for axis in range(rank) if window[axis] != 1 or strides[axis] != 1 or edges[axis].any()]
    if word == "add" and len(axes) == 1 and _is_running(operand, window, strides, edges, axes[0]):
        backwards = int(edges[axes[0]][1] > 0)
        return [graph.op("CumSum", operand.name, graph.constant(axes[0], "int64"), reverse=backwards)]
    if not axes:
        return [operand.name]
    if word == "add" and any(dilations[axis] != 1 for axis in axes):
        raise RejectedContent("it sums over windows with gaps, which ONNX cannot at every opset: use a convolution")
    # ONNX pools the last dimensions of what has two before them.
    others = [axis for axis in range(rank) if axis not in axes]
    axes, others = sorted([*axes, *others[2:]]), others[:2]
    settings = {
        "kernel_shape": [window[axis] for axis in axes],
        "strides": [strides[axis] for axis in axes],
        "pads": [int(edges[axis][end]) for end in (0, 1) for axis in axes],
        **({} if word == "add" else {"dilations": [dilations[axis] for axis in axes]}),
    }
    return [_pooled(graph, operand, word, [*others, *axes], settings)]


def _is_running(operand: Tensor, window: Sequence[int], strides: Sequence[int], edges: Array, axis: int) -> bool:
    """Whether a window over everything before or after each number makes running sums."""
    size = operand.shape[axis]
    ends = tuple(int(edge) for edge in edges[axis])
    return window[axis] == size and strides[axis] == 1 and ends in ((size - 1, 0), (0, size - 1))


def _pooled(graph: Graph, operand: Tensor, word: str, order: Sequence[int], settings: Mapping[str, list[int]]) -> str:
    missing = list(range(2 - operand.rank + len(settings["kernel_shape"])))
    name = graph.unsqueezed(graph.transposed(operand.name, order), missing)
    if word == "add":
        mean = graph.op("AveragePool", name, count_include_pad=1, **settings)
        count = int(numpy.prod(settings["kernel_shape"]))
        pooled = graph.op("Mul", mean, graph.constant(count, operand.dtype))
    elif word == "maximum":
        pooled = graph.op("MaxPool", name, **settings)
    else:
        pooled = graph.op("Neg", graph.op("MaxPool", graph.op("Neg", name), **settings))
    return graph.transposed(graph.squeezed(pooled, missing), [order.index(axis) for axis in range(operand.rank)])


def _sort(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    """Sorted by the first operand; the others are brought into the same order."""
    axis, first = operation.attributes["dimension"], operands[0]
    axis = axis % first.rank
    values, places = graph.ops(
        "TopK", 2, first.name, graph.side(first, axis), axis=axis, largest=int(_is_descending(operation.regions[0]))
    )
    return [values, *(_in_order(graph, operand, places, axis) for operand in operands[1:])]


def _in_order(graph: Graph, operand: Tensor, places: str, axis: int) -> str:
    if operand.counts == axis:
        return graph.op("Cast", places, to=onnx_type(operand.dtype))
    return graph.op("GatherElements", operand.name, places, axis=axis)


def _is_descending(body: Block) -> bool:
    """Whether a comparator puts larger numbers first. Raises RejectedContent where it compares anything else."""
    made = {result: operation for operation in body.operations for result in operation.results}
    decision = made.get(body.results[0])
    direction = decision.attributes.get("comparison_direction") if decision else None
    sides = [_roots(made, side) & set(body.arguments) for side in decision.operands] if decision else []
    if direction in ("LT", "GT") and sides == [{body.arguments[0]}, {body.arguments[1]}]:
        return bool(direction == "GT")
    raise RejectedContent("it sorts by more than the size of its first numbers, which ONNX cannot")


def _roots(made: Mapping[Value, Operation], value: Value) -> set[Value]:
    """Everything that a value is computed from, itself included."""
    seen, waiting = set[Value](), [value]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting.extend(made[current].operands if current in made else ())
    return seen


def _top_k(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    count = graph.constant([operation.attributes["composite_attributes"]["k"]], "int64")
    values, places = graph.ops("TopK", 2, operands[0].name, count, axis=operands[0].rank - 1)
    return [values, graph.op("Cast", places, to=onnx_type(operation.results[1].dtype))]


HANDLERS: Mapping[str, Handler] = {"reduce": _reduce, "reduce_window": _reduce_window, "sort": _sort}

COMPOSITES: Mapping[str, Handler] = {"chlo.top_k": _top_k}
