"""Documents whose every proof holds, and whose contracts are not what they are said to be; on chains of their own."""

import copy
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions._backends import keys
from functions._backends.ethereum import EthereumLedger, Rpc, legacy_transaction
from functions._backends.ethereum_admin import LedgerAdmin
from functions._backends.keccak import checksummed, keccak
from functions._backends.proofs import code, header, slots
from functions._backends.proofs.proven import ProvenLedger
from functions._domain import authorizations
from functions._domain.bundles import LedgerProof
from functions._domain.errors import RejectedContent, UnavailableLedger
from functions._domain.ports import ROLES, Wanted
from functions._runtime.local import chain, loopback

Document = dict[str, Any]
INVENTORY, RECORD, STATEMENT = (f"sha256:{digit * 64}" for digit in "123")


@dataclass(frozen=True)
class Tenant:
    """A tenant's ledger on a chain, with a dataset, a model, and evidence of the dataset's registration."""

    admin: LedgerAdmin
    ledger: EthereumLedger
    keys: dict[str, keys.RoleKeys]
    dataset: UUID
    model: UUID

    def register(self, kind: int, *parents: UUID) -> UUID:
        asset = uuid4()
        message = authorizations.registration(asset, kind, INVENTORY, RECORD, parents)
        self.ledger.carry(self.keys["registrar"].authorize(message))
        return asset

    @property
    def evidence(self) -> authorizations.Message:
        return authorizations.evidence(self.dataset, "registration", STATEMENT, "passed")

    def document(self, *others: UUID) -> Document:
        signers = (("registrar", self.keys["registrar"].account),)
        return dict(self.ledger.prove(Wanted((self.dataset, self.model, *others), (self.evidence,), signers)))


def tenant(url: str, folder: Path) -> Tenant:
    admin = LedgerAdmin(url, keys.create_admin(folder))
    at = admin.initialize()
    held = {}
    for role in ROLES:
        keys.create(role, folder)
        held[role] = keys.RoleKeys(role, folder, at.chain_id, at.ledger, at.evidence_log)
        admin.appoint(at.ledger, role, held[role].account, held[role].signing_key_digest)
    ledger = EthereumLedger(url, at.chain_id, at.ledger, at.evidence_log)
    found = Tenant(admin, ledger, held, uuid4(), uuid4())
    for asset, kind, parents in ((found.dataset, 1, ()), (found.model, 2, (found.dataset,))):
        message = authorizations.registration(asset, kind, INVENTORY, RECORD, parents)
        ledger.carry(held["registrar"].authorize(message))
    ledger.carry(held["registrar"].authorize(found.evidence))
    return found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("chain")
    (folder / "logs").mkdir()
    started = chain.start(folder / "chain", folder / "logs", print)
    yield started.url
    started.stop()


@pytest.fixture(scope="module")
def acme(url: str, tmp_path_factory: pytest.TempPathFactory) -> Tenant:
    return tenant(url, tmp_path_factory.mktemp("acme"))


@pytest.fixture(scope="module")
def other(url: str, acme: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Tenant:
    return tenant(url, tmp_path_factory.mktemp("other"))


@pytest.fixture
def document(acme: Tenant, other: Tenant) -> Document:
    return acme.document()


def account(url: str, address: str, *wanted: bytes) -> Document:
    """A contract with its proofs at the latest block, straight from the node."""
    node = Rpc(url)
    found = node("eth_getProof", address, [f"0x{slot.hex()}" for slot in wanted], "latest")
    storage = [{"slot": slot["key"], "proof": slot["proof"]} for slot in found["storageProof"]]
    held = node("eth_getCode", address, "latest")
    return {"address": address, "code": held, "proof": found["accountProof"], "storage": storage}


def checked(document: Document) -> ProvenLedger:
    return ProvenLedger(LedgerProof.model_validate_json(json.dumps(document)))


def test_the_document_of_which_parts_are_replaced_below_holds(document: Document, acme: Tenant) -> None:
    proven = checked(document)
    assert [proven.find(asset) for asset in (acme.dataset, acme.model)] == [
        acme.ledger.find(asset) for asset in (acme.dataset, acme.model)
    ]


def test_another_tenants_evidence_log_is_refused(document: Document, acme: Tenant, other: Tenant) -> None:
    document["evidenceLog"] = other.document()["evidenceLog"]
    with pytest.raises(RejectedContent, match=f"evidence log is the one of {other.ledger.address}, expected of"):
        checked(document)


def test_another_tenants_ledger_does_not_vouch_for_the_assets(document: Document, other: Tenant) -> None:
    document["assetLedger"] = other.document()["assetLedger"]
    document["evidenceLog"] = None
    with pytest.raises(RejectedContent, match=r"implementation of dataset is at .*, the ledger's is"):
        checked(document)
    document["implementations"] = other.document()["implementations"]
    with pytest.raises(RejectedContent, match=r"asset .* is not proven"):
        checked(document)


def test_another_tenants_implementation_is_refused_though_its_code_is_the_same(
    document: Document, other: Tenant
) -> None:
    theirs = other.document()["implementations"]["dataset"]
    assert theirs["code"] == document["implementations"]["dataset"]["code"]
    document["implementations"]["dataset"] = theirs
    with pytest.raises(RejectedContent, match=f"implementation of dataset is at {theirs['address']}, the ledger's is"):
        checked(document)


def test_a_contract_that_stands_in_for_the_ledger_is_refused(url: str, document: Document, acme: Tenant) -> None:
    document["assetLedger"] = account(url, acme.ledger.evidence_log, slots.asset_slot(acme.dataset))
    with pytest.raises(RejectedContent, match=r"the ledger at .* is not this version's AssetLedger"):
        checked(document)


def deploy(url: str, code: bytes) -> str:
    """A stranger's contract with this code; returns its address."""
    creation = bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3") + code
    node = Rpc(url)
    chain_id = int(node("eth_chainId"), 16)
    raw = legacy_transaction(os.urandom(32), 0, None, creation, chain_id)
    receipt = node.wait(node("eth_sendRawTransaction", raw))
    return checksummed(bytes.fromhex(receipt["contractAddress"][2:]))


def test_a_strangers_copy_of_an_assets_contract_is_refused(url: str, acme: Tenant, other: Tenant) -> None:
    held = acme.document()["assets"][str(acme.dataset)]["code"]
    address = deploy(url, bytes.fromhex(held[2:]))
    document = acme.document()
    document["assets"][str(acme.dataset)] = account(url, address)
    assert document["assets"][str(acme.dataset)]["code"] == held
    with pytest.raises(RejectedContent, match=f"says the ledger, and {address} is proven"):
        checked(document)


def test_a_strangers_copy_of_the_ledger_is_refused(url: str, acme: Tenant, other: Tenant) -> None:
    held = acme.document()["assetLedger"]["code"]
    address = deploy(url, bytes.fromhex(held[2:]))
    document = acme.document()
    document["assetLedger"] = account(url, address)
    with pytest.raises(RejectedContent, match=r"was not made for chain .*EIP712._cachedThis"):
        checked(document)


def test_what_proves_nothing_is_refused(url: str, document: Document, acme: Tenant) -> None:
    idle = copy.deepcopy(document)
    idle["implementations"]["translation"] = account(url, _implementation(acme, "TRANSLATION"))
    with pytest.raises(RejectedContent, match="implementation of translation is proven, and no asset of that kind"):
        checked(idle)
    for part in (document["implementations"]["dataset"], document["assets"][str(acme.dataset)]):
        idle = copy.deepcopy(document)
        for group in (idle["implementations"], idle["assets"]):
            for name, one in group.items():
                if one["address"] == part["address"]:
                    group[name] = account(url, part["address"], bytes(32))
                    group[name]["storage"][0]["proof"] = []
        with pytest.raises(RejectedContent, match=r"slots of .* are proven, which keeps nothing in any"):
            checked(idle)
    idle = copy.deepcopy(document)
    idle["evidenceLog"]["storage"] = []
    with pytest.raises(RejectedContent, match="evidence log is proven, and none of its entries"):
        checked(idle)


def _implementation(acme: Tenant, name: str) -> str:
    held = bytes.fromhex(acme.document()["assetLedger"]["code"][2:])
    found = code.immutables("AssetLedger", held)
    assert found is not None
    return code.address_of(found[f"AssetLedger.{name}_IMPLEMENTATION"])


def test_a_contract_under_an_id_that_is_not_registered_is_refused(acme: Tenant, other: Tenant) -> None:
    stranger = uuid4()
    document = acme.document(stranger)
    document["assets"][str(stranger)] = document["assets"][str(acme.dataset)]
    with pytest.raises(RejectedContent, match=f"asset {stranger} has a contract proven, and is not registered"):
        checked(document)


def test_a_registered_asset_whose_contract_is_left_out_is_refused_when_asked_for(
    document: Document, acme: Tenant
) -> None:
    del document["assets"][str(acme.model)]
    del document["implementations"]["model"]
    with pytest.raises(RejectedContent, match=f"asset {acme.model} is registered, and its contract is not proven"):
        checked(document).find(acme.model)


def test_an_asset_whose_kinds_implementation_is_left_out_is_refused(document: Document) -> None:
    del document["implementations"]["model"]
    with pytest.raises(RejectedContent, match="which is not proven for a model"):
        checked(document)


def test_what_a_slot_has_is_what_the_contracts_say(url: str, acme: Tenant) -> None:
    node, ledger = Rpc(url), acme.ledger

    def word(address: str, slot: bytes) -> int:
        return int(node("eth_getStorageAt", address, f"0x{slot.hex()}", "latest"), 16)

    for role, held in acme.keys.items():
        digest = f"sha256:{word(ledger.address, slots.signing_key_slot(role, held.account)):064x}"
        assert digest == held.signing_key_digest
        assert word(ledger.address, slots.member_slot(role, held.account)) == 1
    for asset in (acme.dataset, acme.model):
        found, contract = slots.asset_of(word(ledger.address, slots.asset_slot(asset))), ledger.find(asset)
        assert found is not None
        assert contract is not None
        assert found == (contract.address, contract.registered_at, contract.kind.number, contract.revoked)
    asked = (acme.dataset, "registration", STATEMENT)
    assert slots.recorded_of(word(ledger.evidence_log, slots.evidence_slot(*asked))) == ledger.recorded(*asked)


def test_a_dismissed_key_keeps_its_digest_and_loses_its_role(url: str, acme: Tenant) -> None:
    held = acme.keys["verifier"]
    acme.admin.dismiss(acme.ledger.address, "verifier", held.account)
    slot = slots.member_slot("verifier", held.account)
    assert int(Rpc(url)("eth_getStorageAt", acme.ledger.address, f"0x{slot.hex()}", "latest"), 16) == 0
    proven = checked(dict(acme.ledger.prove(Wanted(signers=(("verifier", held.account),)))))
    assert proven.signing_key_digest("verifier", held.account) == held.signing_key_digest


@pytest.mark.parametrize("fork", ["berlin", "london", "paris", "shanghai", "cancun", "prague"])
def test_a_nodes_header_of_every_fork_has_its_blocks_hash(fork: str, tmp_path: Path) -> None:
    port = loopback.free_port()
    options = ("--port", str(port), "--hardfork", fork, "--accounts", "1", "--quiet")
    with subprocess.Popen([chain.find_anvil(), *options], stdout=subprocess.DEVNULL) as node:
        try:
            shown = _first_block(f"http://{loopback.HOST}:{port}", node)
        finally:
            node.terminate()
    preimage = header.preimage(shown)
    assert "0x" + keccak(preimage).hex() == shown["hash"]
    assert header.read(preimage).state_root == shown["stateRoot"]
    assert ("baseFeePerGas" in shown) == (fork != "berlin")
    assert ("requestsHash" in shown) == (fork == "prague")


def _first_block(url: str, node: "subprocess.Popen[bytes]") -> Document:
    ask: Callable[..., Any] = Rpc(url)
    while node.poll() is None:
        try:
            ask("evm_mine")
            return dict(ask("eth_getBlockByNumber", "latest", False))
        except UnavailableLedger:
            continue  # it is not up yet
    raise AssertionError(f"anvil ended with {node.returncode}")
