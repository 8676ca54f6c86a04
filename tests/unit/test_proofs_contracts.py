"""Where the contracts keep things and what their code says, without a chain: words, metadata, immutables."""

from collections.abc import Mapping
from uuid import UUID, uuid4

import pytest
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from functions._backends.ethereum import interface
from functions._backends.keccak import keccak
from functions._backends.proofs import clone, code, slots
from functions._domain.assets import Kind
from functions._domain.errors import RejectedContent
from functions._domain.ports import Recorded

ADDRESSES = st.binary(min_size=20, max_size=20).filter(any).map(to_checksum_address)
TIMES = st.integers(1, 2**64 - 1)
DIGESTS = st.binary(min_size=32, max_size=32)
IDS = st.uuids()
LEDGER = "0x" + "Ab" * 20


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


@given(IDS, ADDRESSES, DIGESTS)
def test_slots_are_those_of_the_solidity_rules(asset: UUID, account: str, statement: bytes) -> None:
    role = keccak(b"TRAINER_ROLE")
    assert slots.asset_slot(asset) == keccak(encode(["bytes16", "uint256"], [asset.bytes, 3]))
    keys = keccak(encode(["bytes32", "uint256"], [role, 4]))
    assert slots.signing_key_slot("trainer", account) == keccak(encode(["address", "bytes32"], [account, keys]))
    key = keccak(encode(["bytes16", "bytes32", "bytes32"], [asset.bytes, b"integrity", statement]))
    found = slots.evidence_slot(asset, "integrity", f"sha256:{statement.hex()}")
    assert found == keccak(encode(["bytes32", "uint256"], [key, 2]))


@given(ADDRESSES, TIMES, st.integers(1, 4), st.booleans())
def test_an_assets_word_is_read_as_it_is_packed(contract: str, time: int, kind: int, revoked: bool) -> None:
    word = int(contract, 16) | time << 160 | kind << 224 | revoked << 232
    assert slots.asset_of(word) == slots.AssetSlot(contract, time, kind, revoked)


@given(ADDRESSES, TIMES, st.integers(1, 3))
def test_an_entrys_word_is_read_as_it_is_packed(authorizer: str, time: int, verdict: int) -> None:
    word = int(authorizer, 16) | time << 160 | verdict << 224
    assert slots.recorded_of(word) == Recorded(authorizer, time, verdict)


GOOD = 7 | 8 << 160 | 1 << 224


@pytest.mark.parametrize(
    "word", [7, 7 | 8 << 160, 8 << 160 | 1 << 224, 7 | 1 << 224, GOOD | 4 << 224, GOOD | 2 << 232, GOOD | 1 << 240]
)
def test_a_word_that_the_contracts_never_write_is_refused(word: int) -> None:
    assert slots.asset_of(GOOD) is not None
    assert slots.recorded_of(GOOD) is not None
    with pytest.raises(RejectedContent, match="is no asset's slot"):
        slots.asset_of(word)
    with pytest.raises(RejectedContent, match="is no recorded evidence's slot"):
        slots.recorded_of(word)


def test_a_revoked_asset_is_no_recorded_evidence() -> None:
    revoked = slots.asset_of(GOOD | 1 << 232)
    assert revoked
    assert revoked.revoked
    with pytest.raises(RejectedContent):
        slots.recorded_of(GOOD | 1 << 232)


def test_an_empty_slot_is_nothing() -> None:
    assert (slots.asset_of(0), slots.recorded_of(0)) == (None, None)


def proxy(implementation: str, asset: UUID, parents: tuple[UUID, ...] = ()) -> bytes:
    """Written from the contracts' README, apart from the code that reads it."""
    erc1167 = f"363d3d373d3d3d363d73{implementation[2:]}5af43d82803e903d91602b57fd5bf3"
    fixed = asset.bytes + b"\x01" * 32 + b"\x02" * 32 + b"\x03" * 20
    return bytes.fromhex(erc1167) + fixed + b"".join(parent.bytes for parent in parents)


@given(ADDRESSES, IDS, st.lists(IDS, max_size=32))
def test_an_assets_metadata_is_read_from_its_code(implementation: str, asset: UUID, parents: list[UUID]) -> None:
    found = clone.read(proxy(implementation, asset, tuple(parents)))
    assert (found.implementation, found.asset, found.parents) == (implementation, asset, tuple(parents))
    assert (found.inventory_digest, found.record_digest) == (f"sha256:{'01' * 32}", f"sha256:{'02' * 32}")
    assert found.authorizer == to_checksum_address("0x" + "03" * 20)


@pytest.mark.parametrize("place", [0, 9, 30, 44])
def test_code_that_is_no_proxy_is_no_assets(place: int) -> None:
    changed = bytearray(proxy(LEDGER, uuid4()))
    changed[place] ^= 1
    with pytest.raises(ValueError, match="not an ERC-1167 proxy"):
        clone.read(bytes(changed))


@pytest.mark.parametrize("length", [0, 20, 44, 45, 144, 146, 160])
def test_code_of_another_length_is_no_assets(length: int) -> None:
    with pytest.raises(ValueError, match=r"ERC-1167|bytes of metadata"):
        clone.read((proxy(LEDGER, uuid4()) + bytes(100))[:length])


def deployed(contract: str, written: Mapping[str, bytes]) -> bytes:
    """The build with immutables where its description says that they are."""
    document = interface(contract)
    found = bytearray.fromhex(document["deployedBytecode"][2:])
    for name, places in document["immutableReferences"].items():
        for place in places:
            found[place["start"] : place["start"] + place["length"]] = written[name]
    return bytes(found)


def some_immutables(contract: str) -> dict[str, bytes]:
    return {name: keccak(name.encode()) for name in interface(contract)["immutableReferences"]}


CONTRACTS = ("AssetLedger", "EvidenceLog", *code.DEFINITIONS.values())


@pytest.mark.parametrize("contract", CONTRACTS)
def test_this_versions_code_is_recognised_with_what_the_constructor_wrote(contract: str) -> None:
    written = some_immutables(contract)
    assert code.immutables(contract, deployed(contract, written)) == written


@pytest.mark.parametrize("contract", CONTRACTS)
@given(data=st.data())
def test_code_with_any_other_byte_is_not_this_versions(contract: str, data: st.DataObject) -> None:
    places = interface(contract)["immutableReferences"].values()
    hidden = {at for some in places for place in some for at in range(place["start"], place["start"] + place["length"])}
    changed = bytearray(deployed(contract, some_immutables(contract)))
    changed[data.draw(st.integers(0, len(changed) - 1).filter(lambda at: at not in hidden))] ^= 1
    assert code.immutables(contract, bytes(changed)) is None
    assert code.immutables(contract, bytes(changed[:-1])) is None
    assert code.immutables(contract, bytes(changed) + b"\0") is None


def test_code_that_names_two_ledgers_is_not_this_versions() -> None:
    found = bytearray(deployed("EvidenceLog", some_immutables("EvidenceLog")))
    first, second, *_ = interface("EvidenceLog")["immutableReferences"]["EvidenceLog.LEDGER"]
    assert first["start"] < second["start"]
    found[second["start"]] ^= 1
    assert code.immutables("EvidenceLog", bytes(found)) is None


def test_each_kinds_implementation_is_its_own_immutable() -> None:
    written = some_immutables("AssetLedger")
    for kind, name in zip(Kind, ("DATASET", "MODEL", "TRAINED_MODEL", "TRANSLATION"), strict=True):
        expected = to_checksum_address(keccak(f"AssetLedger.{name}_IMPLEMENTATION".encode())[12:])
        assert code.implementation_of(written, kind) == expected
