"""StableHLO's gather (https://openxla.org/stablehlo/spec#gather): looking up, picking and slicing, in ONNX.

Gather takes a slice of its operand for each index. A single index is a Slice. Where a slice is one place wide in the
dimensions that are looked up and has all of the others, it is a Gather or GatherND. An index is first moved into the
operand, as StableHLO does it: ONNX would count negative ones from the end, and refuse large ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from functions._domain.errors import RejectedContent
from functions._translators.stablehlo_elementwise import Handler
from functions._translators.stablehlo_graph import Graph, Tensor
from functions._translators.stablehlo_program import Operation
from functions._translators.stablehlo_shapes import clamped, sliced


@dataclass(frozen=True)
class _Roles:
    """What the dimensions are for, by the words of the specification.

    Attributes:
        offset: those of the result that are of a slice.
        kept: those of the operand that these are, in the same order.
        batch: those of the operand that go along with dimensions of the indices.
        batch_starts: and with which.
        starts: those of the operand in which indices say the place.
        sizes: how much a slice has of each of the operand's, None for all.
    """

    offset: tuple[int, ...]
    kept: tuple[int, ...]
    batch: tuple[int, ...]
    batch_starts: tuple[int, ...]
    starts: tuple[int, ...]
    sizes: tuple[int | None, ...]


def _roles(operation: Operation, operand: Tensor) -> _Roles:
    known = operation.attributes["dimension_numbers"]
    single = {*known["collapsed_slice_dims"], *known["operand_batching_dims"]}
    kept = tuple(axis for axis in range(operand.rank) if axis not in single)
    # The result tells the sizes also where they are computed.
    sides = operation.results[0].shape
    sizes: list[int | None] = [1] * operand.rank
    for axis, place in zip(kept, known["offset_dims"], strict=True):
        sizes[axis] = None if sides[place] == operand.shape[axis] else sides[place]
    vector = known["index_vector_dim"]
    return _Roles(
        known["offset_dims"],
        kept,
        known["operand_batching_dims"],
        tuple(axis - (axis > vector) for axis in known["start_indices_batching_dims"]),
        known["start_index_map"],
        tuple(sizes),
    )


def index_vectors(graph: Graph, indices: Tensor, axis: int) -> Tensor:
    """Indices as vectors, in the last dimension; before, they lie along an axis, or each by itself."""
    name, shape = graph.whole(indices.name), indices.shape
    if axis == indices.rank:
        return Tensor(graph.unsqueezed(name, [axis]), "int64", (*shape, 1))
    order = [*(place for place in range(indices.rank) if place != axis), axis]
    return Tensor(graph.transposed(name, order), "int64", tuple(shape[place] for place in order))


def _gather(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    operand, roles = operands[0], _roles(operation, operands[0])
    vectors = index_vectors(graph, operands[1], operation.attributes["dimension_numbers"]["index_vector_dim"])
    if vectors.rank == 1:
        return [_one(graph, operand, vectors, roles)]
    looked_up = (*roles.starts, *roles.batch)
    wide = [axis for axis in roles.starts if not (roles.sizes[axis] == 1 or operand.shape[axis] == 1)]
    if wide or any(roles.sizes[axis] is not None for axis in range(operand.rank) if axis not in looked_up):
        raise RejectedContent("it gathers slices that overlap, which ONNX cannot: look up whole rows, or use slices")
    return [_rows(graph, operand, vectors, roles, len(operation.results[0].shape))]


def _one(graph: Graph, operand: Tensor, vector: Tensor, roles: _Roles) -> str:
    """The one slice that begins at an index."""
    name = operand.name
    for place, axis in enumerate(roles.starts):
        size = roles.sizes[axis]
        if size is not None:
            length = graph.constant([size], "int64")
            start = graph.op("Gather", vector.name, graph.constant([place], "int64"))
            first = clamped(graph, start, operand, length, axis)
            name = sliced(graph, name, first, graph.op("Add", first, length), [axis])
    return graph.squeezed(name, [axis for axis in range(operand.rank) if axis not in roles.kept])


def _rows(graph: Graph, operand: Tensor, vectors: Tensor, roles: _Roles, rank: int) -> str:
    """What is looked up in some dimensions, with all of the others."""
    others = [axis for axis in range(operand.rank) if axis not in (*roles.starts, *roles.batch)]
    moved, last = _inside(graph, operand, vectors, roles.starts), vectors.rank - 1
    if len(roles.starts) == 1 and not roles.batch:
        (axis,) = roles.starts
        found = graph.op("Gather", operand.name, graph.squeezed(moved, [last]), axis=axis)
        has = [*(("operand", place) for place in range(axis)), *(("index", place) for place in range(last))]
        has += [("operand", place) for place in range(axis + 1, operand.rank)]
    else:
        order = [*roles.batch_starts, *(place for place in range(last) if place not in roles.batch_starts)]
        turned = graph.transposed(operand.name, [*roles.batch, *roles.starts, *others])
        indices = graph.transposed(moved, [*order, last])
        found = graph.op("GatherND", turned, indices, batch_dims=len(roles.batch))
        has = [*(("index", place) for place in order), *(("operand", place) for place in others)]
    indexed = iter(range(last))
    kept = dict(zip(roles.offset, roles.kept, strict=True))
    wants = [("operand", kept[place]) if place in kept else ("index", next(indexed)) for place in range(rank)]
    ones = [place for place, wanted in enumerate(wants) if wanted not in has]
    return graph.unsqueezed(graph.transposed(found, [has.index(wanted) for wanted in wants if wanted in has]), ones)


def _inside(graph: Graph, operand: Tensor, vectors: Tensor, axes: Sequence[int]) -> str:
    """Indices moved to the next place that there is."""
    one = graph.constant([1], "int64")
    last = graph.joined([graph.op("Sub", graph.side(operand, axis), one) for axis in axes])
    return graph.op("Min", graph.op("Max", vectors.name, graph.constant(0, "int64")), last)


HANDLERS: Mapping[str, Handler] = {"gather": _gather, "dynamic_gather": _gather}
