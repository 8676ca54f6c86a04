"""What a model is fed while it is measured: seeded inputs that fit its signature, and samples left by the training.

Every dynamic dimension is drawn at three sizes, 1 among them where the model allows it, so that a translation that has
frozen a size is found. Numbers are drawn in the region where the model's own example lies, where there is one.

    >>> evaluate("8*s1 + 2", {"s1": 3})
    26
"""

import ast
import json
import operator
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.columns import Column, draw_table
from functions._translators.decks import Deck

Array = numpy.ndarray[Any, numpy.dtype[Any]]

FLOATS, WHOLES = (
    ("float16", "float32", "float64"),
    ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
TAKEN = (*FLOATS, *WHOLES, "bool")
_ELEMENTS_BOUND, _CASES_BOUND = 2**24, 64
_SAMPLES = ("samples.npz", "samples.json")
_SAMPLES_BOUND, _ROWS_BOUND = 64 * 2**20, 512
_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True)
class Input:
    """One input: its name, numpy's name of its dtype, its shape, and where its numbers lie.

    A dimension is a number, or an expression over the symbols of the signature. ``low`` and ``high`` are inclusive and
    bound whole numbers; ``centre`` and ``spread`` place the others, and ``centre`` is the share of ones in a mask.
    ``columns`` place the numbers of a table, which has rows and columns, each on its own.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    low: int = 0
    high: int = 1
    centre: float = 0.0
    spread: float = 1.0
    columns: tuple[Column, ...] = ()

    def like(self, example: Array) -> "Input":
        """The same input with its numbers placed as those of an example are."""
        if not example.size:
            return self
        if self.dtype in WHOLES or self.dtype == "bool":
            bounded = replace(self, low=min(0, int(example.min())), high=max(1, int(example.max())))
            return replace(bounded, centre=float(example.astype("float64").mean()))
        finite = example[numpy.isfinite(example)].astype("float64")
        if not finite.size:
            return self
        return replace(self, centre=float(finite.mean()), spread=float(finite.std()) or 1.0)


@dataclass(frozen=True)
class Signature:
    """A model's inputs in order, and the sizes at which each symbol of their shapes is tried."""

    inputs: tuple[Input, ...]
    sizes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Case:
    """One set of inputs, with a name by which a report can speak of it."""

    name: str
    arrays: tuple[Array, ...]


@dataclass(frozen=True)
class Samples:
    """Rows that the training run left, and what was expected for them, where it said so."""

    arrays: tuple[Array, ...]
    labels: Array | None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.arrays[0])


def sizes(low: int, high: int | None, hint: int) -> tuple[int, ...]:
    """Up to three sizes for a symbol that may be from ``low`` to ``high``: the smallest, the example's, a larger one.

    >>> sizes(0, None, 2)
    (1, 2, 3)
    """
    smallest = max(1, low)
    wanted = sorted({smallest, max(hint, smallest + 1), max(hint, smallest + 1) + 1})
    return tuple(size for size in wanted if high is None or size <= high) or (smallest,)


def evaluate(expression: str, values: Mapping[str, int]) -> int:
    """The value of a dimension such as ``2*s0 + 1``; arithmetic only, nothing is called.

    Raises:
        RejectedContent: another kind of expression.
    """
    return _evaluated(ast.parse(expression, mode="eval").body, values, expression)


def _evaluated(node: ast.expr, values: Mapping[str, int], whole: str) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluated(operand, values, whole)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATIONS:
            result: int = _OPERATIONS[type(sign)](_evaluated(left, values, whole), _evaluated(right, values, whole))
            return result
    raise RejectedContent(
        f"an input's size is {whole!r}, which cannot be drawn: export it with a plain dynamic dimension"
    )


def draw(signature: Signature, seed: int, *, few: bool = False) -> list[Case]:
    """Cases at each size: with numbers around the centre and with numbers evenly spread, or in turn where ``few``.

    Unless ``few``, more cases follow until every whole number that an input may take was in one, or there are many.
    """
    generator = numpy.random.default_rng(seed)
    decks = _decks(generator, signature.inputs)
    steps = max((len(options) for options in signature.sizes.values()), default=1)
    cases = []
    for step in range(steps):
        # Symbols are shifted against each other, so that two equal sizes do not hide a swapped pair of dimensions.
        values = {
            symbol: options[(step + shift) % len(options)]
            for shift, (symbol, options) in zip(count(), signature.sizes.items(), strict=False)
        }
        sized = ", ".join(f"{symbol}={value}" for symbol, value in values.items()) or "fixed sizes"
        manners = ("normal", "even")
        for manner in (manners[step % 2],) if few else manners:
            arrays = tuple(_drawn(generator, known, values, manner, decks) for known in signature.inputs)
            cases.append(Case(f"{manner}, {sized}", arrays))
    largest = {symbol: max(options) for symbol, options in signature.sizes.items()}
    while not few and len(cases) < _CASES_BOUND and any(deck.left for deck in decks.values()):
        arrays = tuple(_drawn(generator, known, largest, "normal", decks) for known in signature.inputs)
        cases.append(Case(f"whole numbers that were in none before, {len(cases) + 1}", arrays))
    return cases


def _decks(generator: numpy.random.Generator, inputs: Sequence[Input]) -> dict[str, Deck]:
    """For each input of whole numbers, but for masks, those it may take."""
    found = {}
    for known in inputs:
        if known.dtype in WHOLES and (known.low, known.high) != (0, 1):
            bounds = numpy.iinfo(known.dtype)
            low, high = max(known.low, int(bounds.min)), min(known.high, int(bounds.max) - 1)
            found[known.name] = Deck(generator, low, high)
    return found


def _drawn(
    generator: numpy.random.Generator, known: Input, values: Mapping[str, int], manner: str, decks: Mapping[str, Deck]
) -> Array:
    shape = tuple(side if isinstance(side, int) else evaluate(side, values) for side in known.shape)
    if numpy.prod(shape, dtype="float64") > _ELEMENTS_BOUND:
        raise RejectedContent(f"input {known.name!r} has the shape {shape}: more numbers than can be measured with")
    if known.name in decks:
        return decks[known.name].deal(shape).astype(known.dtype)
    if known.dtype == "bool" or known.dtype in WHOLES:
        return _mask(generator, shape, known.centre).astype(known.dtype)
    if known.columns:
        return draw_table(generator, known.columns, shape[0], manner).astype(known.dtype)
    unit = generator.standard_normal(shape) if manner == "normal" else generator.uniform(-1.75, 1.75, shape)
    return numpy.asarray(known.centre + known.spread * unit).astype(known.dtype)


def _mask(generator: numpy.random.Generator, shape: tuple[int, ...], share: float) -> Array:
    """Zeros and ones; the first of each row is what most are, since a wholly masked row has no meaning to models."""
    drawn = generator.random(shape) < min(max(share, 0.125), 0.875)
    if shape:
        drawn[..., :1] = share >= 0.5
    return numpy.asarray(drawn)


def read_samples(folder: Path, inputs: Sequence[Input]) -> Samples | None:
    """What ``samples.npz`` or ``samples.json`` holds: an array of rows for each input by name, and ``labels``.

    A model with one input may call it ``inputs``. Whole-number labels are classes, others are targets.

    Raises:
        RejectedContent: the file does not fit the model, with what was expected.
    """
    with _told_of(folder):
        arrays = _arrays(folder)
        return _samples(arrays, inputs) if arrays else None


def sample_arrays(folder: Path) -> dict[str, Array]:
    """All arrays of the samples by name, unchecked; none where there are no samples. Raises RejectedContent."""
    with _told_of(folder):
        return _arrays(folder)


@contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        name = next((name for name in _SAMPLES if (folder / name).is_file()), _SAMPLES[0])
        raise RejectedContent(f"{name} cannot be used: {error}; write it again, or leave it out") from error


def _arrays(folder: Path) -> dict[str, Array]:
    path = next((folder / name for name in _SAMPLES if (folder / name).is_file()), None)
    return {} if path is None else _read(path)


def _read(path: Path) -> dict[str, Array]:
    if path.stat().st_size > _SAMPLES_BOUND:
        raise ValueError(f"it has more than {_SAMPLES_BOUND} bytes")
    if path.suffix == ".json":
        return {name: numpy.asarray(rows) for name, rows in json.loads(path.read_bytes()).items()}
    with path.open("rb") as stream, numpy.load(stream, allow_pickle=False) as archive:
        if sum(entry.file_size for entry in archive.zip.infolist()) > 4 * _SAMPLES_BOUND:
            raise ValueError("it unpacks to far more than its own size")
        return {name: archive[name] for name in archive.files}


def _samples(arrays: Mapping[str, Array], inputs: Sequence[Input]) -> Samples:
    names = [known.name for known in inputs]
    if len(inputs) == 1 and names[0] not in arrays and "inputs" in arrays:
        arrays = {**arrays, names[0]: arrays["inputs"]}
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(f"it has no array for the inputs {missing}; it has {sorted(arrays)}")
    fitting = tuple(_fitting(arrays[known.name], known) for known in inputs)
    labels = arrays.get("labels")
    if len({len(rows) for rows in (*fitting, *([] if labels is None else [labels]))}) != 1:
        raise ValueError("its arrays do not have the same number of rows")
    return Samples(tuple(rows[:_ROWS_BOUND] for rows in fitting), None if labels is None else labels[:_ROWS_BOUND])


def _fitting(rows: Array, known: Input) -> Array:
    same = rows.ndim == len(known.shape) and rows.ndim > 0 and len(rows) > 0
    fixed = zip(rows.shape[1:], known.shape[1:], strict=False)
    if not same or any(isinstance(side, int) and side != found for found, side in fixed):
        raise ValueError(f"{known.name!r} has the shape {rows.shape}, the model takes {known.shape}")
    return rows.astype(known.dtype, casting="same_kind")
