"""From a frozen graph of TensorFlow to ONNX, by ``process_tf_graph`` of tf2onnx (https://github.com/onnx/tensorflow-onnx).

Its shorter ways do not do: ``from_keras`` knows no Keras 3, its command and ``from_saved_model`` run what
``tf.saved_model.load`` finds, at which nobody has looked. An operation that it does not know stays in the model as it
is; ONNX's checker names it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy

from functions._translators.inputs import Input
from functions._translators.tensorflow_graph import Frozen


def exporter(frozen: Frozen, inputs: Sequence[Input]) -> Callable[[Path, int], int]:
    """Writes a graph to a path at an opset."""

    def export(path: Path, opset: int) -> int:
        model = _converted(frozen, opset)
        _order(model.graph, list(frozen.inputs), list(frozen.outputs))
        _name_sides(model.graph, inputs)
        path.write_bytes(model.SerializeToString(deterministic=True))
        return next(int(one.version) for one in model.opset_import if one.domain == "")

    return export


def _converted(frozen: Frozen, opset: int) -> Any:
    import tensorflow
    from tf2onnx.tfonnx import process_tf_graph

    with tensorflow.Graph().as_default() as graph:
        tensorflow.import_graph_def(frozen.graph, name="")
        converted = process_tf_graph(
            graph,
            opset=opset,
            input_names=list(frozen.inputs.values()),
            output_names=list(frozen.outputs.values()),
            tensors_to_rename={tensor: name for name, tensor in (*frozen.inputs.items(), *frozen.outputs.items())},
            const_node_values=frozen.weights,
            custom_op_handlers=_MISSING,
        )
        return _simplified(converted).make_model("")


def _simplified(graph: Any) -> Any:
    """The loop of ``tf2onnx.optimizer.optimize_graph``, without writing all weights anew after each of its steps.

    Protobuf keeps what is overwritten until the end: of a model of 100 MB that would be 2.4 GB.
    """
    from tf2onnx.optimizer import _get_optimizers

    _widen_scalars(graph)
    changed, round_ = True, 0
    while changed:
        changed = False
        for make in _get_optimizers().values():
            step = make()
            step.opt_iteration = round_
            graph = step._optimize(graph) or graph
            graph.delete_unused_nodes(graph.outputs)
            changed = changed or step.graph_been_opt
        round_ += 1
    graph.topological_sort(graph.get_nodes())
    return graph


def _widen_scalars(graph: Any) -> None:
    """Scalars that are added become lists of one: tf2onnx 1.17 looks for their largest side, and scalars have none."""
    for node in list(graph.get_nodes()):
        if node.type == "Add" and node.inputs[1].is_const() and graph.get_rank(node.input[0]):
            value = node.inputs[1].get_tensor_value(as_list=False)
            if value.shape == ():
                graph.replace_input(
                    node, node.input[1], graph.make_const(f"{node.name}_wide", value[None]).output[0], 1
                )


def _beside_one(function: str, *, one_first: bool) -> tuple[Callable[..., None], list[str]]:
    """How tf2onnx is told of an operation that is another one's difference from 1."""

    def handle(context: Any, node: Any, name: str, _: object) -> None:
        from tf2onnx.utils import map_onnx_to_numpy_type

        kind, shape = context.get_dtype(node.input[0]), context.get_shape(node.output[0])
        inner = context.make_node(function, [node.input[0]], dtypes=[kind], shapes=[shape]).output[0]
        one = context.make_const(f"{name}_one", numpy.ones((), map_onnx_to_numpy_type(kind))).output[0]
        outputs, sides = list(node.output), [one, inner] if one_first else [inner, one]
        context.remove_node(name)
        context.make_node("Sub", sides, name=name, outputs=outputs, dtypes=[kind], shapes=[shape])

    return handle, []


def _order(graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Brings what goes in and out into the order of the source; tf2onnx puts inputs that are not used last."""
    for values, names in ((graph.input, inputs), (graph.output, outputs)):
        known = {value.name: value for value in values}
        ordered = [known[name] for name in names]
        del values[:]
        values.extend(ordered)


def _name_sides(graph: Any, inputs: Sequence[Input]) -> None:
    """Names free sizes: those of inputs as in our signature, those of outputs, which TensorFlow does not tell, anew."""
    for value, known in zip(graph.input, inputs, strict=True):
        for side, wanted in zip(value.type.tensor_type.shape.dim, known.shape, strict=True):
            if isinstance(wanted, str):
                side.dim_param = wanted
    for value in graph.output:
        for axis, side in enumerate(value.type.tensor_type.shape.dim):
            if not side.dim_value:
                side.dim_param = f"{value.name}_{axis}"


_MISSING = {"Erfc": _beside_one("Erf", one_first=True), "Expm1": _beside_one("Exp", one_first=False)}
"""What ONNX has and tf2onnx 1.17 does not; gelu and celu need it."""
