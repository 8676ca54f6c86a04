"""StableHLO's sums of products (https://openxla.org/stablehlo/spec#dot_general, #convolution), in ONNX."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.stablehlo_elementwise import Handler
from functions._translators.stablehlo_graph import Graph, Tensor
from functions._translators.stablehlo_program import Operation
from functions._translators.stablehlo_shapes import padded, sliced, spread

_END = 2**31 - 1


def _dot_general(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    result, roles = operation.results[0], operation.attributes["dot_dimension_numbers"]
    left, right = (Tensor(graph.cast(each, result.dtype), result.dtype, each.shape) for each in operands)
    batch = roles["lhs_batching_dimensions"], roles["rhs_batching_dimensions"]
    summed = roles["lhs_contracting_dimensions"], roles["rhs_contracting_dimensions"]
    known = graph.value(right.name)
    if (
        known is not None
        and not batch[0]
        and _is_tail(summed[0], left)
        and sorted(summed[1]) == list(range(len(summed[1])))
    ):
        return [_dense(graph, left, right, summed)]
    if _is_matrix_product(left, right, batch, summed):
        return [graph.op("MatMul", left.name, right.name)]
    return [graph.op("Einsum", left.name, right.name, equation=_equation(left, right, batch, summed))]


def _is_tail(axes: Sequence[int], tensor: Tensor) -> bool:
    return len(axes) > 0 and list(axes) == list(range(tensor.rank - len(axes), tensor.rank))


def _dense(graph: Graph, left: Tensor, right: Tensor, summed: tuple[Sequence[int], Sequence[int]]) -> str:
    """Weights as one matrix: what is summed comes first in it, and last in what it is applied to."""
    count = len(summed[1])
    outer = [size for size in right.shape[count:] if size is not None]
    turned = graph.transposed(right.name, [*summed[1], *range(count, right.rank)])
    matrix = graph.reshaped(turned, [-1, int(numpy.prod(outer, dtype=int))])
    free = left.rank - count
    flat = left.name if count == 1 else graph.reshaped(left.name, [*([0] * free), -1])
    product = graph.op("MatMul", flat, matrix)
    if free == 0:
        return graph.reshaped(product, outer)
    return product if len(outer) == 1 else graph.reshaped(product, [*([0] * free), *outer])


def _is_matrix_product(
    left: Tensor, right: Tensor, batch: tuple[Sequence[int], Sequence[int]], summed: tuple[Sequence[int], Sequence[int]]
) -> bool:
    stacked = len(batch[0])
    return (
        left.rank == right.rank == stacked + 2
        and list(batch[0]) == list(batch[1]) == list(range(stacked))
        and (list(summed[0]), list(summed[1])) == ([stacked + 1], [stacked])
    )


def _equation(
    left: Tensor, right: Tensor, batch: tuple[Sequence[int], Sequence[int]], summed: tuple[Sequence[int], Sequence[int]]
) -> str:
    """One letter for each dimension: those of the batch, then what is left of both sides, as StableHLO orders them."""
    letters = iter(ascii_lowercase)
    lefts = [next(letters) for _ in range(left.rank)]
    shared = dict(zip((*batch[1], *summed[1]), (*batch[0], *summed[0]), strict=True))
    rights = [lefts[shared[axis]] if axis in shared else next(letters) for axis in range(right.rank)]
    given = [lefts[axis] for axis in batch[0]]
    given += [letter for axis, letter in enumerate(lefts) if axis not in (*batch[0], *summed[0])]
    given += [letter for axis, letter in enumerate(rights) if axis not in shared]
    return f"{''.join(lefts)},{''.join(rights)}->{''.join(given)}"


def _convolution(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    attributes, roles = operation.attributes, operation.attributes["dimension_numbers"]
    if attributes.get("batch_group_count", 1) != 1:
        raise RejectedContent(
            "it has a convolution of which each part of a batch has its own kernel, which ONNX has not"
        )
    spatial = len(roles["input_spatial_dimensions"])
    ones = (1,) * spatial
    image = graph.transposed(operands[0].name, _order(roles, "input_batch", "input_feature", "input_spatial"))
    kernel = graph.transposed(
        operands[1].name, _order(roles, "kernel_output_feature", "kernel_input_feature", "kernel_spatial")
    )
    kernel = _turned(graph, kernel, attributes.get("window_reversal", ()))
    zero = graph.constant(0, operands[0].dtype)
    apart = [size - 1 for size in attributes.get("lhs_dilation", ones)]
    image = spread(graph, image, zero, [0, 0, *apart])
    if len(operands) > 2:
        image, low, high = _padded_by(graph, image, operands[2], zero), [0] * spatial, [0] * spatial
    else:
        edges = attributes.get("padding", numpy.zeros((spatial, 2), int))
        low, high = ([int(edge) for edge in edges[:, end]] for end in (0, 1))
    # Conv pads, but does not cut off.
    image = padded(graph, image, zero, *([0, 0, *(min(size, 0) for size in sizes)] for sizes in (low, high)))
    convolved = graph.op(
        "Conv",
        image,
        kernel,
        strides=list(attributes.get("window_strides", ones)),
        dilations=list(attributes.get("rhs_dilation", ones)),
        pads=[max(size, 0) for size in (*low, *high)],
        group=attributes.get("feature_group_count", 1),
    )
    order = _order(roles, "output_batch", "output_feature", "output_spatial")
    return [graph.transposed(convolved, [order.index(axis) for axis in range(len(order))])]


def _order(roles: Mapping[str, Any], first: str, second: str, rest: str) -> list[int]:
    return [roles[f"{first}_dimension"], roles[f"{second}_dimension"], *roles[f"{rest}_dimensions"]]


def _turned(graph: Graph, kernel: str, reversed_: Sequence[bool]) -> str:
    axes = [axis + 2 for axis, turned in enumerate(reversed_) if turned]
    if not axes:
        return kernel
    starts, ends, steps = (graph.constant([number] * len(axes), "int64") for number in (-1, -_END, -1))
    return sliced(graph, kernel, starts, ends, axes, steps)


def _padded_by(graph: Graph, image: str, edges: Tensor, zero: str) -> str:
    """An image with as much around it as a computed array of pairs says, for sizes that are free."""
    ends = graph.reshaped(graph.transposed(graph.whole(edges.name), [1, 0]), [2, -1])
    none = graph.constant([[0, 0], [0, 0]], "int64")
    return graph.op("Pad", image, graph.reshaped(graph.joined([none, ends], 1), [-1]), zero)


HANDLERS: Mapping[str, Handler] = {
    "dot_general": _dot_general,
    "convolution": _convolution,
    "dynamic_conv": _convolution,
}
