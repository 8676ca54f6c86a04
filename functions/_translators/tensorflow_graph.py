"""What SavedModel and Keras share: TensorFlow alone in its process, and a graph that is ready to be exported.

In a frozen graph variables are constants, and TensorFlow's own optimizer has inlined its functions.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions._domain.errors import RejectedContent
from functions._translators.dimensions import bounded, tried
from functions._translators.exporting import installed
from functions._translators.inputs import TAKEN, Input, Signature

OPSETS = (13, 14, 15, 16, 17, 18)
"""What tf2onnx 1.17 writes: its operators since 13 are those of ONNX Runtime; above 18 it refuses."""

_OTHERS = ("jax", "torch", "sklearn", "xgboost", "lightgbm")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_GRAPH_BOUND = 1_900_000_000
_LOOKUPS = ("Gather", "GatherV2", "ResourceGather")
_MOVES = re.compile(
    "Identity|Cast|Reshape|ExpandDims|Squeeze|Transpose|Slice|StridedSlice|ConcatV2|Pack|SelectV2|Add|AddV2|Sub|Maximum"
    "|Minimum|ClipByValue"
)
"""What may lie between an input and the table in which it is looked up. A mask that is summed up is no index."""


def start(*unneeded: str) -> Any:
    """TensorFlow, imported without the other frameworks that it would look for."""
    for name in (*_OTHERS, *unneeded):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    threads = os.environ.get("OMP_NUM_THREADS", "2")
    os.environ.update(
        TF_CPP_MIN_LOG_LEVEL="3",
        CUDA_VISIBLE_DEVICES="-1",
        TF_NUM_INTRAOP_THREADS=threads,
        TF_NUM_INTEROP_THREADS=threads,
    )
    import tensorflow

    return tensorflow


def distribution() -> str:
    """The name under which TensorFlow is installed here."""
    return installed("tensorflow-cpu", "tensorflow")


def input_of(name: str, dtype: Any, shape: Sequence[int | None]) -> Input:
    """An input by TensorFlow's description. Free dimensions on the same axis are one, as the rows of a batch are.

    Raises:
        RejectedContent: it takes text, or another dtype that is not measured.
    """
    sides = tuple(_symbol(axis, len(shape)) if side is None else int(side) for axis, side in enumerate(shape))
    return Input(name, dtype_of(name, dtype), sides)


def _symbol(axis: int, rank: int) -> str:
    if axis == 0:
        return "batch"
    return f"side_{axis}" if rank >= 4 else f"length_{axis}"


def dtype_of(name: str, dtype: Any) -> str:
    """The name that numpy has for a TensorFlow dtype. Raises RejectedContent for one that is not measured."""
    found = str(dtype.name)
    if found == "string":
        raise RejectedContent(
            f"{name!r} takes or gives text, which is not translated: leave what makes numbers of text out of the model"
        )
    if found not in TAKEN:
        raise RejectedContent(
            f"{name!r} has the dtype {found}, which is not measured yet; taken are {', '.join(TAKEN)}"
        )
    return found


def signature_of(inputs: Sequence[Input], frozen: "Frozen") -> Signature:
    """The sizes to try, and whole numbers kept below the number of rows of the tables that they reach."""
    found: dict[str, tuple[int, ...]] = {}
    for known in inputs:
        for axis, side in enumerate(known.shape):
            if isinstance(side, str):
                found.setdefault(side, tried(axis, len(known.shape)))
    return Signature(bounded(inputs, frozen.rows()), found)


@dataclass(frozen=True)
class Frozen:
    """A graph without variables, as ``freeze`` makes it, and its tensors by the names that they have in ONNX.

    ``weights`` are the bytes of its large constants, kept apart since each look at a graph copies what lies in it.
    """

    graph: Any
    weights: Mapping[str, bytes]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def rows(self) -> dict[str, int]:
        """For each input that is used as an index, the number of rows of the smallest table that it reaches."""
        nodes = {node.name: node for node in self.graph.node}
        names = {tensor.split(":")[0]: name for name, tensor in self.inputs.items()}
        found: dict[str, int] = {}
        for node in self.graph.node:
            if node.op not in _LOOKUPS or not (count := _rows_of(nodes, node)):
                continue
            for ancestor in _ancestors(nodes, node.input[1]):
                if name := names.get(ancestor):
                    found[name] = min(count, found.get(name, count))
        return found


def _rows_of(nodes: Mapping[str, Any], lookup: Any) -> int:
    """How many rows a constant table has; 0 for what is looked up elsewhere than in the first axis of one."""
    table = nodes.get(_node_of(lookup.input[0]))
    while table is not None and table.op == "Identity":
        table = nodes.get(_node_of(table.input[0]))
    if table is None or table.op != "Const" or (len(lookup.input) > 2 and _whole(nodes, lookup.input[2])):
        return 0
    sides = table.attr["value"].tensor.tensor_shape.dim
    return int(sides[0].size) if len(sides) > 1 else 0


def _whole(nodes: Mapping[str, Any], name: str) -> int | None:
    from tensorflow.python.framework import tensor_util

    node = nodes.get(_node_of(name))
    return int(tensor_util.MakeNdarray(node.attr["value"].tensor)) if node is not None and node.op == "Const" else None


def _node_of(reference: str) -> str:
    return reference.lstrip("^").split(":")[0]


def _ancestors(nodes: Mapping[str, Any], name: str) -> set[str]:
    seen: set[str] = set()
    waiting = [_node_of(name)]
    while waiting:
        if (current := waiting.pop()) not in seen and current in nodes:
            seen.add(current)
            if _MOVES.fullmatch(nodes[current].op):
                waiting.extend(_node_of(parent) for parent in nodes[current].input)
    return seen


def inlined(graph: Any, tensors: Sequence[str]) -> Any:
    """A graph with its functions inlined, as far as loops and branches allow; ``tensors`` go in and come out."""
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
    from tensorflow.python.framework.convert_to_constants import disable_lower_using_switch_merge
    from tensorflow.python.grappler import tf_optimizer

    graph = disable_lower_using_switch_merge(graph)
    for known in _attributed(graph):
        for kept_apart in ("api_implements", "_XlaMustCompile"):  # for GPUs, and for a compiler of their own
            known.attr.pop(kept_apart, None)
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1
    options.optimizers.append("function")
    options.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    meta = meta_graph_pb2.MetaGraphDef(graph_def=graph)
    meta.collection_def["train_op"].node_list.value.extend(tensors)
    return tf_optimizer.OptimizeGraph(config, meta)


def _attributed(graph: Any) -> Iterator[Any]:
    """Everything in a graph that has attributes: operations, functions, and the operations in those."""
    yield from graph.node
    for function in graph.library.function:
        yield function
        yield from function.node_def


def freeze(graph: Any, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Frozen:
    """A graph without variables as tf2onnx wants it: its constants folded, and what it needs not left out.

    Raises:
        RejectedContent: it is too large for one graph.
    """
    import tensorflow
    from tf2onnx.tf_loader import fix_freezing_errors, fix_freezing_errors_part2, tf_optimize
    from tf2onnx.tf_utils import compress_graph_def

    if graph.ByteSize() > _GRAPH_BOUND:
        raise RejectedContent(
            f"its graph and weights have more than {_GRAPH_BOUND} bytes, which TensorFlow cannot hold in one graph: "
            "use a smaller model, or export it to ONNX and import that"
        )
    graph = fix_freezing_errors_part2(fix_freezing_errors(graph))
    if any(node.op in _CALLS for node in graph.node):
        graph = inlined(graph, [*inputs.values(), *outputs.values()])
    for known in _attributed(graph):
        known.attr.pop("_output_shapes", None)  # what was true of variables need not be of constants
    with tensorflow.Graph().as_default():
        optimized = tf_optimize(list(inputs.values()), list(outputs.values()), graph)
    weights = compress_graph_def(optimized)
    return Frozen(optimized, weights, inputs, outputs)
