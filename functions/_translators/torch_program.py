"""PyTorch's exported programs (``.pt2``) as a source: their inputs, how to run them, how to export them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators import torch_archive
from functions._translators.equivalence import Run, Source
from functions._translators.inputs import TAKEN, WHOLES, Array, Case, Input, Signature, sizes


def read(path: Path, one_file: int) -> Source:
    """The source that an archive holds; above ``one_file`` bytes its weights will lie in a second file.

    Raises:
        RejectedContent: it cannot be read or measured.
    """
    program = torch_archive.load(path)
    inputs = tuple(_input(node) for node in _placeholders(program))
    examples = _example_case(program, inputs)
    if examples:
        inputs = tuple(known.like(array) for known, array in zip(inputs, examples[0].arrays, strict=True))
    signature = Signature(_bounded_by_vocabulary(program, inputs), _symbol_sizes(program))
    return Source(_runner(program), signature, examples, "torch.onnx.export, dynamo", _exporter(program, one_file))


def _placeholders(program: Any) -> list[Any]:
    names = program.graph_signature.user_inputs
    if not names or not all(isinstance(name, str) for name in names):
        raise RejectedContent("an input is no tensor, or there is none: export the model with tensors as its inputs")
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    return [nodes[name] for name in names]


def _input(node: Any) -> Input:
    import torch

    value = node.meta["val"]
    if not isinstance(value, torch.Tensor):
        raise RejectedContent(f"the input {node.name!r} is no tensor: export the model with tensors only")
    sides = tuple(side if isinstance(side, int) else str(side.node.expr) for side in value.shape)
    return Input(node.name, dtype_of(node.name, value.dtype), sides)


def dtype_of(name: str, dtype: Any) -> str:
    """The name that numpy has for a PyTorch dtype. Raises RejectedContent for one that is not measured."""
    found = str(dtype).removeprefix("torch.")
    if found not in TAKEN:
        raise RejectedContent(
            f"{name!r} has the dtype {found}, which is not measured yet; taken are {', '.join(TAKEN)}"
        )
    return found


def _symbol_sizes(program: Any) -> dict[str, tuple[int, ...]]:
    """For each symbol that inputs are made of, the sizes to try, within what the model declares."""
    found: dict[str, tuple[int, ...]] = {}
    for node in _placeholders(program):
        for side in node.meta["val"].shape:
            for symbol in () if isinstance(side, int) else side.node.expr.free_symbols:
                bounds = program.range_constraints.get(symbol)
                low, high = (_whole(bounds.lower, 0), _whole(bounds.upper, None)) if bounds else (0, None)
                hint = side.node.hint if side.node.expr == symbol and side.node.has_hint() else 2
                found.setdefault(str(symbol), sizes(low or 0, high, int(hint)))
    return found


def _whole(bound: Any, otherwise: int | None) -> int | None:
    return int(bound) if getattr(bound, "is_Integer", False) else otherwise


def _example_case(program: Any, inputs: Sequence[Input]) -> tuple[Case, ...]:
    """The inputs that the model was exported with, where the archive has them and they are what it takes."""
    import torch
    from torch.utils import _pytree

    leaves = _pytree.tree_leaves(program.example_inputs) if program.example_inputs else []
    if len(leaves) != len(inputs) or not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
        return ()
    arrays = tuple(leaf.detach().numpy() for leaf in leaves)
    fits = all(array.dtype.name == known.dtype for array, known in zip(arrays, inputs, strict=True))
    return (Case("the model's own example", arrays),) if fits else ()


def _bounded_by_vocabulary(program: Any, inputs: Sequence[Input]) -> tuple[Input, ...]:
    """Whole-number inputs kept below the number of rows of every embedding that they reach."""
    rows: dict[str, int] = {}
    for node in program.graph.nodes:
        if node.op == "call_function" and "embedding" in str(node.target):
            count = int(node.args[0].meta["val"].shape[0])
            for name in _ancestors(node.args[1]):
                rows[name] = min(count, rows.get(name, count))
    return tuple(
        replace(known, high=rows[known.name] - 1) if known.dtype in WHOLES and known.name in rows else known
        for known in inputs
    )


def _ancestors(node: Any) -> Iterable[str]:
    seen, waiting = {node}, [node]
    while waiting:
        for parent in waiting.pop().all_input_nodes:
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return [each.name for each in seen if each.op == "placeholder"]


def _runner(program: Any) -> Run:
    import torch
    from torch.utils import _pytree

    module, nesting = program.module(check_guards=False), program.call_spec.in_spec

    def run(arrays: Sequence[Array]) -> list[Array]:
        tensors = [torch.from_numpy(numpy.ascontiguousarray(array).copy()) for array in arrays]
        positional, named = _pytree.tree_unflatten(tensors, nesting)
        return arrays_of(module(*positional, **named))

    return run


def arrays_of(outputs: Any) -> list[Array]:
    """The tensors in whatever a model returns, in their order."""
    import torch
    from torch.utils import _pytree

    tensors = [leaf for leaf in _pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]
    for index, tensor in enumerate(tensors):
        dtype_of(f"output {index}", tensor.dtype)
    return [tensor.detach().numpy() for tensor in tensors]


def _exporter(program: Any, one_file: int) -> Callable[[Path, int], int]:
    import torch

    def export(path: Path, opset: int) -> int:
        exported = torch.onnx.export(program, (), None, dynamo=True, opset_version=opset, verbose=False)
        if exported is None:
            raise RuntimeError("the exporter returned nothing")
        _strip(exported.model)
        weights = sum(weight.const_value.nbytes for weight in exported.model.graph.initializers.values())
        exported.save(str(path), external_data=weights > one_file)
        return int(exported.model.opset_imports[""])

    return export


def _strip(model: Any) -> None:
    """Leaves out notes of the exporter on where each node came from: they name files of this machine."""
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
    model.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
