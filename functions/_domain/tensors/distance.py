"""How far two models are from each other: which tensors differ, and by how much the numbers in them do.

Differences are measured in floating-point tensors that have the same name, type, shape and layout on both sides. The
relative difference of two numbers is their difference divided by the larger of their magnitudes.
"""

import math
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import sub, truediv

from functions._domain.errors import PolyglotError, RejectedContent
from functions._domain.formats import ModelFile
from functions._domain.tensors.parts import CHUNK, ITEM, Part, Place, Source, opened

MOST_MEASURED = 1 << 28
"""The most bytes of tensors that are measured number by number: half a minute where every number differs."""

Key = tuple[str, str]


@dataclass(frozen=True)
class Distance:
    """What differs. ``others`` names parts that are no tensors, ``notes`` says what could not be measured.

    ``max_absolute`` and ``max_relative`` are None where nothing was measured.
    """

    tensors: int
    tensors_differing: int
    others: tuple[str, ...] = ()
    max_absolute: float | None = None
    max_relative: float | None = None
    notes: tuple[str, ...] = ()


@dataclass
class _Measured:
    """What has been found so far."""

    absolute: float | None = None
    relative: float | None = None
    infinite: int = 0
    left: int = MOST_MEASURED
    skipped: list[str] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        if self.skipped:
            shown = ", ".join(self.skipped[:3]) + (" …" if len(self.skipped) > 3 else "")
            why = "no floating-point numbers of one shape on both sides, or too many"
            yield f"not measured, how far {len(self.skipped)} of them are from each other ({shown}): {why}"
        if self.infinite:
            yield f"{self.infinite:,} numbers differ where one of the two is not finite"


def distance(
    originals: Sequence[ModelFile], original: Iterable[Part], others: Sequence[ModelFile], other: Iterable[Part],
    most: int = MOST_MEASURED,
) -> Distance:  # fmt: skip
    """The distance of two models, each given by its files and their parts; ``most`` bytes of tensors are measured.

    Raises:
        RejectedContent: a file changed since its parts were read.
    """
    left, right = ({(one.file, one.name): one for one in parts} for parts in (original, other))
    differing = sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))
    tensors = {key for key in left.keys() | right.keys() if _is_tensor(left.get(key)) or _is_tensor(right.get(key))}
    pairs = [(left[key], right[key]) for key in differing if key in left and key in right and key in tensors]
    measured = _Measured(
        left=most, skipped=[_label(key) for key in differing if key in tensors and not _both(key, left, right)]
    )
    if tensors and not any(key in tensors for key in differing):
        measured.absolute = measured.relative = 0.0
    try:
        _measure(pairs, {one.path: one for one in originals}, {one.path: one for one in others}, measured)
    except PolyglotError:
        raise
    except Exception as error:  # they could be read before
        raise RejectedContent(f"a file changed while it was read ({error!r:.200})") from error
    return Distance(
        len(tensors),
        sum(key in tensors for key in differing),
        tuple(_label(key) for key in differing if key not in tensors),
        measured.absolute,
        measured.relative,
        tuple(measured.notes()),
    )


def _both(key: Key, left: Mapping[Key, Part], right: Mapping[Key, Part]) -> bool:
    return key in left and key in right


def _is_tensor(one: Part | None) -> bool:
    return one is not None and bool(one.dtype)


def _label(key: Key) -> str:
    return " ".join(part for part in key if part)[:200]


def _measure(
    pairs: Sequence[tuple[Part, Part]], left: Mapping[str, ModelFile], right: Mapping[str, ModelFile],
    measured: _Measured,
) -> None:  # fmt: skip
    """Measure file by file, each opened once."""
    by_file = defaultdict[str, list[tuple[Place, Place, str]]](list)
    for one, other in pairs:
        length = one.place.length if one.place else 0
        if not _comparable(one, other) or length > measured.left:
            measured.skipped.append(_label((one.file, one.name)))
        elif one.place and other.place:
            measured.left -= length
            by_file[one.place.path].append((one.place, other.place, one.dtype))
    for path, places in by_file.items():
        is_archive = bool(places[0][0].entry)
        with opened(left[path], is_archive) as first, opened(right[path], is_archive) as second:
            for mine, its, dtype in places:
                for block, its_block in zip(_blocks(first, mine), _blocks(second, its), strict=True):
                    if block != its_block:
                        _compare(block, its_block, dtype, measured)


def _comparable(one: Part, other: Part) -> bool:
    if (one.dtype, one.shape, one.layout) != (other.dtype, other.shape, other.layout) or one.dtype not in ITEM:
        return False
    if one.place is None or other.place is None:
        return False
    same = (one.place.path, one.place.length, bool(one.place.entry))
    is_whole = one.place.length % ITEM[one.dtype] == 0
    return is_whole and same == (other.place.path, other.place.length, bool(other.place.entry))


def _blocks(source: Source, place: Place) -> Iterator[bytes]:
    """A tensor's bytes in blocks of exactly ``CHUNK``, the last apart."""
    rest = b""
    for chunk in source.chunks(place.entry, place.start, place.length):
        rest += chunk
        while len(rest) >= CHUNK:
            yield rest[:CHUNK]
            rest = rest[CHUNK:]
    if rest:
        yield rest


def _compare(one: bytes, other: bytes, dtype: str, measured: _Measured) -> None:
    """Compare two blocks of numbers; written with ``map``, which takes a third of the time of loops."""
    if len(one) != len(other):
        raise RejectedContent("a tensor changed while it was read")
    left, right = numbers(one, dtype), numbers(other, dtype)
    far = list(map(abs, map(sub, left, right)))
    if not math.isfinite(sum(far)):
        left, right = _finite(left, right, measured)
        far = list(map(abs, map(sub, left, right)))
    if 0.0 in far:
        left, right = tuple(compress(left, far)), tuple(compress(right, far))
        far = list(filter(None, far))
    if far:
        size = map(max, map(abs, left), map(abs, right))
        measured.absolute = max(measured.absolute or 0.0, max(far))
        measured.relative = max(measured.relative or 0.0, max(map(truediv, far, size)))


def _finite(
    left: Sequence[float], right: Sequence[float], measured: _Measured
) -> tuple[Sequence[float], Sequence[float]]:
    """The pairs of which both are finite; others are counted where they differ, two NaN being the same."""
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a != b and not (math.isnan(a) and math.isnan(b))]
    kept = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b) and math.isfinite(a - b)]
    measured.infinite += len(pairs) - len(kept)
    return tuple(a for a, _ in kept), tuple(b for _, b in kept)


def numbers(data: bytes, dtype: str) -> Sequence[float]:
    """Little-endian floating-point numbers.

    >>> list(numbers(bytes([0x80, 0x3F]), "bfloat16"))
    [1.0]
    """
    count = len(data) // ITEM[dtype]
    if dtype == "bfloat16":  # the upper half of a float32
        wide = bytearray(4 * count)
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        return struct.unpack(f"<{count}f", wide)
    return struct.unpack(f"<{count}{ {'float16': 'e', 'float32': 'f', 'float64': 'd'}[dtype] }", data)
