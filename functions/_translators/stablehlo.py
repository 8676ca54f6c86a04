"""Writes a StableHLO program (https://openxla.org/stablehlo/spec) as an ONNX model, operation by operation.

No released converter does: jax2onnx and jax2tf need the Python function, which is code of others. The operations are
those in the tables of the modules ``stablehlo_…``; others are refused by name. Functions are written where they are
called. Free sizes stay free: where a program computes with them, so does the ONNX model.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from onnx import ModelProto, helper

from functions._domain.errors import RejectedContent
from functions._translators import (
    stablehlo_elementwise,
    stablehlo_gather,
    stablehlo_products,
    stablehlo_reductions,
    stablehlo_scatter,
    stablehlo_shapes,
)
from functions._translators.child import refuse_more_nodes
from functions._translators.inputs import Input
from functions._translators.stablehlo_elementwise import Handler
from functions._translators.stablehlo_graph import Graph, Tensor, onnx_type
from functions._translators.stablehlo_program import Block, Operation, Program, Value

HANDLERS: Mapping[str, Handler] = {
    **stablehlo_elementwise.HANDLERS,
    **stablehlo_shapes.HANDLERS,
    **stablehlo_gather.HANDLERS,
    **stablehlo_scatter.HANDLERS,
    **stablehlo_products.HANDLERS,
    **stablehlo_reductions.HANDLERS,
}
COMPOSITES: Mapping[str, Handler] = {**stablehlo_elementwise.COMPOSITES, **stablehlo_reductions.COMPOSITES}
_ASSERTIONS = frozenset(("shape_assertion",))
_IDLE = re.compile(r"stablehlo\.(shift_(left|right_logical|right_arithmetic)|bitcast_convert|rng_bit_generator)")
_DEPTH_BOUND = 100


def refuse_unknown(program: Program) -> None:
    """Raises RejectedContent where a program has operations that are not written in ONNX; names them.

    What may run is decided here as well: calls of code that is not in the program are no operations that we know. What
    is only idle, such as random numbers that nobody uses, may stay.
    """
    everything = [operation for block in program.values() for operation in block.everything()]
    unknown = {
        _shown(operation) for operation in everything if not (_is_known(operation) or _IDLE.fullmatch(operation.name))
    }
    unknown |= {_shown(operation) for operation in _needed(program) if not _is_known(operation)}
    if unknown:
        names = ", ".join(repr(name[:80]) for name in sorted(unknown)[:8])
        raise RejectedContent(
            f"its operations {names} are not translated: express them by others, then export it again"
        )


def _needed(program: Program) -> Iterator[Operation]:
    """Every operation on which the results depend, through all functions."""
    seen, waiting = set[str](), ["main"]
    while waiting:
        name = waiting.pop()
        if name not in seen and name in program:
            seen.add(name)
            for operation in (inner for outer in live(program[name]) for inner in _within(outer)):
                yield operation
                composite = operation.attributes.get("name") in COMPOSITES
                waiting.append(operation.attributes.get("callee", ""))
                waiting.append("" if composite else operation.attributes.get("decomposition", ""))


def _within(operation: Operation) -> Iterator[Operation]:
    yield operation
    for region in operation.regions:
        yield from region.everything()


def live(block: Block) -> list[Operation]:
    """The operations of a block on which its results depend, in their order."""
    needed, kept = set(block.results), []
    for operation in reversed(block.operations[:-1]):
        if not needed.isdisjoint(operation.results):
            kept.append(operation)
            needed.update(operand for inner in _within(operation) for operand in inner.operands)
    return kept[::-1]


def _is_known(operation: Operation) -> bool:
    if operation.name == "stablehlo.custom_call":
        return operation.attributes.get("call_target_name") in _ASSERTIONS
    dialect, _, name = operation.name.partition(".")
    known = HANDLERS if dialect == "stablehlo" else ()
    return name in known or operation.name in _Writer.STRUCTURE or name == "return"


def _shown(operation: Operation) -> str:
    if operation.name == "stablehlo.custom_call":
        return f"custom_call {operation.attributes.get('call_target_name')}"
    return operation.name


def written(
    program: Program,
    inputs: Sequence[Input],
    kept: Sequence[int],
    outputs: Mapping[str, Sequence[int | str]],
    platform: int | None = None,
) -> ModelProto:
    """The ONNX model of a program, which says nothing yet of versions.

    Args:
        program: its functions.
        inputs: what it takes.
        kept: the places of those that ``main`` takes; on the others nothing depends.
        outputs: the names to give to the results, with their sizes, free ones by name.
        platform: which of several it is for, where ``main`` takes that first.

    Raises:
        RejectedContent: an operation has no counterpart in ONNX.
    """
    graph = Graph()
    arguments = [
        Tensor(known.name, known.dtype, tuple(side if isinstance(side, int) else None for side in known.shape))
        for known in (inputs[place] for place in kept)
    ]
    if platform is not None:
        arguments.insert(0, Tensor(graph.constant(platform, "int32"), "int32", ()))
    results = _Writer(program).block(graph, program["main"], arguments)
    names = [graph.named(result.name, name) for name, result in zip(outputs, results, strict=True)]
    return graph.model(
        [_information(known.name, known.dtype, known.shape) for known in inputs],
        [_information(name, result.dtype, outputs[name]) for name, result in zip(names, results, strict=True)],
    )


def stamped(model: ModelProto, opset: int) -> ModelProto:
    """A model that says which version of ONNX's operators it uses, changed in place."""
    imports = [helper.make_opsetid("", opset)]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    model.ir_version = helper.find_min_ir_version_for(imports)
    return model


def _information(name: str, dtype: str, shape: Sequence[int | str]) -> Any:
    return helper.make_tensor_value_info(name, onnx_type(dtype), list(shape))


class _Writer:
    """Goes through the blocks of a program and adds what they say to a graph."""

    STRUCTURE: Mapping[str, str] = {
        "func.call": "_call",
        "stablehlo.composite": "_composite",
        "stablehlo.while": "_while",
        "stablehlo.case": "_case",
    }
    """What is done by whole blocks."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._depth = self._count = 0

    def block(
        self, graph: Graph, block: Block, arguments: Sequence[Tensor], outer: Mapping[Value, Tensor] | None = None
    ) -> list[Tensor]:
        """Add the operations of a block; returns what it returns. ``outer`` is what was there before it."""
        known = {**(outer or {}), **dict(zip(block.arguments, arguments, strict=True))}
        for operation in live(block):
            operands = [known[operand] for operand in operation.operands]
            known.update(zip(operation.results, self._added(graph, operation, operands, known), strict=True))
        return [known[result] for result in block.results]

    def _added(
        self, graph: Graph, operation: Operation, operands: Sequence[Tensor], known: Mapping[Value, Tensor]
    ) -> list[Tensor]:
        self._count += 1
        refuse_more_nodes(self._count)
        if method := self.STRUCTURE.get(operation.name):
            results: list[Tensor] = getattr(self, method)(graph, operation, operands, known)
            return results
        name = operation.name.removeprefix("stablehlo.")
        return _described(graph, operation, HANDLERS[name](graph, operation, operands), operands)

    def _call(self, graph: Graph, operation: Operation, operands: Sequence[Tensor], _: object) -> list[Tensor]:
        return self._function(graph, operation.attributes["callee"], operands)

    def _composite(self, graph: Graph, operation: Operation, operands: Sequence[Tensor], _: object) -> list[Tensor]:
        if handler := COMPOSITES.get(operation.attributes["name"]):
            return _described(graph, operation, handler(graph, operation, operands), operands)
        return self._function(graph, operation.attributes["decomposition"], operands)

    def _function(self, graph: Graph, name: str, operands: Sequence[Tensor]) -> list[Tensor]:
        if self._depth > _DEPTH_BOUND or name not in self._program:
            raise RejectedContent(f"its function {name[:80]!r} is missing or calls itself: export it again")
        self._depth += 1
        results = self.block(graph, self._program[name], operands)
        self._depth -= 1
        return results

    def _while(
        self, graph: Graph, operation: Operation, operands: Sequence[Tensor], known: Mapping[Value, Tensor]
    ) -> list[Tensor]:
        """A Loop, which decides after each round whether there is another, and before the first.

        What comes out of each round as it went in is not carried, but seen from inside.
        """
        condition, body = operation.regions
        begun = self.block(graph, condition, operands, known)[0]
        inner = graph.inner()
        changing = [place for place, result in enumerate(body.results) if result is not body.arguments[place]]
        carried = [_carried(inner, operand) if place in changing else operand for place, operand in enumerate(operands)]
        after = self.block(inner, body, carried, known)
        again = self.block(inner, condition, after, known)[0]
        inside = [carried[place] for place in changing]
        before = [Tensor(inner.fresh("round"), "int64", ()), Tensor(inner.fresh("go"), "bool", ())]
        results = [again.name, *(after[place].name for place in changing)]
        proto = inner.body("body", [*before, *inside], results, [before[1], *inside])
        given = [operands[place].name for place in changing]
        names = dict(zip(changing, graph.ops("Loop", len(changing), "", begun.name, *given, body=proto), strict=True))
        return [
            Tensor(names[place], value.dtype, value.shape) if place in names else operands[place]
            for place, value in enumerate(operation.results)
        ]

    def _case(
        self, graph: Graph, operation: Operation, operands: Sequence[Tensor], known: Mapping[Value, Tensor]
    ) -> list[Tensor]:
        """The branch of a number; one that is out of bounds means the last."""
        number = graph.value(operands[0].name)
        if number is not None and 0 <= number < len(operation.regions):
            return self.block(graph, operation.regions[int(number)], [], known)
        return self._chosen(graph, operation, operands[0].name, list(operation.regions), known)

    def _chosen(
        self, graph: Graph, operation: Operation, index: str, branches: Sequence[Block], known: Mapping[Value, Tensor]
    ) -> list[Tensor]:
        if len(branches) == 1:
            return self.block(graph, branches[0], [], known)
        place = graph.constant(len(operation.regions) - len(branches), "int32")
        return self._branched(
            graph, operation, graph.op("Equal", index, place), branches[:1], branches[1:], known, index
        )

    def _branched(
        self, graph: Graph, operation: Operation, condition: str, yes: Sequence[Block], no: Sequence[Block],
        known: Mapping[Value, Tensor], index: str = "",
    ) -> list[Tensor]:  # fmt: skip
        kinds = [Tensor("", value.dtype, value.shape) for value in operation.results]
        bodies = {}
        for name, branches in (("then_branch", yes), ("else_branch", no)):
            inner = graph.inner()
            results = self._chosen(inner, operation, index, branches, known)
            bodies[name] = inner.body(name, [], [result.name for result in results], kinds)
        names = graph.ops("If", len(kinds), condition, **bodies)
        return [replace(kind, name=name) for name, kind in zip(names, kinds, strict=True)]


def _carried(graph: Graph, begun: Tensor) -> Tensor:
    return Tensor(graph.fresh("carried"), begun.dtype, begun.shape)


def _described(graph: Graph, operation: Operation, names: Sequence[str], operands: Sequence[Tensor]) -> list[Tensor]:
    """The results of an operation with what the program says of them, and what later operations may use of that."""
    short = operation.name.removeprefix("stablehlo.")
    narrow = stablehlo_shapes.NARROW.get(short)
    found = narrow(graph, operation, operands)[0] if narrow else None
    counts = operation.attributes["iota_dimension"] if short in ("iota", "dynamic_iota") else None
    return [
        Tensor(name, value.dtype, value.shape, found if found != name else None, counts)
        for name, value in zip(names, operation.results, strict=True)
    ]
