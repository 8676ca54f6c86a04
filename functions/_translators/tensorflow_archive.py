"""Looks at a SavedModel (https://www.tensorflow.org/guide/saved_model) before anything of it runs.

A SavedModel is a graph of operations, and among TensorFlow's operations are some that read and write files, call Python
or talk to others. So the graph is read as a document: what the serving signature, the initializer and the restoring of
variables need is followed through all functions, each operation must be a plain computation, and only what was seen is
kept. The object graph, with which ``tf.saved_model.load`` makes Python objects and runs further functions, is not used.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions._domain.errors import RejectedContent
from functions._translators.child import refuse_more_nodes, refusing
from functions._translators.tensorflow_graph import dtype_of

_AGAIN = "save it again with tf.saved_model.save(model, folder, signatures=…) or, in Keras, model.export(folder)"
_SERVE = "serve"
_FUNCTION = "function:"
_INITIALIZERS = ("saved_model_main_op", "legacy_init_op")
_STATE = re.compile(
    "VarHandleOp|ReadVariableOp|AssignVariableOp|VarIsInitializedOp|ResourceGather(Nd)?|Variable(V2)?|Assign"
    "|(Stateful)?PartitionedCall|(Stateless)?(If|While|Case)|Assert|CheckNumerics|Einsum"
    "|EmptyTensorList|TensorList[A-Z][A-Za-z0-9]*|TensorArray([A-Z][a-z]+)?V3"
    "|Random(Uniform|UniformInt|StandardNormal|Shuffle)|TruncatedNormal|Multinomial|StatelessRandomGetAlg"
)
"""What keeps state within the model. Random numbers touch nothing outside, and are found out by measuring."""
_RESTORING = re.compile(
    "RestoreV2|Const|Identity|NoOp|Placeholder(WithDefault)?|Pack|VarHandleOp|AssignVariableOp|Assign|VariableV2"
    "|(Stateful)?PartitionedCall"
)
_TEXT, _HANDLE, _VARIANT = 7, 20, 21
"""Numbers of ``types.proto`` for what is no number: through text go names of files, through handles all the rest."""


@dataclass(frozen=True)
class SavedModel:
    """What of a SavedModel may run.

    ``serving`` is the graph from ``inputs`` to ``outputs``, ``whole`` has also what prepares it: the operation
    ``restore`` reads the variables from the file whose name is fed to ``file_name``, then come the ``initializers``.
    """

    serving: Any
    whole: Any
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    restore: str
    file_name: str
    initializers: tuple[str, ...]


def read(path: Path) -> SavedModel:
    """The part of a ``saved_model.pb`` that serves.

    Raises:
        RejectedContent: it is broken, has no signature to serve, or would do more than compute; names the operation.
    """
    import tensorflow
    from tensorflow.core.protobuf import saved_model_pb2

    with refusing("this SavedModel cannot be read", _AGAIN):
        document = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        meta = _serving(document.meta_graphs)
        name, signature = _signature(meta.signature_def)
        inputs, outputs = dict(signature.inputs), dict(signature.outputs)
        for kind, tensors in (("takes", inputs), ("returns", outputs)):
            if not tensors or not all(tensor.name for tensor in tensors.values()):
                raise RejectedContent(f"its signature {name!r} {kind} no plain tensors: {_AGAIN}")
        for key, tensor in (*inputs.items(), *outputs.items()):
            dtype_of(key, tensorflow.dtypes.as_dtype(tensor.dtype))
        return _vetted(meta, inputs, outputs)


def _vetted(meta: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> SavedModel:
    restore, file_name = meta.saver_def.restore_op_name, meta.saver_def.filename_tensor_name
    initializers = tuple(_initializers(meta))
    graph = _Graph(meta.graph_def)
    serving = graph.needed(tensor.name for tensor in (*inputs.values(), *outputs.values()))
    starting = graph.needed(initializers)
    restoring = graph.needed([restore, file_name] if restore else [])
    everything = graph.operations(serving | starting | restoring)
    refuse_more_nodes(len(everything))
    _refuse_unknown(everything)
    _refuse_side_effects(graph.operations(serving | starting))
    _refuse_but_restoring(graph.operations(restoring))
    return SavedModel(
        graph.only(serving),
        graph.only(serving | starting | restoring),
        inputs,
        outputs,
        restore,
        file_name,
        initializers,
    )


def _serving(graphs: Any) -> Any:
    fitting = [meta for meta in graphs if _SERVE in meta.meta_info_def.tags]
    chosen = fitting or list(graphs)
    if len(chosen) != 1:
        raise RejectedContent(f"it has {len(chosen)} graphs to serve where one was expected: {_AGAIN}")
    return chosen[0]


def _signature(signatures: Mapping[str, Any]) -> tuple[str, Any]:
    known = {name: found for name, found in signatures.items() if not name.startswith("__")}
    name = "serving_default" if "serving_default" in known else next(iter(known), "")
    if not known or (name != "serving_default" and len(known) > 1):
        found = ", ".join(repr(name[:80]) for name in sorted(known)[:10]) or "none"
        raise RejectedContent(
            f"it has no signature named 'serving_default', and not exactly one other (found: {found}): {_AGAIN}"
        )
    return name, known[name]


def _initializers(meta: Any) -> Iterator[str]:
    for key in _INITIALIZERS:
        yield from meta.collection_def[key].node_list.value if key in meta.collection_def else ()
    if "__saved_model_init_op" in meta.signature_def:
        for tensor in meta.signature_def["__saved_model_init_op"].outputs.values():
            yield tensor.name


class _Graph:
    """A GraphDef by names, and a walk through it that finds everything some tensors need."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in graph.node}
        self._functions = {function.signature.name: function for function in graph.library.function}
        if len(self._nodes) != len(graph.node) or len(self._functions) != len(graph.library.function):
            raise RejectedContent(f"two of its operations or functions have the same name: {_AGAIN}")

    def needed(self, roots: Iterable[str]) -> set[str]:
        """Names of all operations, and of all functions after ``function:``, that are needed for some tensors."""
        seen: set[str] = set()
        waiting = [_name(root) for root in roots]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                for node in self._found(name):
                    waiting.extend(f"{_FUNCTION}{called}" for called in self._called(node))
                    if not name.startswith(_FUNCTION):
                        waiting.extend(_name(reference) for reference in node.input)
        return seen

    def _found(self, name: str) -> Sequence[Any]:
        """The operation of a name, or all operations of a function."""
        function = self._functions.get(name.removeprefix(_FUNCTION))
        if name.startswith(_FUNCTION) and function is not None:
            return list(function.node_def)
        if name not in self._nodes:
            raise RejectedContent(f"its graph lacks {name[:100]!r}, which it needs: {_AGAIN}")
        return [self._nodes[name]]

    def _called(self, node: Any) -> Iterator[str]:
        if node.op in self._functions:  # the older way to call a function: as if it were an operation
            yield node.op
        for value in node.attr.values():
            yield from (function.name for function in (value.func, *value.list.func) if function.name)

    def operations(self, names: Iterable[str]) -> list[Any]:
        """The operations in a part of the graph and its functions."""
        return [node for name in names for node in self._found(name) if node.op not in self._functions]

    def only(self, used: set[str]) -> Any:
        """The graph without what is not used: that cannot run."""
        from tensorflow.core.framework import graph_pb2

        kept = graph_pb2.GraphDef(versions=self._graph.versions)
        kept.node.extend(node for name, node in self._nodes.items() if name in used)
        for name, function in self._functions.items():
            if f"{_FUNCTION}{name}" in used:
                kept.library.function.append(function)
        return kept


def _name(reference: str) -> str:
    return reference.lstrip("^").split(":")[0]


def _refuse_unknown(nodes: Sequence[Any]) -> None:
    from tensorflow.python.framework import op_def_registry

    if names := _listed(node.op for node in nodes if op_def_registry.get(node.op) is None):
        raise RejectedContent(
            f"its operations {names} are not TensorFlow's own: express them by those, or export the model to ONNX and "
            "import that"
        )


def _refuse_side_effects(nodes: Sequence[Any]) -> None:
    if names := _listed(node.op for node in nodes if not _computes(node)):
        raise RejectedContent(
            f"its operations {names} are no plain computations on numbers: a model may not read or write files, hold "
            "text, run Python or talk to others; leave them out of what its signature computes"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name[:100]) for name in sorted(set(names))[:8])


def _computes(node: Any) -> bool:
    """A plain computation has no state, works on numbers, and is told nothing in free text."""
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(node.op)
    if _STATE.fullmatch(node.op):
        return True
    return not (known.is_stateful or _takes_more_than_numbers(node, known) or _has_free_text(known))


def _takes_more_than_numbers(node: Any, known: Any) -> bool:
    if node.op in ("Const", "Identity", "IdentityN"):
        return False
    own = {argument.type for argument in (*known.input_arg, *known.output_arg)}
    named = {kind for value in node.attr.values() for kind in (value.type, *value.list.type)}
    return bool((own | named) & {_TEXT, _HANDLE, _VARIANT})


def _has_free_text(known: Any) -> bool:
    texts = [attribute for attribute in known.attr if attribute.type in ("string", "list(string)")]
    return any(not attribute.allowed_values.list.s for attribute in texts)


def _refuse_but_restoring(nodes: Sequence[Any]) -> None:
    """What brings the variables back reads a checkpoint and assigns."""
    if names := _listed(node.op for node in nodes if not _RESTORING.fullmatch(node.op)):
        raise RejectedContent(f"its operations {names} have no place in what restores variables: {_AGAIN}")
