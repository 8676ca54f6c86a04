"""Inventories: what is written is read back, in one order, however the bytes are cut; nothing altered is believed."""

import hashlib
import json
import string
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._domain.errors import RejectedContent
from functions._domain.inventory import InventoryLine, digest_of_lines, line, order, read

PARTS = st.text('aZ0 .-_#%"é日\uffff😀', min_size=1, max_size=8).filter(lambda part: part not in (".", ".."))
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
SHA256 = st.binary(min_size=32, max_size=32).map(bytes.hex)
LINES = st.builds(InventoryLine, PATHS, st.integers(0, 2**53 - 1), SHA256)


def inventories(least: int = 0) -> st.SearchStrategy[list[InventoryLine]]:
    """Files of some asset, in an inventory's order."""
    some = st.lists(LINES, min_size=least, max_size=6, unique_by=lambda entry: entry.path)
    return some.map(lambda entries: sorted(entries, key=lambda entry: order(entry.path)))


def _written(entries: list[InventoryLine]) -> bytes:
    return b"".join(line(*entry) for entry in entries)


@given(inventories())
def test_what_is_written_is_read_back(entries: list[InventoryLine]) -> None:
    assert list(read([_written(entries)])) == entries


@given(inventories(), st.integers(1, 50))
def test_how_the_bytes_are_cut_makes_no_difference(entries: list[InventoryLine], size: int) -> None:
    data = _written(entries)
    assert list(read(data[at : at + size] for at in range(0, len(data), size))) == entries


@given(inventories(), st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_files(entries: list[InventoryLine], random: Random) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert digest_of_lines(shuffled) == f"sha256:{hashlib.sha256(_written(entries)).hexdigest()}"


@given(inventories(1))
def test_each_line_is_json_that_any_tool_reads(entries: list[InventoryLine]) -> None:
    documents = [json.loads(raw) for raw in _written(entries).decode().split("\n")[:-1]]
    assert documents == [{"path": one.path, "size": one.size, "sha256": one.sha256} for one in entries]


@given(inventories(1), st.data())
def test_an_altered_byte_is_refused_or_gives_another_digest(entries: list[InventoryLine], data: st.DataObject) -> None:
    written = bytearray(_written(entries))
    position = data.draw(st.integers(0, len(written) - 1))
    written[position] ^= data.draw(st.integers(1, 255))
    try:
        found = list(read([bytes(written)]))
    except RejectedContent:
        return
    assert found != entries
    assert digest_of_lines(found) != digest_of_lines(entries)


@given(inventories(1), st.data())
def test_an_inventory_that_was_cut_off_is_refused_or_shorter(entries: list[InventoryLine], data: st.DataObject) -> None:
    written = _written(entries)
    rest = written[: data.draw(st.integers(0, len(written) - 1))]
    if not rest.endswith(b"\n") and rest:
        with pytest.raises(RejectedContent, match="cut off"):
            list(read([rest]))
    else:
        assert len(list(read([rest]))) < len(entries)


@given(inventories(2))
def test_lines_out_of_order_are_refused(entries: list[InventoryLine]) -> None:
    entries.reverse()
    with pytest.raises(RejectedContent, match="out of order"):
        list(read([_written(entries)]))


def test_a_file_named_twice_is_refused() -> None:
    twice = line("a", 1, "0" * 64) * 2
    with pytest.raises(RejectedContent, match="out of order"):
        list(read([twice]))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"path":"../a","sha256":"' + b"0" * 64 + b'","size":1}\n',
        b'{"path":"/a","sha256":"' + b"0" * 64 + b'","size":1}\n',
        b'{"size":1,"path":"a","sha256":"' + b"0" * 64 + b'"}\n',
        b'{"path": "a","sha256":"' + b"0" * 64 + b'","size":1}\n',
        b'{"path":"a","sha256":"' + b"0" * 64 + b'"}\n',
        b'{"path":7,"sha256":"' + b"0" * 64 + b'","size":1}\n',
        b'{"path":"a","sha256":"' + b"0" * 64 + b'","size":1,"more":2}\n',
        b"[]\n",
        b"null\n",
        b"\n",
        b"\xff\n",
    ],
)
def test_what_is_no_line_is_refused(raw: bytes) -> None:
    with pytest.raises(RejectedContent, match="not an inventory"):
        list(read([raw]))


@pytest.mark.parametrize(
    ("size", "sha256"),
    [
        (-1, "0" * 64),
        (1.5, "0" * 64),
        (True, "0" * 64),
        ("1", "0" * 64),
        (1, "0" * 63),
        (1, "G" * 64),
        (1, "A" * 64),
        (1, None),
    ],
)
def test_a_size_or_digest_of_another_form_is_refused(size: object, sha256: object) -> None:
    raw = json.dumps({"path": "a", "sha256": sha256, "size": size}, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(RejectedContent, match="not an inventory"):
        list(read([raw]))


def test_the_order_is_that_of_utf_8_bytes_not_of_utf_16() -> None:
    assert order("\uffff") < order("\U00010000")
    assert order("a") < order("a/b")
    assert order("a b") < order("a/b") < order("ab")
    assert sorted(string.printable, key=order) == sorted(string.printable)
