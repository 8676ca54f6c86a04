"""Translates Keras 3 ``.keras`` files, whichever backend they were made with, on the TensorFlow backend.

Keras' layers are the same on every backend, and a file holds their description and weights. So the model is loaded on
TensorFlow with ``safe_mode``, as a copy in which nothing is left but that (``keras_archive``). Its call becomes a graph
(``tensorflow_graph``), and the translation is measured against the model itself. ``model.export(format="onnx")`` of
Keras goes the same way without looking at what came out.

    python -I -m functions._translators.keras SOURCE TARGET OPTIONS.json
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._domain.formats import Format
from functions._translators import keras_archive
from functions._translators.child import Options, main, refusing
from functions._translators.dimensions import onnx_names
from functions._translators.equivalence import Run, Source
from functions._translators.exporting import Framework
from functions._translators.inputs import Array
from functions._translators.tensorflow_export import exporter
from functions._translators.tensorflow_graph import (
    OPSETS,
    Frozen,
    distribution,
    dtype_of,
    freeze,
    input_of,
    signature_of,
    start,
)

_ADVICE = "save it again with this version of Keras, or export its graph with model.export('folder') and import that"


def read(folder: Path, known: Format, options: Options) -> Source:
    """A loaded Keras model. Raises RejectedContent where it cannot be read or measured."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    tensorflow = start()
    import keras

    keras.utils.set_random_seed(options.seed)
    model = _loaded(folder / known.main)
    with refusing("this Keras model cannot be run on TensorFlow", _ADVICE):
        tensors = _inputs(model)
        names = onnx_names([tensor.name for tensor in tensors])
        specs = [
            tensorflow.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in zip(names, tensors, strict=True)
        ]
        inputs = [input_of(spec.name, spec.dtype, spec.shape) for spec in specs]
        frozen = _frozen(model, specs)
    return Source(
        _runner(model), signature_of(inputs, frozen), (), "tf2onnx, Keras on TensorFlow", exporter(frozen, inputs)
    )


def _loaded(path: Path) -> Any:
    import keras

    with tempfile.TemporaryDirectory(prefix="keras-") as copy:
        keras_archive.vetted(path, Path(copy))
        with refusing("this Keras file cannot be loaded", _ADVICE):
            return keras.saving.load_model(copy, compile=False, safe_mode=True)


def _inputs(model: Any) -> list[Any]:
    import keras

    tensors = keras.tree.flatten(getattr(model, "inputs", None) or [])
    if not tensors or any(tensor is None for tensor in tensors):
        raise RejectedContent(
            f"it does not say what it takes: call it once before saving, or begin with an Input; {_ADVICE}"
        )
    return list(tensors)


def _called(model: Any, arrays: Sequence[Any]) -> list[Any]:
    """The outputs for some inputs, in the order of ``model.inputs``, whatever they are nested in."""
    import keras

    # One that is a sequence takes one array, and knows no nesting before it was called.
    is_sequence = isinstance(model, keras.Sequential)
    given = arrays[0] if is_sequence else keras.tree.pack_sequence_as(model.input, list(arrays))
    return list(keras.tree.flatten(model(given, training=False)))


def _frozen(model: Any, specs: Sequence[Any]) -> Frozen:
    import tensorflow
    from tf2onnx.tf_loader import convert_variables_to_constants_large_model

    call = tensorflow.function(lambda *arrays: _called(model, arrays), input_signature=list(specs), autograph=False)
    concrete = call.get_concrete_function()
    outputs = [f"output_{index}" for index in range(len(concrete.outputs))]
    for name, tensor in zip(outputs, concrete.outputs, strict=True):
        dtype_of(name, tensor.dtype)
    variables = len(concrete.captured_inputs)
    wanted = [tensor.name for tensor in concrete.inputs[: len(concrete.inputs) - variables]]
    given = [tensor.name for tensor in concrete.outputs]
    return freeze(
        convert_variables_to_constants_large_model(concrete),
        dict(zip((spec.name for spec in specs), wanted, strict=True)),
        dict(zip(outputs, given, strict=True)),
    )


def _runner(model: Any) -> Run:
    def run(arrays: Sequence[Array]) -> list[Array]:
        return [numpy.asarray(tensor) for tensor in _called(model, arrays)]

    return run


KERAS = Framework("keras", "Keras", OPSETS, ("keras", distribution(), "tf2onnx"), read)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], KERAS.translate))
