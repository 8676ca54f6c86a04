"""An ONNX graph while it is written, and the tensors in it. Knows no StableHLO.

Constants lie in the outermost graph, where the bodies of loops and branches see them. What has only constants going in
and is small, such as a shape, is computed at once; what nothing needs is left out in the end.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from functions._translators.inputs import Array

_FOLDED = 256
"""Elements up to which constants are computed with, when they are only whole numbers about shapes."""
_FOLDING = re.compile(
    "Add|And|Cast|Concat|Div|Equal|Expand|Gather|(Greater|Less)(OrEqual)?|Max|Min|Mod|Mul|Not|Or|Reshape|Slice|Squeeze|Sub"
    "|Transpose|Unsqueeze|Where"
)
"""What makes of few numbers no more than a few."""
_FLOATS = ("float16", "float32", "float64")


def onnx_type(dtype: str) -> int:
    """ONNX's number for a dtype by numpy's name."""
    return int(helper.np_dtype_to_tensor_dtype(numpy.dtype(dtype)))


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph: its name, numpy's name of its dtype, its sizes, None where they are free.

    ``narrow`` is one that ONNX broadcasts to this one by itself, where there is one. ``counts`` is the axis along which
    the numbers are 0, 1, 2, …, where they are.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    narrow: str | None = None
    counts: int | None = None

    @property
    def rank(self) -> int:
        """The number of its dimensions."""
        return len(self.shape)


class Graph:
    """Nodes in the order in which they were added, and the constants that they share with other graphs."""

    def __init__(self, outer: "Graph | None" = None) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, Array] = outer._constants if outer else {}
        self._known: dict[tuple[Any, ...], str] = outer._known if outer else {}
        self._numbers: Iterator[int] = outer._numbers if outer else count()
        self._made: dict[tuple[Any, ...], str] = dict(outer._made) if outer else {}
        self._sources: list[Any] = outer._sources if outer else []

    def inner(self) -> "Graph":
        """A graph for the body of a loop or branch."""
        return Graph(self)

    def fresh(self, kind: str) -> str:
        """A name that nothing has yet."""
        return f"{kind}_{next(self._numbers)}"

    def constant(self, values: Any, dtype: str | None = None) -> str:
        """The name of a constant; equal small ones have the same, and large ones that are the same object."""
        array = numpy.ascontiguousarray(numpy.asarray(values, dtype)).reshape(numpy.shape(values))
        key = (array.dtype.name, array.shape, array.tobytes() if array.size <= _FOLDED else id(values))
        if key not in self._known:
            self._sources.append(values)  # while it lives, nothing else has its identity
            self._known[key] = name = self.fresh("constant")
            self._constants[name] = array
        return self._known[key]

    def value(self, name: str) -> Array | None:
        """The numbers of a constant, None for what is none."""
        return self._constants.get(name)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output, unless the same was added before; returns the name of its output."""
        key = (kind, inputs, repr(sorted(attributes.items())))
        if key not in self._made:
            self._made[key] = self._folded(kind, inputs, attributes) or self.ops(kind, 1, *inputs, **attributes)[0]
        return self._made[key]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add an operator with several outputs; returns their names."""
        names = [self.fresh(kind) for _ in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def _folded(self, kind: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str | None:
        """The constant that an operator on small whole numbers gives, by ONNX's reference evaluator."""
        values = [self._constants.get(name) for name in inputs]
        if not _FOLDING.fullmatch(kind) or not all(_is_small(value) for value in values):
            return None
        if kind == "Expand" and numpy.prod(numpy.asarray(values[1]), dtype="float64") > _FOLDED:
            return None
        from onnx.reference import ReferenceEvaluator

        names = [f"x{place}" for place in range(len(values))]
        node = helper.make_node(kind, names, ["y"], **attributes)
        (result,) = ReferenceEvaluator(node).run(None, dict(zip(names, values, strict=True)))
        return self.constant(result) if numpy.size(result) <= _FOLDED else None

    # ---- what many operations need ----

    def whole(self, name: str) -> str:
        """A tensor of whole numbers as int64, as ONNX wants its shapes."""
        return self.op("Cast", name, to=TensorProto.INT64)

    def cast(self, tensor: Tensor, dtype: str) -> str:
        """A tensor in another dtype."""
        return tensor.name if tensor.dtype == dtype else self.op("Cast", tensor.name, to=onnx_type(dtype))

    def side(self, tensor: Tensor, axis: int) -> str:
        """The size of one dimension, as a list of one int64."""
        known = tensor.shape[axis]
        return (
            self.constant([known], "int64")
            if known is not None
            else self.op("Shape", tensor.name, start=axis, end=axis + 1)
        )

    def transposed(self, name: str, order: Sequence[int]) -> str:
        """A tensor with its dimensions in another order; a constant is turned here and now."""
        known = self.value(name)
        if list(order) == sorted(order):
            return name
        if known is None:
            return self.op("Transpose", name, perm=list(order))
        return self._once(("transposed", name, *order), lambda: known.transpose(order))

    def _once(self, key: tuple[Any, ...], made: Callable[[], Array]) -> str:
        """A constant that is computed when it is first asked for."""
        if key not in self._made:
            self._made[key] = self.constant(made())
        return self._made[key]

    def unsqueezed(self, name: str, axes: Sequence[int]) -> str:
        """A tensor with further dimensions of size 1 at these places of the result."""
        return self.op("Unsqueeze", name, self.constant(sorted(axes), "int64")) if axes else name

    def squeezed(self, name: str, axes: Sequence[int]) -> str:
        """A tensor without these dimensions, whose size is 1."""
        return self.op("Squeeze", name, self.constant(sorted(axes), "int64")) if axes else name

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """A tensor in another shape; -1 is what is left, 0 the size in the same place."""
        known = self.value(name)
        if known is not None and 0 not in shape:
            return self._once(("reshaped", name, *shape), lambda: known.reshape(shape))
        return self.op("Reshape", name, self.constant(shape, "int64"))

    def joined(self, names: Sequence[str], axis: int = 0) -> str:
        """Tensors one after the other along an axis."""
        return names[0] if len(names) == 1 else self.op("Concat", *names, axis=axis)

    # ---- the end ----

    def named(self, name: str, wanted: str) -> str:
        """Gives a tensor a name, as which it leaves the graph."""
        self._nodes.append(helper.make_node("Identity", [name], [wanted]))
        return wanted

    def body(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[str], kinds: Sequence[Tensor]) -> GraphProto:
        """The graph of a loop's or branch's body; what it only passes on gets a name of its own."""
        given = [self.ops("Identity", 1, output)[0] for output in outputs]
        return helper.make_graph(
            _needed(self._nodes, given)[0],
            name,
            [_information(tensor.name, tensor) for tensor in inputs],
            [_information(output, kind) for output, kind in zip(given, kinds, strict=True)],
        )

    def model(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> ModelProto:
        """The whole model, with what is needed for its outputs; inputs and outputs are ONNX's descriptions.

        It says nothing yet of versions.
        """
        nodes, needed = _needed(self._nodes, [output.name for output in outputs])
        weights = [numpy_helper.from_array(array, name) for name, array in self._constants.items() if name in needed]
        return helper.make_model(helper.make_graph(nodes, "main", list(inputs), list(outputs), weights))


def _needed(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> tuple[list[NodeProto], set[str]]:
    """The operators on which some outputs depend, in their order, and every name that they need."""
    kept, needed = [], set(outputs)
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= _reads(node)
            kept.append(node)
    return kept[::-1], needed


def _is_small(value: Array | None) -> bool:
    return value is not None and value.size <= _FOLDED and value.dtype.name not in _FLOATS


def _information(name: str, tensor: Tensor) -> Any:
    # Sizes inside of loops may change from round to round; the number of dimensions does not.
    return helper.make_tensor_value_info(name, onnx_type(tensor.dtype), [None] * tensor.rank)


def _reads(node: NodeProto) -> set[str]:
    """What an operator reads, its bodies included."""
    found = set(node.input)
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            for inner in attribute.g.node:
                found |= _reads(inner)
    return found
