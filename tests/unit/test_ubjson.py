"""Universal Binary JSON: what is whole is read, what is not is refused, whatever it is."""

import struct
from contextlib import suppress
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._translators.ubjson import decode

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def written(value: Any) -> bytes:
    match value:
        case None | bool():
            return {None: b"Z", True: b"T", False: b"F"}[value]
        case int():
            return b"L" + struct.pack(">q", value)
        case float():
            return b"D" + struct.pack(">d", value)
        case str():
            return b"S" + text(value)
        case list():
            return b"[" + b"".join(map(written, value)) + b"]"
    return b"{" + b"".join(text(name) + written(each) for name, each in value.items()) + b"}"


def text(value: str) -> bytes:
    return b"L" + struct.pack(">q", len(value.encode())) + value.encode()


@given(document=DOCUMENTS)
def test_what_was_written_is_read(document: Any) -> None:
    assert decode(written(document)) == document


@given(document=st.dictionaries(st.text(max_size=6), DOCUMENTS, min_size=1, max_size=3), data=st.data())
def test_what_is_cut_off_or_goes_on_is_refused(document: Any, data: st.DataObject) -> None:
    whole = written(document)
    with pytest.raises(ValueError, match=r"cut off|type|utf-8"):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match="goes on"):
        decode(whole + b"Z")


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        decode(data)


def test_arrays_of_one_type_are_numpys() -> None:
    found = decode(b"[$d#i\x02" + struct.pack(">ff", 1.5, -2.0))
    assert isinstance(found, numpy.ndarray)
    assert found.tolist() == [1.5, -2.0]
    assert decode(b"[#i\x02TF") == [True, False]


@pytest.mark.parametrize(
    "data",
    [b"[" * 1000, b"[$d#L" + struct.pack(">q", 2**60), b"S" + b"L" + struct.pack(">q", -1), b"[$Td", b"Q", b"SS"],
    ids=["nested", "endless", "negative", "no length", "unknown", "odd length"],
)  # fmt: skip
def test_what_is_hostile_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"nested|cut off|type|length"):
        decode(data)
