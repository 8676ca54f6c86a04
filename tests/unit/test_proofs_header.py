"""Headers of blocks that others' nodes made, recorded with their hashes; where from, the recording says."""

import json
from pathlib import Path
from typing import Any

import pytest
import rlp

from functions._backends.keccak import keccak
from functions._backends.proofs import header
from functions._backends.proofs.header import RejectedHeader

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded" / "headers.json").read_text())
CHAINS = tuple(RECORDED)
LATER = ("withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash")


def block(chain: str, **fields: str) -> dict[str, str]:
    return {**RECORDED[chain]["block"], **fields}


@pytest.mark.parametrize("chain", CHAINS)
def test_the_rlp_of_a_recorded_header_has_the_blocks_hash(chain: str) -> None:
    shown = block(chain)
    found = header.read(header.preimage(shown))
    assert found.hash == shown["hash"]
    assert found.state_root == shown["stateRoot"]
    assert (found.number, found.timestamp) == (int(shown["number"], 16), int(shown["timestamp"], 16))


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(
    "field", ["hash", "stateRoot", "number", "timestamp", "gasUsed", "logsBloom", "nonce", "miner"]
)
def test_a_block_that_was_altered_is_refused_naming_the_chains_that_are_understood(chain: str, field: str) -> None:
    shown = block(chain)
    last = "1" if shown[field][-1] == "0" else "0"
    with pytest.raises(RejectedHeader, match=r"understood are Ethereum .* Clique, QBFT, IBFT 2 and GoQuorum's IBFT"):
        header.preimage({**shown, field: shown[field][:-1] + last})


@pytest.mark.parametrize("chain", CHAINS)
def test_the_seals_of_a_block_are_not_part_of_what_is_hashed(chain: str) -> None:
    shown = block(chain)
    seal = shown["extraData"][-120:-60]
    assert seal not in header.preimage(shown).hex()
    other = shown["extraData"].replace(seal, seal[::-1])
    assert header.preimage({**shown, "extraData": other}) == header.preimage(shown)


def test_the_round_of_a_qbft_block_is_not_part_of_what_is_hashed() -> None:
    shown = block("qbft")
    vanity, validators, vote, _, seals = rlp.decode(bytes.fromhex(shown["extraData"][2:]))
    later = rlp.encode([vanity, validators, vote, b"\x03", seals])
    assert header.preimage({**shown, "extraData": "0x" + later.hex()}) == header.preimage(shown)


@pytest.mark.parametrize("count", range(len(LATER) + 1))
def test_fields_of_later_forks_are_hashed_in_their_order(count: int) -> None:
    values = ["0x" + "a1" * 32, "0x20000", "0x0", "0x" + "b2" * 32, "0x" + "c3" * 32]
    shown = block("qbft", extraData="0x01", **dict(zip(LATER[:count], values, strict=False)))
    fields = rlp.decode(header.preimage(block("qbft")))
    fields[12] = b"\x01"
    numbers = {"blobGasUsed": b"\x02\x00\x00", "excessBlobGas": b""}
    more = [numbers[name] if name in numbers else bytes.fromhex(shown[name][2:]) for name in LATER[:count]]
    expected = rlp.encode([*fields, *more])
    assert header.preimage({**shown, "hash": "0x" + keccak(expected).hex()}) == expected
    assert header.read(expected).hash == "0x" + keccak(expected).hex()


@pytest.mark.parametrize("missing", ["stateRoot", "hash", "extraData", "number"])
def test_a_block_without_a_field_is_refused(missing: str) -> None:
    shown = block("qbft")
    del shown[missing]
    with pytest.raises(RejectedHeader, match=missing):
        header.preimage(shown)


def test_no_block_is_refused() -> None:
    with pytest.raises(RejectedHeader, match="is no block"):
        header.preimage(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields[:14],
        lambda fields: [*fields, *[b"\x01" * 32] * 6],
        lambda fields: [fields[0][:31], *fields[1:]],
        lambda fields: [*fields[:8], b"\0" + fields[8], *fields[9:]],
        lambda fields: [*fields[:3], [fields[3]], *fields[4:]],
        lambda fields: fields[3],
    ],
)
def test_what_is_no_header_is_refused(change: Any) -> None:
    encoded = rlp.encode(change(rlp.decode(header.preimage(block("qbft")))))
    with pytest.raises(RejectedHeader, match="header is none"):
        header.read(encoded)


@pytest.mark.parametrize("end", [b"\0", b"\x80"])
def test_a_header_with_bytes_after_its_end_is_refused(end: bytes) -> None:
    with pytest.raises(RejectedHeader, match="header is none"):
        header.read(header.preimage(block("qbft")) + end)
