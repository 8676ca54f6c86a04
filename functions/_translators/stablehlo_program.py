"""A StableHLO module (https://openxla.org/stablehlo/spec) as plain data: functions, blocks, operations, values.

What is behind it is MLIR, of which jaxlib brings the parser. After it was read, nothing here depends on JAX.

    program = read(jax.export.deserialize(data).mlir_module(serialized=False))
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.inputs import TAKEN, Array

_DTYPES = {
    "i1": "bool", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "ui8": "uint8", "ui16": "uint16",
    "ui32": "uint32", "ui64": "uint64", "f16": "float16", "f32": "float32", "f64": "float64",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Value:
    """What an operation gives, or a block takes: a dtype by numpy's name, and sizes, None where they are free."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation. ``attributes`` are numbers, texts, tuples and arrays; ``regions`` are blocks of further ones."""

    name: str
    operands: tuple[Value, ...]
    results: tuple[Value, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    regions: tuple["Block", ...] = ()


@dataclass(frozen=True, eq=False)
class Block:
    """A function's or a region's body; what its last operation takes is what it gives."""

    arguments: tuple[Value, ...]
    operations: tuple[Operation, ...]

    @property
    def results(self) -> tuple[Value, ...]:
        """What it returns."""
        return self.operations[-1].operands

    def everything(self) -> Iterator[Operation]:
        """All operations, those of regions too."""
        for operation in self.operations:
            yield operation
            for region in operation.regions:
                yield from region.everything()


Program = Mapping[str, Block]
"""Functions by name; the one to begin with is ``main``."""


def read(module: Any) -> Program:
    """The functions of an MLIR module. Raises RejectedContent for values that are no tensors of numbers."""
    reader = _Reader()
    return {
        str(function.attributes["sym_name"].value): reader.function(function) for function in module.body.operations
    }


class _Reader:
    """Keeps which of MLIR's values became which of ours."""

    def __init__(self) -> None:
        self._values: dict[Any, Value] = {}

    def function(self, function: Any) -> Block:
        if function.operation.name != "func.func" or len(function.regions[0].blocks) != 1:
            raise RejectedContent(
                f"it has a {function.operation.name[:80]!r}, which no exported function of one device has"
            )
        return self._block(function.regions[0].blocks[0])

    def _block(self, block: Any) -> Block:
        arguments = tuple(self._new(argument) for argument in block.arguments)
        return Block(arguments, tuple(self._operation(operation.operation) for operation in block.operations))

    def _new(self, value: Any) -> Value:
        self._values[value] = known = _value(value.type)
        return known

    def _operation(self, operation: Any) -> Operation:
        attributes = _items(operation.attributes)
        operands = tuple(self._values[value] for value in operation.operands)
        regions = tuple(self._block(region.blocks[0]) for region in operation.regions)
        return Operation(operation.name, operands, tuple(map(self._new, operation.results)), attributes, regions)


def _items(attributes: Any) -> dict[str, Any]:
    names = [str(getattr(each, "name", each)) for each in attributes]
    return {name: _plain(attributes[name]) for name in names}


def _value(kind: Any) -> Value:
    from jaxlib.mlir import ir

    if not isinstance(kind, ir.RankedTensorType):
        raise RejectedContent(f"it computes with a {str(kind)[:80]!r}: export a function of arrays")
    dtype = _DTYPES.get(str(kind.element_type))
    if dtype is None:
        raise RejectedContent(
            f"it computes with the dtype {str(kind.element_type)[:40]!r}, which is not translated; "
            f"convert to one of {', '.join(TAKEN)}"
        )
    free = [kind.is_dynamic_dim(axis) for axis in range(kind.rank)]
    return Value(dtype, tuple(None if free[axis] else kind.get_dim_size(axis) for axis in range(kind.rank)))


def _plain(attribute: Any) -> Any:
    """An attribute as Python has it; what is neither number nor text nor list of them, as its text."""
    from jaxlib.mlir import ir

    match attribute:
        case ir.BoolAttr() | ir.IntegerAttr() | ir.FloatAttr() | ir.StringAttr() | ir.FlatSymbolRefAttr():
            return attribute.value
        case ir.DenseI64ArrayAttr() | ir.DenseI32ArrayAttr() | ir.DenseBoolArrayAttr():
            return tuple(attribute)
        case ir.ArrayAttr():
            return tuple(_plain(each) for each in attribute)
        case ir.DictAttr():
            return _items(attribute)
        case ir.DenseElementsAttr():
            return _array(attribute)
    return _numbered(attribute)


def _array(attribute: Any) -> Array | str:
    """An array; as text where numpy has no such dtype, as the places of a layout have not."""
    return numpy.array(attribute) if str(attribute.type.element_type) in _DTYPES else str(attribute)


def _numbered(attribute: Any) -> Any:
    """StableHLO's own attributes: the roles of dimensions, by name, and the words of enumerations."""
    from jaxlib.mlir.dialects import stablehlo

    for kind in (
        stablehlo.DotDimensionNumbers,
        stablehlo.ConvDimensionNumbers,
        stablehlo.GatherDimensionNumbers,
        stablehlo.ScatterDimensionNumbers,
    ):
        if kind.isinstance(attribute):
            known = kind(attribute)
            names = [name for name in vars(kind) if re.search(r"dim(ension)?s?(_|$)|_map$", name)]
            return {name: _roles(getattr(known, name)) for name in names}
    word = re.fullmatch(r"#stablehlo<\w+ (\w+)>", str(attribute))
    return word.group(1) if word else str(attribute)


def _roles(value: Any) -> Any:
    return value if isinstance(value, int) else tuple(value)
