"""StableHLO's operations on each element by itself (https://openxla.org/stablehlo/spec), in ONNX."""

from collections.abc import Callable, Mapping, Sequence

from functions._domain.errors import RejectedContent
from functions._translators.stablehlo_graph import Graph, Tensor
from functions._translators.stablehlo_program import Operation

Handler = Callable[[Graph, Operation, Sequence[Tensor]], Sequence[str]]
"""Adds an operation to a graph; takes its operands and returns the names of its results."""

_SAME = {
    "abs": "Abs", "ceil": "Ceil", "cosine": "Cos", "exponential": "Exp", "floor": "Floor", "log": "Log",
    "negate": "Neg", "round_nearest_even": "Round", "sign": "Sign", "sine": "Sin",
    "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh", "optimization_barrier": "Identity",
}  # fmt: skip
_PAIRS = {
    "add": ("Add", "Or"), "subtract": ("Sub", None), "multiply": ("Mul", "And"), "divide": ("Div", None),
    "maximum": ("Max", "Or"), "minimum": ("Min", "And"), "power": ("Pow", None), "and": ("BitwiseAnd", "And"),
    "or": ("BitwiseOr", "Or"), "xor": ("BitwiseXor", "Xor"),
}  # fmt: skip
"""What stands for it among numbers, and among truth values."""
_CHOSEN = ("float32", "float64", "int32", "int64", "uint8")
_COMPARED = {"EQ": "Equal", "NE": "Equal", "LT": "Less", "LE": "LessOrEqual", "GT": "Greater", "GE": "GreaterOrEqual"}


def joint(*operands: Tensor) -> list[str]:
    """Names for operands of one shape: all but one may be left as narrow as they were before they were broadcast."""
    wide = next((place for place, tensor in enumerate(operands) if not tensor.narrow), 0)
    return [tensor.narrow if tensor.narrow and place != wide else tensor.name for place, tensor in enumerate(operands)]


def _same(kind: str) -> Handler:
    return lambda graph, _, operands: [graph.op(kind, operand.name) for operand in operands]


def _pair(numbers: str, truths: str | None) -> Handler:
    def add(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
        kind = truths if operands[0].dtype == "bool" else numbers
        if kind is None:
            raise RejectedContent(f"its operation {operation.name!r} works on truth values: convert them to numbers")
        return [graph.op(kind, *joint(*operands))]

    return add


def _like(graph: Graph, tensor: Tensor, value: float) -> str:
    return graph.constant(value, tensor.dtype)


def _negated(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    (operand,) = operands
    return [graph.op("Not" if operand.dtype == "bool" else "BitwiseNot", operand.name)]


def _rsqrt(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    return [graph.op("Reciprocal", graph.op("Sqrt", operands[0].name))]


def _cbrt(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    name = operands[0].name
    root = graph.op("Pow", graph.op("Abs", name), _like(graph, operands[0], 1 / 3))
    return [graph.op("Mul", graph.op("Sign", name), root)]


def _log_plus_one(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    """Kahan's way: log(u) * x / (u - 1) with u = 1 + x is exact where 1 + x has lost most of x."""
    name, one = operands[0].name, _like(graph, operands[0], 1)
    plus = graph.op("Add", one, name)
    lost, less = graph.op("Equal", plus, one), graph.op("Sub", plus, one)
    exact = graph.op("Mul", graph.op("Log", plus), graph.op("Div", name, less))
    infinite = graph.op("IsInf", plus)
    return [graph.op("Where", lost, name, graph.op("Where", infinite, plus, exact))]


def _exponential_minus_one(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    """Kahan's way again, near 0: (u - 1) * x / log(u) with u = exp(x)."""
    name, one = operands[0].name, _like(graph, operands[0], 1)
    power = graph.op("Exp", name)
    less = graph.op("Sub", power, one)
    exact = graph.op("Mul", less, graph.op("Div", name, graph.op("Log", power)))
    near = graph.op("Less", graph.op("Abs", name), _like(graph, operands[0], 0.5))
    lost = graph.op("Equal", power, one)
    return [graph.op("Where", lost, name, graph.op("Where", near, exact, less))]


def _round_away(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    name = operands[0].name
    up = graph.op("Floor", graph.op("Add", graph.op("Abs", name), _like(graph, operands[0], 0.5)))
    return [graph.op("Mul", graph.op("Sign", name), up)]


def _is_finite(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    name = operands[0].name
    return [graph.op("Not", graph.op("Or", graph.op("IsInf", name), graph.op("IsNaN", name)))]


def _remainder(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    return [graph.op("Mod", *joint(*operands), fmod=1)]


def _atan2(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    """The angle of y/x, turned by half a turn where x is negative; 0 has a sign, too, by which 1/0 is told."""
    y, x = joint(*operands)
    zero, pi = _like(graph, operands[0], 0), _like(graph, operands[0], 3.141592653589793)
    left, below = (
        graph.op("Or", graph.op("Less", each, zero), _is_negative_zero(graph, each, zero)) for each in (x, y)
    )
    nowhere = graph.op("And", graph.op("Equal", x, zero), graph.op("Equal", y, zero))
    plain = graph.op("Where", nowhere, y, graph.op("Atan", graph.op("Div", y, x)))
    turn = graph.op("Where", below, graph.op("Neg", pi), pi)
    return [graph.op("Where", left, graph.op("Add", plain, turn), plain)]


def _is_negative_zero(graph: Graph, name: str, zero: str) -> str:
    return graph.op("Less", graph.op("Reciprocal", name), zero)


def _compare(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    direction = operation.attributes["comparison_direction"]
    found = graph.op(_COMPARED[direction], *joint(*operands))
    return [graph.op("Not", found) if direction == "NE" else found]


def _select(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    wanted = operation.results[0].dtype
    if operands[0].rank == 0:
        condition, (yes, no) = operands[0].name, joint(*operands[1:])
    else:
        condition, yes, no = joint(*operands)
    if wanted == "bool":
        unmet = graph.op("And", graph.op("Not", condition), no)
        return [graph.op("Or", graph.op("And", condition, yes), unmet)]
    # ONNX Runtime chooses among these only.
    taken = wanted if wanted in _CHOSEN else "float32" if wanted.startswith("float") else "int64"
    yes, no = (graph.cast(Tensor(name, wanted, ()), taken) for name in (yes, no))
    return [graph.cast(Tensor(graph.op("Where", condition, yes, no), taken, ()), wanted)]


def _clamp(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    low, operand, high = operands
    return [graph.op("Min", graph.op("Max", operand.name, low.narrow or low.name), high.narrow or high.name)]


def _convert(graph: Graph, operation: Operation, operands: Sequence[Tensor]) -> list[str]:
    return [graph.cast(operands[0], operation.results[0].dtype)]


def _erf(graph: Graph, _: Operation, operands: Sequence[Tensor]) -> list[str]:
    return [graph.op("Erf", operands[0].name)]


HANDLERS: Mapping[str, Handler] = {
    **{name: _same(kind) for name, kind in _SAME.items()},
    **{name: _pair(*kinds) for name, kinds in _PAIRS.items()},
    "not": _negated,
    "rsqrt": _rsqrt,
    "cbrt": _cbrt,
    "log_plus_one": _log_plus_one,
    "exponential_minus_one": _exponential_minus_one,
    "round_nearest_afz": _round_away,
    "is_finite": _is_finite,
    "remainder": _remainder,
    "atan2": _atan2,
    "compare": _compare,
    "select": _select,
    "clamp": _clamp,
    "convert": _convert,
}

COMPOSITES: Mapping[str, Handler] = {"chlo.erf": _erf}
"""What JAX writes as a name beside its definition; others are taken by their definition."""
