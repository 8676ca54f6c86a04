"""Merkle-Patricia proofs over random tries: every key is proven there or not, and no proof is told in another way."""

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st
from trie import HexaryTrie

from functions._backends.keccak import keccak
from functions._backends.proofs.trie import EMPTY_ROOT, unhex, value_at
from functions._domain.errors import RejectedContent

KEYS = st.binary(min_size=1, max_size=20)
TRIES = st.dictionaries(KEYS, st.binary(min_size=1, max_size=80), max_size=40)


def trie_of(entries: dict[bytes, bytes]) -> HexaryTrie:
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie[keccak(key)] = value
    return trie


def proof_of(trie: HexaryTrie, key: bytes) -> list[str]:
    """As nodes give it: the nodes on the way that are referred to by their digest."""
    nodes = [rlp.encode(node) for node in trie.get_proof(keccak(key))]
    return [
        "0x" + node.hex() for place, node in enumerate(nodes) if node != b"\x80" and (place == 0 or len(node) >= 32)
    ]


def read(root: bytes, key: bytes, proof: list[str]) -> bytes | None:
    return value_at(root, key, proof, "the proof", "the root")


@given(TRIES, KEYS)
def test_every_key_is_proven_to_be_there_or_not(entries: dict[bytes, bytes], other: bytes) -> None:
    trie = trie_of(entries)
    for key in (*entries, other):
        assert read(trie.root_hash, key, proof_of(trie, key)) == entries.get(key)


@given(TRIES.filter(bool), st.data())
def test_a_proof_with_any_digit_altered_is_refused(entries: dict[bytes, bytes], data: st.DataObject) -> None:
    trie = trie_of(entries)
    key = data.draw(st.sampled_from(sorted(entries)) | KEYS)
    proof = proof_of(trie, key)
    node = data.draw(st.integers(0, len(proof) - 1))
    place = data.draw(st.integers(0, len(proof[node]) - 1))
    letter = data.draw(st.sampled_from("0123456789abcdefABCDEFxX -").filter(lambda one: one != proof[node][place]))
    proof[node] = proof[node][:place] + letter + proof[node][place + 1 :]
    with pytest.raises(RejectedContent):
        read(trie.root_hash, key, proof)


@given(TRIES.filter(bool), st.data())
def test_a_proof_with_a_node_more_less_or_elsewhere_is_refused(
    entries: dict[bytes, bytes], data: st.DataObject
) -> None:
    trie = trie_of(entries)
    key = data.draw(st.sampled_from(sorted(entries)) | KEYS)
    proof = proof_of(trie, key)
    pool = ["0x" + node.hex() for node in trie.db.values()] + ["0x", "0x80", "0xc0"]
    place = data.draw(st.integers(0, len(proof)))
    more = [*proof[:place], data.draw(st.sampled_from(pool)), *proof[place:]]
    less = [*proof[: max(place - 1, 0)], *proof[max(place, 1) :]]
    for other in (more, less, data.draw(st.permutations(proof)), proof[::-1]):
        if other != proof:
            with pytest.raises(RejectedContent):
                read(trie.root_hash, key, other)


@given(TRIES.filter(lambda entries: len(entries) > 1), st.data())
def test_a_proof_says_nothing_of_another_key(entries: dict[bytes, bytes], data: st.DataObject) -> None:
    trie = trie_of(entries)
    one, other = data.draw(st.permutations(sorted(entries)))[:2]
    try:
        assert read(trie.root_hash, other, proof_of(trie, one)) == entries[other]
    except RejectedContent:
        return
    assert proof_of(trie, one) == proof_of(trie, other)


@given(TRIES.filter(bool), KEYS, st.binary(min_size=32, max_size=32))
def test_a_proof_from_another_root_is_refused(entries: dict[bytes, bytes], key: bytes, root: bytes) -> None:
    with pytest.raises(RejectedContent, match=f"the proof does not lead to the root, 0x{root.hex()}"):
        read(root, key, proof_of(trie_of(entries), key))


def test_an_empty_trie_has_nothing_and_is_proven_by_nothing() -> None:
    assert HexaryTrie({}).root_hash == EMPTY_ROOT
    assert read(EMPTY_ROOT, b"key", []) is None
    for other in (["0x80"], ["0xc0"], ["0x"]):
        with pytest.raises(RejectedContent):
            read(EMPTY_ROOT, b"key", other)


def test_nothing_is_no_proof_of_a_trie_that_is_not_empty() -> None:
    with pytest.raises(RejectedContent, match="does not lead to the root"):
        read(keccak(b"\xc0"), b"key", [])


@pytest.mark.parametrize(
    "node", [b"\xc0", b"\x80", b"\xc2\x01\x02", b"\xc3\x80\x80\x80", b"\x05\x05", b"\xf8", b"", rlp.encode([b"", b"1"])]
)
def test_a_root_that_is_no_node_is_refused(node: bytes) -> None:
    with pytest.raises(RejectedContent):
        read(keccak(node), b"key", ["0x" + node.hex()])


@pytest.mark.parametrize("text", ["", "0", "0x0", "00", "0xAB", "0Xab", "0x ab", "0xab ", "0xzz", "xxab", "0x0a\n"])
def test_hex_digits_are_written_in_one_way(text: str) -> None:
    with pytest.raises(RejectedContent, match="not written in lower-case hex digits"):
        unhex(text, "a node")


@given(st.binary())
def test_bytes_come_back_from_their_hex_digits(data: bytes) -> None:
    assert unhex("0x" + data.hex(), "a node") == data
