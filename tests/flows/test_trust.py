"""The trust file: written from a node, read strictly, and different with whom was asked."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions._backends.anchor import anchor
from functions._backends.ethereum import EthereumLedger, Rpc
from functions._backends.ethereum_admin import LedgerAdmin
from functions._backends.keccak import keccak
from functions._backends.keys import RoleKeys, create, create_admin
from functions._backends.proofs.proven import ProvenLedger
from functions._domain.bundles import LedgerProof
from functions._domain.errors import RejectedConflict, RejectedContent, RejectedRequest, UnavailableNewer
from functions._domain.ports import Wanted
from functions._domain.trust import load
from tests.platforms import Site

Document = dict[str, Any]


@pytest.fixture(scope="module")
def ledger(site: Site) -> EthereumLedger:
    found = site.settings
    chain_id = int(found["POLYGLOT_CHAIN_ID"])
    return EthereumLedger(found["POLYGLOT_RPC_URL"], chain_id, found["POLYGLOT_LEDGER"], found["POLYGLOT_EVIDENCE_LOG"])


def trust(site: Site, *options: str, **environment: str) -> Document:
    named = {name: site.settings[name] for name in ("POLYGLOT_RPC_URL", "POLYGLOT_LEDGER")}
    ran = site.run("ledger", "trust", *options, **{**named, **environment})
    assert ran.status == 0, ran.err
    return dict(ran.json)


def test_a_trust_file_says_what_the_ledger_says_and_is_read_again(
    site: Site, ledger: EthereumLedger, tmp_path: Path
) -> None:
    said = trust(site)
    found = load(json.dumps(said).encode())
    assert found.grants() == ledger.grants()
    assert (found.chain_id, found.ledger.address) == (ledger.chain_id, ledger.address)
    assert (found.source, found.evidence_log) == ("platform", None)
    code = Rpc(site.settings["POLYGLOT_RPC_URL"])("eth_getCode", ledger.address, "latest")
    assert found.ledger.code_hash == "0x" + keccak(bytes.fromhex(code[2:])).hex()
    settings = {name: site.settings[name] for name in ("POLYGLOT_RPC_URL", "POLYGLOT_LEDGER")}
    site_run = site.run("ledger", "trust", "-o", str(tmp_path / "trust.json"), **settings)
    assert "hand it over on another way" in site_run.err
    assert load((tmp_path / "trust.json").read_bytes()).ledger == found.ledger


def test_it_agrees_with_what_a_document_proves_at_its_block(site: Site, ledger: EthereumLedger) -> None:
    signers = tuple((grant.role, grant.account) for grant in ledger.grants())
    document = ledger.prove(Wanted(signers=signers))
    proven = ProvenLedger(LedgerProof.model_validate(document))
    found = load(json.dumps(trust(site, "--block", str(proven.block.number))).encode())
    assert (found.block.number, found.block.hash) == (proven.block.number, proven.block.hash)
    assert found.block.state_root == proven.block.state_root
    assert found.ledger.code_hash == proven.code_hashes["AssetLedger"]
    for grant in found.grants():
        assert proven.signing_key_digest(grant.role, grant.account) == grant.signing_key_digest


def test_whose_node_was_asked_is_said(site: Site) -> None:
    node = site.settings["POLYGLOT_RPC_URL"]
    assert trust(site)["source"] == "platform"
    assert trust(site, "--rpc", f"{node}/")["source"] == "platform"
    assert trust(site, "--rpc", node, POLYGLOT_RPC_URL="http://127.0.0.1:1")["source"] == "node"
    assert trust(site, "--rpc", node, POLYGLOT_RPC_URL="")["source"] == "node"


def test_the_evidence_log_is_in_it_where_it_is_known(site: Site, ledger: EthereumLedger) -> None:
    by_option = trust(site, "--evidence-log", ledger.evidence_log)
    assert by_option == trust(site, POLYGLOT_EVIDENCE_LOG=ledger.evidence_log.lower())
    found = load(json.dumps(by_option).encode()).evidence_log
    assert found is not None
    assert found.address == ledger.evidence_log
    settings = {name: site.settings[name] for name in ("POLYGLOT_RPC_URL", "POLYGLOT_LEDGER")}
    ran = site.run("ledger", "trust", "--evidence-log", ledger.address, **settings)
    assert ran.status == 2
    assert "is no evidence log of the ledger" in ran.err


def test_roles_are_told_until_the_block_and_no_further(site: Site, ledger: EthereumLedger, tmp_path: Path) -> None:
    url = site.settings["POLYGLOT_RPC_URL"]
    before = int(Rpc(url)("eth_blockNumber"), 16)
    known = ledger.grants()
    create("verifier", tmp_path)
    held = RoleKeys("verifier", tmp_path, ledger.chain_id, ledger.address, ledger.evidence_log)
    admin = LedgerAdmin(url, create_admin(site.data / "keys"))
    admin.appoint(ledger.address, "verifier", held.account, held.signing_key_digest)
    admin.dismiss(ledger.address, "verifier", held.account)
    told = [one["appointed"] for one in trust(site)["roles"] if one["account"] == held.account]
    assert told == [True, False]
    assert load(json.dumps(trust(site, "--block", str(before))).encode()).grants() == known
    first = load(json.dumps(anchor(url, ledger.address, block=known[0].block)).encode())
    assert [grant for grant in known if grant.block <= known[0].block] == list(first.grants())


def test_a_block_whose_state_the_node_has_dropped_is_told_too(site: Site, ledger: EthereumLedger) -> None:
    node = Rpc(site.settings["POLYGLOT_RPC_URL"])
    appointed = ledger.grants()[-1].block
    for _ in range(70):
        node("evm_mine")
    found = anchor(site.settings["POLYGLOT_RPC_URL"], ledger.address, block=appointed)
    assert found["ledger"] == trust(site)["ledger"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--block", "99999999"), r"the chain has no block 99999999, the latest is \d+"),
        (("--block", "-1"), "is not a block's number"),
        (("--ledger", "0x1234"), "is no address"),
        (("--ledger", "0x272cA7466fB79972e4dD88f93d643126df0fAD9F"), "its capitals do not fit its digits"),
        (("--ledger", "0x" + "11" * 20), "there is no contract at"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_a_reason(site: Site, options: tuple[str, ...], said: str) -> None:
    settings = {name: site.settings[name] for name in ("POLYGLOT_RPC_URL", "POLYGLOT_LEDGER")}
    ran = site.run("ledger", "trust", *options, **settings)
    assert ran.status == 2
    assert re.search(said, ran.err)


def test_the_help_says_that_an_auditor_asks_a_node_of_their_own(site: Site) -> None:
    assert "An auditor runs it against a node of their own" in " ".join(site.ok("ledger", "trust", "--help").split())


@pytest.fixture(scope="module")
def said(site: Site, ledger: EthereumLedger) -> Document:
    return trust(site, "--evidence-log", ledger.evidence_log)


def _altered(part: Any) -> Iterator[Any]:
    """The document with one thing of another type or form, or unknown, or missing."""
    if isinstance(part, dict):
        yield {**part, "more": 1}
        for key, value in part.items():
            if key not in ("source", "evidence_log"):  # which may be missing
                yield {name: one for name, one in part.items() if name != key}
            yield from ({**part, key: other} for other in _altered(value) if other != "polyglot/trust/v10")
    elif isinstance(part, list):
        for place in (0, len(part) - 1):
            yield from ([*part[:place], other, *part[place + 1 :]] for other in _altered(part[place]))
        yield from (part[::-1], {}, "", None)
    elif isinstance(part, bool):
        yield from (not part, int(part), "true", None)
    elif isinstance(part, int):
        yield from (str(part), float(part), -1, 2**64, True, None)
    elif part is None:
        yield from (f"sha256:{'1' * 64}", "", 0, [])
    else:
        yield from ([part], 1, "", f"{part} ", f"{part}0", part.upper())


def test_a_file_of_any_other_form_is_refused_with_what_to_do(said: Document) -> None:
    tried = 0
    for other in _altered(copy.deepcopy(said)):
        with pytest.raises(RejectedContent, match=r"`polyglot ledger trust -o trust.json` writes one|has schema"):
            load(json.dumps(other).encode())
        tried += 1
    assert tried > 100


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedContent, match="not a trust file"):
        load(data)


def test_a_newer_file_waits_for_an_upgrade(said: Document) -> None:
    with pytest.raises(UnavailableNewer):
        load(json.dumps({**said, "schema": "polyglot/trust/v2"}).encode())


def test_a_file_that_does_not_say_whose_node_was_asked_is_the_platforms(said: Document) -> None:
    older = {name: value for name, value in said.items() if name not in ("source", "evidence_log")}
    assert load(json.dumps(older).encode()).source == "platform"


def test_appointments_after_the_block_are_refused(said: Document) -> None:
    later = copy.deepcopy(said)
    later["roles"][-1]["block"] = later["block"]["number"] + 1
    with pytest.raises(RejectedContent, match="later than the block"):
        load(json.dumps(later).encode())


def test_an_address_where_nothing_is_trusted_is_refused(site: Site) -> None:
    with pytest.raises(RejectedConflict, match="there is no contract"):
        anchor(site.settings["POLYGLOT_RPC_URL"], "0x" + "22" * 20)
    with pytest.raises(RejectedRequest):
        anchor(site.settings["POLYGLOT_RPC_URL"], "")
