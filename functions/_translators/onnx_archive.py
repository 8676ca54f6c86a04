"""Reads ONNX files (https://onnx.ai/onnx/repo-docs/IR.html) of others: looked at whole before any runtime sees them.

Weights may lie in other files beside the model, which it names; those names must not lead out of its folder. Operators
must be ONNX's own, since others mean something to one runtime only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from functions._domain.errors import RejectedContent
from functions._translators.child import refuse_more_nodes, refusing

_AGAIN = "export the model again, with ONNX's own operators and its weights beside it"
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_TAKEN_NAMES = ("model.onnx", "report.json", "refusal.json")
_EXTERNAL = 1
"""``TensorProto.EXTERNAL``"""


@dataclass(frozen=True)
class Archive:
    """A model without its weights, the path of its file, and the files with its weights, as it names them."""

    model: Any
    path: Path
    weights: tuple[PurePosixPath, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self.path.stat().st_size + sum((self.path.parent / each).stat().st_size for each in self.weights)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators; 1 where it declares none, and so uses none."""
        return next((int(one.version) for one in self.model.opset_import if one.domain in ("", "ai.onnx")), 1)


def load(path: Path) -> Archive:
    """What a file holds.

    Raises:
        RejectedContent: it is broken, too large, uses operators of somebody's own, or names files outside its folder.
    """
    import onnx

    with refusing("this ONNX file cannot be read", _AGAIN):
        model = onnx.load(str(path), load_external_data=False)
        _vet_operators(model)
        _vet_outputs(model)
        weights = {_vet_location(path, tensor) for tensor in _tensors(model) if tensor.data_location == _EXTERNAL}
    return Archive(model, path, tuple(sorted(weights)))


def _vet_operators(model: Any) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    refuse_more_nodes(sum(1 for _ in nodes(model)))
    for node in nodes(model):
        if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own:
            shown = f"{node.domain}.{node.op_type}"[:100]
            raise RejectedContent(
                f"its operator {shown!r} is none of ONNX's own: express it by those, or as a function of the model"
            )


def _vet_outputs(model: Any) -> None:
    for output in model.graph.output:
        if (kind := output.type.WhichOneof("value")) != "tensor_type":
            raise RejectedContent(
                f"its output {output.name[:60]!r} is a {kind}, not a tensor: export it with tensors, such as skl2onnx "
                "does with the option zipmap=False"
            )


def _graphs(model: Any) -> Iterator[Any]:
    """The graph, those inside its nodes, and the functions."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def nodes(model: Any) -> Iterator[Any]:
    """Every node, also those of branches, loops and functions."""
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        yield from getattr(graph, "initializer", ())
        for node in graph.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)


def _vet_location(path: Path, tensor: Any) -> PurePosixPath:
    """The file of a tensor's numbers, which must be a plain one below the model's folder and have as many."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = PurePosixPath(told.get("location", ""))
    shown = f"the weights {tensor.name[:60]!r} lie in {str(location)[:100]!r}"
    if location.is_absolute() or ".." in location.parts or "\\" in str(location) or not location.parts:
        raise RejectedContent(f"{shown}, which is outside the model's folder: {_AGAIN}")
    if str(location) in _TAKEN_NAMES:
        raise RejectedContent(f"{shown}, a name that is taken here: rename that file")
    found = path.parent / location
    if not found.is_file() or found.is_symlink() or path.parent.resolve() not in found.resolve().parents:
        raise RejectedContent(f"{shown}, which is not there: {_AGAIN}")
    begin, size = int(told.get("offset", 0)), int(told.get("length", 0))
    if begin < 0 or size < 0 or begin + size > found.stat().st_size:
        raise RejectedContent(f"{shown}, which ends before them: {_AGAIN}")
    return location
