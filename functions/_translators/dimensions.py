"""What a signature does not say: at which sizes to try a free dimension, how large an index may be, usable names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from functions._translators.inputs import WHOLES, Input, sizes

_SEQUENCES, _SIDES = (1, 4, 7), (64, 96, 80)


def tried(axis: int, rank: int) -> tuple[int, ...]:
    """Three sizes: few rows of a batch, sequences of one and more, sides of images that survive some halving."""
    if axis == 0:
        return sizes(0, None, 2)
    return _SIDES if rank >= 4 else _SEQUENCES


def onnx_names(names: Sequence[str]) -> list[str]:
    """Letters, digits and underscores of some names, each name once."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W+", "_", name).strip("_") or "tensor"
        twins = 0
        while (candidate := f"{plain}_{twins}" if twins else plain) in found:
            twins += 1
        found.append(candidate)
    return found


def bounded(inputs: Sequence[Input], rows: Mapping[str, int]) -> tuple[Input, ...]:
    """Inputs with whole numbers kept below the number of rows of the tables that they reach; bytes are of images."""
    return tuple(
        replace(known, high=rows[known.name] - 1)
        if known.dtype in WHOLES and known.name in rows
        else replace(known, high=255)
        if known.dtype == "uint8"
        else known
        for known in inputs
    )


def rows_reached(model: Any) -> dict[str, int]:
    """For each input of an ONNX model that is used as an index, the rows of the smallest constant table it reaches."""
    sizes_of = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    found: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type == "Gather" and len(sizes_of.get(node.input[0], ())) > 1:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            count = int(sizes_of[node.input[0]][axis])
            for name in _sources(makers, node.input[1]):
                found[name] = min(count, found.get(name, count))
    return found


_MOVES = re.compile(
    "Cast|Clip|Concat|Expand|Identity|Max|Min|Reshape|Slice|Squeeze|Transpose|Unsqueeze|Where|Add|Sub|Less|Split"
)
"""What may lie between an input and the table in which it is looked up. A mask that is summed up is no index."""


def _sources(makers: Mapping[str, Any], name: str) -> set[str]:
    seen, waiting = set[str](), [name]
    while waiting:
        current = waiting.pop()
        maker = makers.get(current)
        if current not in seen and (maker is None or _MOVES.fullmatch(maker.op_type)):
            seen.add(current)
            waiting.extend(maker.input if maker else ())
    return seen
