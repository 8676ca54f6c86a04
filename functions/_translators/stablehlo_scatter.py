"""StableHLO's scatter (https://openxla.org/stablehlo/spec#scatter), as ``x.at[…].set`` and ``.add`` write it, in ONNX.

What is put beside the operand is lost in StableHLO and an error in ONNX. So the operand gets one more place at the end
of each dimension that is written to, what would be lost is put there, and the places are taken away again.
"""

from collections.abc import Mapping, Sequence

from functions._domain.errors import RejectedContent
from functions._translators.stablehlo_elementwise import Handler
from functions._translators.stablehlo_gather import index_vectors
from functions._translators.stablehlo_graph import Graph, Tensor
from functions._translators.stablehlo_program import Block, Operation
from functions._translators.stablehlo_shapes import padded, sliced, updated

_COMBINED = {"add": "add", "multiply": "mul", "maximum": "max", "minimum": "min"}


def _scatter(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    if len(operands) != 3:
        raise RejectedContent(
            "it writes into several arrays at once, which ONNX cannot: write into one after the other"
        )
    operand, indices, updates = operands
    roles, combined = operation.attributes["scatter_dimension_numbers"], _combined(operation.regions[0])
    axes, inserted = roles["scattered_dims_to_operand_dims"], roles["inserted_window_dims"]
    vectors = index_vectors(graph, indices, roles["index_vector_dim"])
    if combined == "none" and (part := _part(graph, operand, vectors, updates, axes, inserted)):
        return [part]
    others = [axis for axis in range(operand.rank) if axis not in axes]
    windows = [updates.shape[axis] for axis in roles["update_window_dims"]]
    if sorted(axes) != sorted(inserted) or windows != [operand.shape[axis] for axis in others]:
        raise RejectedContent("it writes parts of rows at places that depend on its input, which ONNX cannot")
    order = [*axes, *others]
    batch = [axis for axis in range(updates.rank) if axis not in roles["update_window_dims"]]
    wide = _with_room(graph, graph.transposed(operand.name, order), operand, len(axes))
    given = graph.transposed(updates.name, [*batch, *roles["update_window_dims"]])
    written = graph.op("ScatterND", wide, _within(graph, operand, vectors, axes), given, reduction=combined)
    starts, ends = (graph.constant([end] * len(axes), "int64") for end in (0, -1))
    kept = sliced(graph, written, starts, ends, range(len(axes)))
    return [graph.transposed(kept, [order.index(axis) for axis in range(operand.rank)])]


def _combined(body: Block) -> str:
    """ONNX's word for what becomes of two numbers in one place."""
    if body.results == (body.arguments[1],):
        return "none"
    name = body.operations[0].name.removeprefix("stablehlo.")
    if len(body.operations) != 2 or name not in _COMBINED:
        raise RejectedContent(f"it combines numbers by {name!r} where it writes, which ONNX has no word for")
    return _COMBINED[name]


def _part(
    graph: Graph, operand: Tensor, start: Tensor, updates: Tensor, axes: Sequence[int], inserted: Sequence[int]
) -> str | None:
    """One slice that is written at a place known to be in the operand; None for what is not that."""
    places = graph.value(start.name)
    if start.rank != 1 or places is None:
        return None
    sides = iter(updates.shape)
    shape = tuple(1 if axis in inserted else next(sides) for axis in range(operand.rank))
    at = {axis: int(place) for axis, place in zip(axes, places, strict=True)}
    for axis, place in at.items():
        whole, side = operand.shape[axis], shape[axis]
        if whole is None or side is None or not 0 <= place <= whole - side:
            return None
    update = Tensor(graph.unsqueezed(updates.name, inserted), updates.dtype, shape)
    starts = [Tensor(graph.constant(at.get(axis, 0), "int64"), "int64", ()) for axis in range(operand.rank)]
    changed = [axis for axis in range(operand.rank) if operand.shape[axis] != shape[axis]]
    return updated(graph, operand, update, starts, changed)


def _with_room(graph: Graph, name: str, operand: Tensor, count: int) -> str:
    rank = operand.rank
    return padded(
        graph, name, graph.constant(0, operand.dtype), [0] * rank, [int(axis < count) for axis in range(rank)]
    )


def _within(graph: Graph, operand: Tensor, vectors: Tensor, axes: Sequence[int]) -> str:
    """Indices, of which those that are nowhere in the operand lie in the place after its end."""
    ends = graph.joined([graph.side(operand, axis) for axis in axes])
    below = graph.op("Less", vectors.name, graph.constant(0, "int64"))
    return graph.op("Where", graph.op("Or", below, graph.op("Greater", vectors.name, ends)), ends, vectors.name)


HANDLERS: Mapping[str, Handler] = {"scatter": _scatter}
