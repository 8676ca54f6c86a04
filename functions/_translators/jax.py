"""Translates what ``jax.export`` writes (https://docs.jax.dev/en/latest/export): a function as StableHLO.

    shape = jax.export.symbolic_shape("b, 28, 28, 1")
    exported = jax.export.export(jax.jit(model))(jax.ShapeDtypeStruct(shape, "float32"))
    Path("model.jax").write_bytes(exported.serialize())

The other ways to ONNX begin with the Python function, which is code of others. This file holds none: a program of
operations on arrays, in which the parameters that the function closed over are constants. ``stablehlo`` writes it in
ONNX. JAX itself runs it, once it was seen that it has no other operations than those; calls of code elsewhere are such.

    python -I -m functions._translators.jax SOURCE TARGET OPTIONS.json
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._domain.formats import Format
from functions._translators.child import Options, main, refusing
from functions._translators.dimensions import bounded, onnx_names, rows_reached, tried
from functions._translators.equivalence import Run, Source
from functions._translators.exporting import Framework
from functions._translators.inputs import TAKEN, Array, Input, Signature

_AGAIN = "export it again with jax.export.export(jax.jit(function), platforms=('cpu',))(…).serialize()"
_OPSETS = (18, 19, 20, 21, 22, 23)
"""The operators that are written have been the same since 18, but for dtypes."""


def read(folder: Path, known: Format, options: Options) -> Source:
    """A loaded program. Raises RejectedContent where it cannot be read, measured or written in ONNX."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    from functions._translators import stablehlo

    jax.config.update("jax_enable_x64", True)
    with refusing("this exported function cannot be read", _AGAIN):
        exported = jax.export.deserialize(bytearray((folder / known.main).read_bytes()))
        program = _program(exported)
    stablehlo.refuse_unknown(program)
    inputs = _inputs(exported)
    with refusing("this exported function cannot be written in ONNX", "express it by other operations"):
        platform = exported.platforms.index("cpu") if len(exported.platforms) > 1 else None
        model = stablehlo.written(program, inputs, exported.module_kept_var_idx, _outputs(exported, inputs), platform)
    signature = Signature(bounded(inputs, rows_reached(model)), _sizes(inputs))
    return Source(_runner(exported), signature, (), "StableHLO", _exporter(model, options.one_file))


def _program(exported: Any) -> Any:
    from jax._src.interpreters import mlir

    from functions._translators import stablehlo_program

    if "cpu" not in exported.platforms:
        raise RejectedContent(f"it was exported for {', '.join(exported.platforms)[:100]}: {_AGAIN}")
    if exported.nr_devices != 1 or exported.ordered_effects or exported.unordered_effects:
        raise RejectedContent(f"it does more than compute, or on more than one device: {_AGAIN}")
    with mlir.make_ir_context():
        return stablehlo_program.read(exported.mlir_module(serialized=False))


def _inputs(exported: Any) -> list[Input]:
    paths = [path for path, _ in _paths(exported.in_tree)]
    names = onnx_names([_named(path, f"input_{place}") for place, path in enumerate(paths)])
    return [
        Input(name, _dtype(name, value), _sides(value.shape))
        for name, value in zip(names, exported.in_avals, strict=True)
    ]


def _outputs(exported: Any, inputs: Sequence[Input]) -> dict[str, tuple[int | str, ...]]:
    paths = [path for path, _ in _paths(exported.out_tree)]
    taken = [known.name for known in inputs]
    names = onnx_names([*taken, *(_named(path, f"output_{place}") for place, path in enumerate(paths))])[len(taken) :]
    for name, value in zip(names, exported.out_avals, strict=True):
        _dtype(name, value)
    return dict(zip(names, (_sides(value.shape) for value in exported.out_avals), strict=True))


def _paths(tree: Any) -> Iterable[tuple[Any, Any]]:
    import jax

    leaves = jax.tree_util.tree_unflatten(tree, range(tree.num_leaves))
    found: list[tuple[Any, Any]] = jax.tree_util.tree_flatten_with_path(leaves)[0]
    return found


def _named(path: Sequence[Any], otherwise: str) -> str:
    """The last key of a dictionary on the way to an array, or its place."""
    keys = [str(step.key) for step in path if isinstance(getattr(step, "key", None), str)]
    return keys[-1] if keys else otherwise


def _dtype(name: str, value: Any) -> str:
    found = str(value.dtype)
    if found not in TAKEN:
        raise RejectedContent(
            f"{name!r} has the dtype {found}, which is not measured yet; taken are {', '.join(TAKEN)}"
        )
    return found


def _sides(shape: Iterable[Any]) -> tuple[int | str, ...]:
    return tuple(side if isinstance(side, int) else str(side) for side in shape)


def _sizes(inputs: Sequence[Input]) -> dict[str, tuple[int, ...]]:
    """Each symbol at the sizes that fit the first place where it stands."""
    found: dict[str, tuple[int, ...]] = {}
    for known in inputs:
        for axis, side in enumerate(known.shape):
            for symbol in re.findall(r"[A-Za-z_]\w*", side) if isinstance(side, str) else ():
                found.setdefault(symbol, tried(axis, len(known.shape)))
    return found


def _runner(exported: Any) -> Run:
    import jax

    call = jax.jit(exported.call)

    def run(arrays: Sequence[Array]) -> list[Array]:
        positional, named = jax.tree_util.tree_unflatten(exported.in_tree, list(arrays))
        return [numpy.asarray(leaf) for leaf in jax.tree_util.tree_leaves(call(*positional, **named))]

    return run


def _exporter(model: Any, one_file: int) -> Callable[[Path, int], int]:
    import onnx

    from functions._translators import stablehlo

    def export(path: Path, opset: int) -> int:
        large = model.ByteSize() > one_file
        onnx.save(stablehlo.stamped(model, opset), str(path), save_as_external_data=large, location=f"{path.name}.data")
        return opset

    return export


JAX = Framework("jax", "JAX", _OPSETS, ("jax", "jaxlib"), read)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], JAX.translate))
