"""Authorizations: our EIP-712 digests are everybody's; what is stored is read back or refused, never half believed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions._backends import keys, typed_data
from functions._domain.authorizations import (
    TYPES,
    VERDICTS,
    Authorization,
    Message,
    decode,
    evidence,
    registration,
)
from functions._domain.errors import RejectedContent, UnavailableNewer
from functions._domain.ports import Role
from functions._domain.sealing import is_sealed_by
from tests.fakes import FolderStorage

KEY = bytes(range(1, 33))
LEDGER, EVIDENCE_LOG = "0x" + "1a" * 20, "0x" + "2b" * 20
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda data: f"sha256:{data.hex()}")
CLAIMS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=32)
REGISTRATIONS = st.builds(
    registration, st.uuids(), st.integers(1, 4), DIGESTS, DIGESTS, st.lists(st.uuids(), max_size=4).map(tuple)
)
EVIDENCES = st.builds(evidence, st.uuids(), CLAIMS, DIGESTS, st.sampled_from(sorted(VERDICTS)))
REVOCATIONS = st.builds(
    lambda asset, digest: Message("Revocation", {"id": str(asset), "reasonDigest": digest}), st.uuids(), DIGESTS
)
MESSAGES = REGISTRATIONS | EVIDENCES | REVOCATIONS
CHAINS = st.integers(1, 2**63)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda data: f"0x{data.hex()}")


def as_wallets_take_it(message: Message, chain_id: int, contract: str) -> Mapping[str, Any]:
    """The typed data as a wallet or ``eth_account`` takes it."""
    domain = ("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")
    fields = TYPES[message.type]
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain],
            message.type: [{"name": name, "type": kind} for name, kind in fields],
        },
        "primaryType": message.type,
        "domain": {
            "name": typed_data.CONTRACTS[message.type],
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": contract,
        },
        "message": {name: value for (name, _), value in zip(fields, message.values(), strict=True)},
    }


def signed(message: Message, chain_id: int = 7, contract: str = LEDGER) -> Authorization:
    signature = typed_data.sign(KEY, typed_data.digest(message, chain_id, contract))
    return Authorization(message, "registrar", keys.account_of(KEY), chain_id, contract, signature)


@settings(deadline=None)
@given(MESSAGES, CHAINS, ADDRESSES)
def test_our_digest_is_the_one_that_eth_account_signs(message: Message, chain_id: int, contract: str) -> None:
    theirs = encode_typed_data(full_message=dict(as_wallets_take_it(message, chain_id, contract)))
    ours = signed(message, chain_id, contract)
    assert bytes.fromhex(ours.signature[2:]) == bytes(Account.sign_message(theirs, KEY).signature)
    assert Account.recover_message(theirs, signature=ours.signature) == keys.account_of(KEY)


@settings(deadline=None)
@given(MESSAGES, CHAINS, ADDRESSES)
def test_the_signer_is_recovered(message: Message, chain_id: int, contract: str) -> None:
    assert typed_data.signer_of(signed(message, chain_id, contract)) == keys.account_of(KEY)


@settings(deadline=None)
@given(MESSAGES)
def test_a_signature_is_for_one_chain_and_one_contract(message: Message) -> None:
    one = signed(message)
    for other in (replace(one, chain_id=8), replace(one, contract=EVIDENCE_LOG)):
        assert typed_data.signer_of(other) != one.account


@settings(deadline=None)
@given(MESSAGES, MESSAGES)
def test_two_messages_have_two_digests(one: Message, other: Message) -> None:
    same = typed_data.digest(one, 7, LEDGER) == typed_data.digest(other, 7, LEDGER)
    assert same == ((one.type, one.values()) == (other.type, other.values()))


def test_signing_is_deterministic_and_in_the_lower_half() -> None:
    message = registration(UUID(int=1), 1, f"sha256:{'0' * 64}", f"sha256:{'0' * 64}", ())
    signatures = {signed(message).signature for _ in range(3)}
    assert len(signatures) == 1
    assert int(signatures.pop()[66:130], 16) <= typed_data.HALF_ORDER


@settings(deadline=None)
@given(MESSAGES)
def test_what_is_stored_is_read_back(message: Message) -> None:
    one = signed(message)
    assert decode(one.encode()) == one
    assert decode(one.encode()).digest == one.digest


GOOD = signed(registration(UUID(int=1), 1, f"sha256:{'a' * 64}", f"sha256:{'b' * 64}", (UUID(int=2),)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    ("schema",), ("type",), ("message",), ("domain",), ("signature",), ("domain", "chainId"),
    ("domain", "verifyingContract"), ("message", "id"), ("message", "kind"), ("message", "inventoryDigest"),
    ("message", "parents"),
]  # fmt: skip


@given(st.sampled_from(PLACES), JSON)
@example(("domain", "chainId"), -1)
@example(("domain", "chainId"), str(2**256))
def test_a_field_of_another_form_is_refused_or_can_be_carried(place: tuple[str, ...], value: object) -> None:
    document = json.loads(GOOD.encode())
    inner = document
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    try:
        found = decode(json.dumps(document).encode())
    except RejectedContent:
        return
    typed_data.digest(found.message, found.chain_id, found.contract)


@given(st.binary(max_size=60))
def test_any_bytes_are_no_authorization(data: bytes) -> None:
    with pytest.raises(RejectedContent, match="authorization"):
        decode(data)


def test_an_authorization_of_a_newer_schema_waits_for_an_upgrade_and_of_another_is_refused_by_name() -> None:
    document = {**json.loads(GOOD.encode()), "schema": "polyglot/authorization/v2"}
    with pytest.raises(UnavailableNewer, match="polyglot/authorization/v2"):
        decode(json.dumps(document).encode())
    with pytest.raises(RejectedContent, match="polyglot/record/v2"):
        decode(json.dumps({**document, "schema": "polyglot/record/v2"}).encode())


@pytest.fixture
def registrar(tmp_path: Path) -> keys.RoleKeys:
    role: Role = "registrar"
    keys.create(role, tmp_path / "keys")
    return keys.RoleKeys(role, tmp_path / "keys", 7, LEDGER, EVIDENCE_LOG)


def _store(storage: FolderStorage, asset: UUID, one: Authorization) -> None:
    assert storage.create(f"assets/{asset}/authorizations/{one.digest[7:]}.json", one.encode())


def test_a_genuine_authorization_says_that_its_asset_is_sealed(tmp_path: Path, registrar: keys.RoleKeys) -> None:
    storage = FolderStorage(tmp_path / "bucket")
    assert not is_sealed_by(storage, registrar, UUID(int=1))
    _store(storage, UUID(int=1), registrar.authorize(GOOD.message))
    assert is_sealed_by(storage, registrar, UUID(int=1))


def test_a_forged_authorization_does_not_say_that_its_asset_is_sealed(tmp_path: Path, registrar: keys.RoleKeys) -> None:
    storage, asset = FolderStorage(tmp_path / "bucket"), UUID(int=1)
    _store(storage, asset, replace(GOOD, account=registrar.account))
    _store(storage, asset, registrar.authorize(evidence(asset, "integrity", f"sha256:{'0' * 64}", "passed")))
    other = registration(UUID(int=9), 1, f"sha256:{'a' * 64}", f"sha256:{'b' * 64}", ())
    _store(storage, asset, registrar.authorize(other))
    storage.create(f"assets/{asset}/authorizations/junk.json", b"{}")
    assert not is_sealed_by(storage, registrar, asset)
