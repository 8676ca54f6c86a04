"""StableHLO's operations that move numbers without changing them (https://openxla.org/stablehlo/spec), in ONNX."""

from collections.abc import Mapping, Sequence

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.stablehlo_elementwise import Handler
from functions._translators.stablehlo_graph import Graph, Tensor, onnx_type
from functions._translators.stablehlo_program import Operation, Value

_END = 2**31 - 1
_COUNTED = 4096
"""Numbers up to which counting is a constant."""


def _constant(graph: Graph, operation: Operation, _: Sequence[Tensor]) -> list[str]:
    return [graph.constant(operation.attributes["value"])]


def _size(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    axis = operation.attributes["dimension"]
    side = graph.squeezed(graph.side(operands[0], axis), [0])
    return [graph.op("Cast", side, to=onnx_type(operation.results[0].dtype))]


def wanted(graph: Graph, result: Value, asked: Sequence[Tensor]) -> str:
    """The shape of a result as ONNX wants it: known, or computed by the operand that says it."""
    if None not in result.shape:
        return graph.constant(result.shape, "int64")
    return graph.whole(asked[0].name)


def narrowed(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> str:
    """What a broadcast begins with: all dimensions of the result, those that are new with size 1."""
    places = operation.attributes["broadcast_dimensions"]
    order = sorted(range(len(places)), key=places.__getitem__)
    name = graph.transposed(operands[0].name, order)
    return graph.unsqueezed(name, [axis for axis in range(len(operation.results[0].shape)) if axis not in places])


def _broadcast(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    narrow, result = narrowed(graph, operation, operands), operation.results[0]
    if operands[0].rank == len(result.shape) and operands[0].shape == result.shape and None not in result.shape:
        return [narrow]
    return [graph.op("Expand", narrow, wanted(graph, result, operands[1:]))]


def _reshape(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    result = operation.results[0]
    if None not in result.shape:
        return [graph.reshaped(operands[0].name, [side for side in result.shape if side is not None])]
    return [graph.op("Reshape", operands[0].name, wanted(graph, result, operands[1:]))]


def _transpose(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    return [graph.transposed(operands[0].name, operation.attributes["permutation"])]


def _concatenate(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    return [graph.joined([operand.name for operand in operands], operation.attributes["dimension"])]


def sliced(graph: Graph, name: str, starts: str, ends: str, axes: Sequence[int], steps: str | None = None) -> str:
    """A part of a tensor; starts, ends and steps are int64, one for each of the axes."""
    return graph.op("Slice", name, starts, ends, graph.constant(axes, "int64"), *([steps] if steps else []))


def _slice(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    starts, ends, steps = (
        graph.constant(operation.attributes[key], "int64") for key in ("start_indices", "limit_indices", "strides")
    )
    return [sliced(graph, operands[0].name, starts, ends, range(operands[0].rank), steps)]


def _real_dynamic_slice(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    starts, ends, steps = (graph.whole(operand.name) for operand in operands[1:])
    return [sliced(graph, operands[0].name, starts, ends, range(operands[0].rank), steps)]


def clamped(graph: Graph, start: str, operand: Tensor, size: str, axis: int) -> str:
    """A start as StableHLO takes it: moved so far that as many numbers as are asked for still follow."""
    last = graph.op("Sub", graph.side(operand, axis), size)
    return graph.op("Min", graph.op("Max", start, graph.constant([0], "int64")), last)


def _start(graph: Graph, tensor: Tensor) -> str:
    return graph.reshaped(graph.whole(tensor.name), [1])


def _dynamic_slice(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    operand, sizes = operands[0], operation.attributes["slice_sizes"]
    name = operand.name
    for axis, (size, start) in enumerate(zip(sizes, operands[1:], strict=True)):
        if operand.shape[axis] != size:
            length = graph.constant([size], "int64")
            first = clamped(graph, _start(graph, start), operand, length, axis)
            name = sliced(graph, name, first, graph.op("Add", first, length), [axis])
    return [name]


def _dynamic_update_slice(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    operand, update, *starts = operands
    axes = [axis for axis in range(operand.rank) if operand.shape[axis] != update.shape[axis]]
    return [updated(graph, operand, update, starts, axes)]


def updated(graph: Graph, operand: Tensor, update: Tensor, starts: Sequence[Tensor], axes: Sequence[int]) -> str:
    """What is before the update along the first axis, what it changes there, and what is after it."""
    if not axes:
        return update.name
    axis, *rest = axes
    length = graph.side(update, axis)
    first = clamped(graph, _start(graph, starts[axis]), operand, length, axis)
    last = graph.op("Add", first, length)
    shape = (*operand.shape[:axis], update.shape[axis], *operand.shape[axis + 1 :])
    changed = Tensor(sliced(graph, operand.name, first, last, [axis]), operand.dtype, shape)
    parts = [
        sliced(graph, operand.name, graph.constant([0], "int64"), first, [axis]),
        updated(graph, changed, update, starts, rest),
        sliced(graph, operand.name, last, graph.constant([_END], "int64"), [axis]),
    ]
    return graph.joined(parts, axis)


def _reverse(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    axes = operation.attributes["dimensions"]
    starts, ends, steps = (graph.constant([number] * len(axes), "int64") for number in (-1, -_END, -1))
    return [sliced(graph, operands[0].name, starts, ends, axes, steps) if axes else operands[0].name]


def padded(graph: Graph, name: str, value: str, low: Sequence[int], high: Sequence[int]) -> str:
    """A tensor with more around it, or less where a number is negative."""
    if not any(low) and not any(high):
        return name
    return graph.op("Pad", name, graph.constant([*low, *high], "int64"), value)


def spread(graph: Graph, name: str, value: str, between: Sequence[int]) -> str:
    """A tensor with values put between its numbers: as many in each dimension as asked for."""
    for axis, count in enumerate(between):
        if count:
            rank = len(between)
            apart = graph.unsqueezed(name, [axis + 1])
            high = [count if place == axis + 1 else 0 for place in range(rank + 1)]
            wide = padded(graph, apart, value, [0] * (rank + 1), high)
            merged = graph.op("Reshape", wide, _merged_shape(graph, wide, axis, rank))
            name = sliced(graph, merged, graph.constant([0], "int64"), graph.constant([-count], "int64"), [axis])
    return name


def _merged_shape(graph: Graph, name: str, axis: int, rank: int) -> str:
    """The shape of a tensor of one dimension more, once this one and the next are one."""
    before = [graph.op("Shape", name, start=0, end=axis)] if axis else []
    after = [graph.op("Shape", name, start=axis + 2, end=rank + 1)] if axis + 2 <= rank else []
    return graph.joined([*before, graph.constant([-1], "int64"), *after])


def _pad(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    low, high, between = (
        operation.attributes[key] for key in ("edge_padding_low", "edge_padding_high", "interior_padding")
    )
    operand, value = operands
    return [padded(graph, spread(graph, operand.name, value.name, between), value.name, low, high)]


def _dynamic_pad(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    operand, value, low, high, between = operands
    known = graph.value(between.name)
    if known is None or known.any():
        raise RejectedContent("it pads between numbers by an amount that depends on its input, which ONNX cannot")
    return [graph.op("Pad", operand.name, graph.joined([graph.whole(low.name), graph.whole(high.name)]), value.name)]


def counted(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> str:
    """0, 1, 2, … along one dimension of a result, with size 1 in the others."""
    result, axis = operation.results[0], operation.attributes["iota_dimension"]
    others = [place for place in range(len(result.shape)) if place != axis]
    size = result.shape[axis]
    if size is not None and size <= _COUNTED:
        sides = [size if place == axis else 1 for place in range(len(result.shape))]
        return graph.constant(numpy.arange(size).reshape(sides), result.dtype)
    if size is None:
        length = graph.op("Gather", graph.whole(operands[0].name), graph.constant(axis, "int64"))
    else:
        length = graph.constant(size, "int64")
    numbers = graph.op("Range", graph.constant(0, "int64"), length, graph.constant(1, "int64"))
    return graph.unsqueezed(graph.op("Cast", numbers, to=onnx_type(result.dtype)), others)


def _iota(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    narrow = counted(graph, operation, operands)
    if len(operation.results[0].shape) == 1:
        return [narrow]
    return [graph.op("Expand", narrow, wanted(graph, operation.results[0], operands))]


HANDLERS: Mapping[str, Handler] = {
    "constant": _constant,
    "get_dimension_size": _size,
    "broadcast_in_dim": _broadcast,
    "dynamic_broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "dynamic_reshape": _reshape,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "slice": _slice,
    "real_dynamic_slice": _real_dynamic_slice,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "reverse": _reverse,
    "pad": _pad,
    "dynamic_pad": _dynamic_pad,
    "iota": _iota,
    "dynamic_iota": _iota,
}

NARROW: Mapping[str, Handler] = {
    **dict.fromkeys(("broadcast_in_dim", "dynamic_broadcast_in_dim"), lambda *given: [narrowed(*given)]),
    **dict.fromkeys(("iota", "dynamic_iota"), lambda *given: [counted(*given)]),
}
"""The same before it is broadcast, for those operators of ONNX that broadcast by themselves."""
