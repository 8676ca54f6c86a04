"""The ledger's words and digests against the packages that know all of the ABI."""

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak as reference
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from functions._backends import words
from functions._backends.keccak import checksummed, keccak

KINDS = ("bytes16", "bytes32", "uint8", "uint256", "uint64", "bool", "(address,uint64,uint8,bool)")
VALUES = st.tuples(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 255),
    st.integers(0, 2**256 - 1),
    st.integers(0, 2**64 - 1),
    st.booleans(),
    st.tuples(
        st.binary(min_size=20, max_size=20).map(to_checksum_address),
        st.integers(0, 2**64 - 1),
        st.integers(0, 255),
        st.booleans(),
    ),
)


@given(st.binary(max_size=600))
def test_a_keccak_digest_is_the_one_of_eth_hash(data: bytes) -> None:
    assert keccak(data) == reference(data)


@given(st.binary(min_size=20, max_size=20))
def test_an_address_has_the_capitals_of_eip_55(address: bytes) -> None:
    assert checksummed(address) == to_checksum_address(address)


@given(VALUES)
def test_values_become_the_words_of_the_abi_and_come_back(values: tuple[object, ...]) -> None:
    data = words.encode(KINDS, values)
    assert data == encode(KINDS, values)
    assert words.decode(KINDS, data) == values


@pytest.mark.parametrize("kind", ["bytes", "string", "bytes16[]", "(bytes16,bytes16[])", "address[4]"])
def test_what_has_no_fixed_length_is_left_to_eth_abi(kind: str) -> None:
    assert not words.are_fixed([kind])


def test_an_answer_that_is_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before its uint8"):
        words.decode(["bytes32", "uint8"], bytes(40))


def test_bytes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="17 bytes are no bytes16"):
        words.encode(["bytes16"], [bytes(17)])
