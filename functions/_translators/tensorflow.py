"""Translates TensorFlow SavedModels: the serving signature, loaded as TensorFlow Serving loads it, through tf2onnx.

What may run of it is decided in ``tensorflow_archive``. That part is imported into a session, its variables are
restored, and the signature is what the translation is measured against. For the export, variables become constants
(``tensorflow_graph``).

    python -I -m functions._translators.tensorflow SOURCE TARGET OPTIONS.json
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._domain.formats import Format
from functions._translators import tensorflow_archive
from functions._translators.child import Options, main, refusing
from functions._translators.dimensions import onnx_names
from functions._translators.equivalence import Run, Source
from functions._translators.exporting import Framework
from functions._translators.inputs import Array, Input
from functions._translators.tensorflow_archive import SavedModel
from functions._translators.tensorflow_export import exporter
from functions._translators.tensorflow_graph import (
    OPSETS,
    Frozen,
    distribution,
    freeze,
    inlined,
    input_of,
    signature_of,
    start,
)


def read(folder: Path, known: Format, _options: Options) -> Source:
    """A loaded SavedModel. Raises RejectedContent where it cannot be read or measured."""
    start("keras")
    path = folder / known.main
    archive = tensorflow_archive.read(path)
    inputs, outputs = _named(archive)
    described = [_input(name, tensor) for name, tensor in inputs.items()]
    with refusing("this SavedModel cannot be loaded", "look whether it is whole, and save it again"):
        session = _restored(archive, path.parent / "variables" / "variables")
        frozen = freeze(_constant(session, archive), _tensors(inputs), _tensors(outputs))
    return Source(
        _runner(session, frozen),
        signature_of(described, frozen),
        (),
        "tf2onnx, SavedModel",
        exporter(frozen, described),
    )


def _named(archive: SavedModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs in the order of their names, numbers in them as numbers: there is no other order to keep."""
    wanted, given = _sorted(archive.inputs), _sorted(archive.outputs)
    names = onnx_names([*wanted, *given])
    tensors = [*(archive.inputs[key] for key in wanted), *(archive.outputs[key] for key in given)]
    named = list(zip(names, tensors, strict=True))
    return dict(named[: len(wanted)]), dict(named[len(wanted) :])


def _sorted(keys: Iterable[str]) -> list[str]:
    return sorted(keys, key=lambda key: [part.zfill(9) if part.isdigit() else part for part in re.split(r"(\d+)", key)])


def _tensors(named: Mapping[str, Any]) -> dict[str, str]:
    return {name: tensor.name for name, tensor in named.items()}


def _input(name: str, tensor: Any) -> Input:
    import tensorflow

    if tensor.tensor_shape.unknown_rank:
        raise RejectedContent(f"its input {name!r} has no shape: save it with an input_signature that says the shape")
    sides = [None if side.size < 0 else side.size for side in tensor.tensor_shape.dim]
    return input_of(name, tensorflow.dtypes.as_dtype(tensor.dtype), sides)


def _restored(archive: SavedModel, variables: Path) -> Any:
    """A session with the graph and the values of its variables."""
    import tensorflow

    graph = tensorflow.Graph()
    with graph.as_default():
        tensorflow.import_graph_def(archive.whole, name="")
        for handle in _operations(graph, "VarHandleOp"):
            # The name at which TensorFlow looks for a variable's value.
            tensorflow.raw_ops.ReadVariableOp(
                resource=handle.outputs[0], dtype=handle.get_attr("dtype"), name=f"{handle.name}/Read/ReadVariableOp"
            )
    session = tensorflow.compat.v1.Session(graph=graph)
    if archive.restore and variables.with_name("variables.index").is_file():
        session.run(archive.restore, {archive.file_name: str(variables)})
    for initializer in archive.initializers:
        session.run(initializer)
    return session


def _operations(graph: Any, kind: str) -> Iterable[Any]:
    return [operation for operation in graph.get_operations() if operation.type == kind]


def _constant(session: Any, archive: SavedModel) -> Any:
    """The serving graph with the values of its variables."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_from_session_graph

    tensors = [tensor.name for tensor in (*archive.inputs.values(), *archive.outputs.values())]
    graph = inlined(archive.serving, tensors)
    # Inputs are named too, so that one is kept on which no output depends.
    return convert_variables_to_constants_from_session_graph(session, graph, [name.split(":")[0] for name in tensors])


def _runner(session: Any, frozen: Frozen) -> Run:
    call = session.make_callable(list(frozen.outputs.values()), list(frozen.inputs.values()))

    def run(arrays: Sequence[Array]) -> list[Array]:
        return [numpy.asarray(array) for array in call(*arrays)]

    return run


TENSORFLOW = Framework("tensorflow", "TensorFlow", OPSETS, (distribution(), "tf2onnx"), read)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], TENSORFLOW.translate))
