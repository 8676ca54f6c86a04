"""Proofs of the ledger's state: made from a real node, checked without one, and refused where anything is altered."""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from functions._backends.ethereum import EthereumLedger, Rpc
from functions._backends.keys import RoleKeys
from functions._backends.proofs.making import prove
from functions._backends.proofs.proven import ProvenLedger
from functions._domain import authorizations
from functions._domain.authorizations import Message
from functions._domain.bundles import LedgerProof
from functions._domain.errors import RejectedConflict, RejectedContent, UnavailableLedger
from functions._domain.ports import LedgerReader, Recorded, Wanted
from tests.platforms import Site

ABSENT = UUID("00000000-0000-4000-8000-000000000001")
Document = dict[str, Any]


@pytest.fixture(scope="module")
def ledger(site: Site) -> EthereumLedger:
    settings = site.settings
    return EthereumLedger(
        settings["POLYGLOT_RPC_URL"],
        int(settings["POLYGLOT_CHAIN_ID"]),
        settings["POLYGLOT_LEDGER"],
        settings["POLYGLOT_EVIDENCE_LOG"],
    )


@pytest.fixture(scope="module")
def registrar(site: Site, ledger: EthereumLedger) -> RoleKeys:
    return RoleKeys("registrar", site.data / "keys", ledger.chain_id, ledger.address, ledger.evidence_log)


@pytest.fixture(scope="module")
def wanted(site: Site, assets: dict[str, str], registrar: RoleKeys) -> Wanted:
    """All that the platform recorded of a chain of four, and what it did not."""
    stored = site.objects()
    found = [
        authorizations.decode(stored[key])
        for asset in assets.values()
        for key in stored
        if key.startswith(f"assets/{asset}/authorizations/")
    ]
    evidence = tuple(one.message for one in found if one.message.type == "Evidence")
    unrecorded = authorizations.evidence(UUID(assets["model"]), "integrity", f"sha256:{'7' * 64}", "failed")
    signers = sorted({(one.role, one.account) for one in found} | {("verifier", registrar.account)})
    subjects = (*(UUID(asset) for asset in assets.values()), ABSENT)
    return Wanted(subjects, (*evidence, unrecorded), tuple(signers))


@pytest.fixture(scope="module")
def document(ledger: EthereumLedger, wanted: Wanted) -> Document:
    return dict(ledger.prove(wanted))


def checked(document: Document) -> ProvenLedger:
    """As it comes out of a file."""
    return ProvenLedger(LedgerProof.model_validate_json(json.dumps(document)))


def recorded(ledger: LedgerReader, message: Message) -> Recorded | None:
    fields = message.fields
    return ledger.recorded(message.subject, str(fields["claim"]), str(fields["statementDigest"]))


def answers(document: Document, wanted: Wanted) -> list[object]:
    """All that is wanted, from a document that must prove it and nothing else."""
    proven = checked(document)
    found = [
        *(proven.find(asset) for asset in wanted.assets),
        *(recorded(proven, message) for message in wanted.evidence),
        *(proven.signing_key_digest(role, account) for role, account in wanted.signers),
    ]
    if proven.unused():
        raise RejectedContent(f"nobody asked for {proven.unused()}")
    return found


def is_refused(document: Document, wanted: Wanted) -> bool:
    try:
        answers(document, wanted)
    except (RejectedContent, ValidationError):
        return True
    return False


def test_a_proven_ledger_says_of_each_asset_what_the_node_says(
    document: Document, wanted: Wanted, ledger: EthereumLedger
) -> None:
    proven = checked(document)
    assert [proven.find(asset) for asset in wanted.assets] == [ledger.find(asset) for asset in wanted.assets]
    assert (proven.address, proven.evidence_log, proven.chain_id) == (
        ledger.address,
        ledger.evidence_log,
        ledger.chain_id,
    )
    assert set(proven.code_hashes) == {
        *("AssetLedger", "EvidenceLog", "DatasetAsset", "ModelAsset", "TrainedModelAsset", "TranslationAsset")
    }


def test_evidence_is_proven_with_who_signed_when_and_with_which_verdict(
    document: Document, wanted: Wanted, ledger: EthereumLedger
) -> None:
    proven = checked(document)
    assert len(wanted.evidence) > 2
    for message in wanted.evidence:
        assert recorded(proven, message) == recorded(ledger, message)
    for message in wanted.evidence[:-1]:
        entry = recorded(proven, message)
        assert entry is not None
        assert entry.verdict == message.fields["verdict"]
        assert 0 < entry.time <= proven.block.timestamp


def test_what_is_not_on_the_ledger_is_proven_not_to_be(document: Document, wanted: Wanted, registrar: RoleKeys) -> None:
    proven = checked(document)
    assert proven.find(ABSENT) is None
    assert recorded(proven, wanted.evidence[-1]) is None
    assert proven.signing_key_digest("verifier", registrar.account) is None


def test_the_signing_keys_of_who_signed_are_grants(
    document: Document, wanted: Wanted, ledger: EthereumLedger, registrar: RoleKeys
) -> None:
    held = {(grant.role, grant.account): grant.signing_key_digest for grant in ledger.grants()}
    found = checked(document).grants()
    assert {(grant.role, grant.account) for grant in found} == set(wanted.signers) - {("verifier", registrar.account)}
    for grant in found:
        assert grant.signing_key_digest == held[grant.role, grant.account]
        assert (grant.appointed, grant.block, grant.time) == (True, 0, 0)


def test_what_is_not_proven_is_refused_by_name(document: Document, ledger: EthereumLedger, wanted: Wanted) -> None:
    proven, other = checked(document), uuid4()
    with pytest.raises(RejectedContent, match=f"asset {other} is not proven"):
        proven.find(other)
    with pytest.raises(RejectedContent, match="trainer is not proven"):
        proven.signing_key_digest("trainer", ledger.address)
    without = checked(dict(ledger.prove(Wanted(wanted.assets))))
    with pytest.raises(RejectedContent, match=r"evidence of asset .* is not proven"):
        recorded(without, wanted.evidence[0])


def test_what_nobody_asked_for_is_named(document: Document, wanted: Wanted) -> None:
    proven = checked(document)
    for asset in wanted.assets[1:]:
        proven.find(asset)
    assert f"asset {wanted.assets[0]}" in proven.unused()
    assert len(proven.unused()) == 1 + len(wanted.evidence) + len(wanted.signers)


def _places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every field, entry and list item of a document, containers too."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _flipped(text: str, at: int) -> str:
    """Another digit at one of the last places, so not in ``0x``."""
    return text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :]


def _other_values(value: Any, seed: int) -> Iterator[Any]:
    match value:
        case int():
            yield from (value + 1, value - 1, str(value), float(value), True)
        case str() if len(value) > 2:
            yield _flipped(value, 2 + seed % (len(value) - 2))
            yield from (value + "0", value + "00", value[:-1], value[:-2], value[2:], None, [value])
            yield from {value.upper(), value.lower(), value.swapcase(), "0x" + value[2:].upper()} - {value}
        case list():
            yield from (None, [*value, value[0]], value[::-1], value[1:], value[:-1]) if value else (None, ["0x"])
        case dict():
            yield from (None, {}, {**value, "more": "0x"})


def _altered(document: Document, path: tuple[Any, ...]) -> Iterator[Document]:
    """The document with one place altered, in every way that we can think of."""

    def changed(change: Callable[[Any, Any], object]) -> Document:
        other = copy.deepcopy(document)
        part = other
        for key in path[:-1]:
            part = part[key]
        change(part, path[-1])
        return other

    holder: Any = document
    for key in path[:-1]:
        holder = holder[key]
    value = holder[path[-1]]
    yield changed(lambda part, key: part.__delitem__(key))
    if isinstance(holder, list):
        yield changed(lambda part, key: part.insert(key, copy.deepcopy(part[key])))
    else:
        yield changed(lambda part, key: part.__setitem__(f"{key}x", part.pop(key)))
    for other in _other_values(value, sum(map(len, map(str, path)))):
        if other != value or type(other) is not type(value):
            yield changed(lambda part, key, other=other: part.__setitem__(key, other))  # type: ignore[misc]


def test_whatever_is_altered_in_a_document_is_refused(document: Document, wanted: Wanted) -> None:
    answers(document, wanted)
    places = list(_places(document))
    passed = [path for path in places for altered in _altered(document, path) if not is_refused(altered, wanted)]
    assert len(places) > 100
    assert passed == []


def test_an_asset_under_another_ones_id_is_refused(document: Document, wanted: Wanted) -> None:
    swapped = copy.deepcopy(document)
    one, other = list(swapped["assets"])[:2]
    swapped["assets"][one], swapped["assets"][other] = swapped["assets"][other], swapped["assets"][one]
    assert is_refused(swapped, wanted)


def test_parts_of_another_blocks_proof_are_refused(
    document: Document, wanted: Wanted, ledger: EthereumLedger, registrar: RoleKeys
) -> None:
    _register(ledger, registrar)
    later = dict(ledger.prove(wanted))
    assert answers(later, wanted) == answers(document, wanted)
    for part in ("block", "assetLedger", "evidenceLog", "implementations", "assets"):
        assert is_refused({**document, part: later[part]}, wanted)


def _register(ledger: EthereumLedger, registrar: RoleKeys) -> UUID:
    asset = uuid4()
    message = authorizations.registration(asset, 1, f"sha256:{'1' * 64}", f"sha256:{'2' * 64}", ())
    ledger.carry(registrar.authorize(message))
    return asset


class Busy(Rpc):
    """The node, on which something happens after each question but the first."""

    def __init__(self, url: str, happens: Callable[[], object]) -> None:
        super().__init__(url)
        self._happens, self._asked = happens, 0

    def __call__(self, method: str, *params: object) -> Any:
        found = super().__call__(method, *params)
        self._asked += 1
        if self._asked < 6:
            self._happens()
        return found


def test_a_chain_that_moves_on_meanwhile_is_proven_at_one_block(
    site: Site, ledger: EthereumLedger, registrar: RoleKeys, wanted: Wanted
) -> None:
    url = site.settings["POLYGLOT_RPC_URL"]
    before = int(Rpc(url)("eth_blockNumber"), 16)
    busy = Busy(url, lambda: _register(ledger, registrar))
    document = dict(prove(busy, ledger.address, ledger.evidence_log, ledger.chain_id, wanted))
    answers(document, wanted)
    assert before == document["block"]["number"] < int(Rpc(url)("eth_blockNumber"), 16)


def test_many_at_once_prove_one_block_each_while_others_register(
    ledger: EthereumLedger, registrar: RoleKeys, wanted: Wanted
) -> None:
    writers = [threading.Thread(target=lambda: [_register(ledger, registrar) for _ in range(5)]) for _ in range(2)]
    for writer in writers:
        writer.start()
    documents = [dict(ledger.prove(wanted)) for _ in range(10)]
    for writer in writers:
        writer.join()
    for document in documents:
        answers(document, wanted)


class Elsewhere(Rpc):
    """A node whose answers are about the latest block, whatever block is asked for, some times."""

    def __init__(self, url: str, times: int) -> None:
        super().__init__(url)
        self._times = times

    def __call__(self, method: str, *params: object) -> Any:
        if method == "eth_getBlockByNumber" and self._times:
            self._times -= 1
            return super().__call__(method, hex(int(super().__call__("eth_blockNumber"), 16) - 1), False)
        if method == "eth_getProof":
            return super().__call__(method, params[0], params[1], "latest")
        return super().__call__(method, *params)


def test_a_node_that_answers_about_another_state_is_asked_again(
    site: Site, ledger: EthereumLedger, wanted: Wanted
) -> None:
    node = Elsewhere(site.settings["POLYGLOT_RPC_URL"], times=2)
    answers(dict(prove(node, ledger.address, ledger.evidence_log, ledger.chain_id, wanted)), wanted)


def test_a_node_that_never_answers_about_one_block_is_said_to_be_unfit(
    site: Site, ledger: EthereumLedger, wanted: Wanted
) -> None:
    node = Elsewhere(site.settings["POLYGLOT_RPC_URL"], times=100)
    with pytest.raises(UnavailableLedger, match=r"no proofs of one block in 4 attempts.*set POLYGLOT_RPC_URL"):
        prove(node, ledger.address, ledger.evidence_log, ledger.chain_id, wanted)


class Old(Rpc):
    """The node, without the one method; what it then answers is its own."""

    def __call__(self, method: str, *params: object) -> Any:
        return super().__call__("eth_getNothing" if method == "eth_getProof" else method, *params)


def test_a_node_without_proofs_is_named_with_what_to_do(site: Site, ledger: EthereumLedger, wanted: Wanted) -> None:
    node = Old(site.settings["POLYGLOT_RPC_URL"])
    with pytest.raises(UnavailableLedger, match="set POLYGLOT_RPC_URL to a node that has eth_getProof"):
        prove(node, ledger.address, ledger.evidence_log, ledger.chain_id, wanted)


class Pruned(Rpc):
    """The node, asked for a state that it has long dropped."""

    def __call__(self, method: str, *params: object) -> Any:
        return super().__call__(method, *(params[:2] if method != "eth_getProof" else (*params[:2], "0xffffffff")))


def test_a_node_that_refuses_the_state_is_named_with_what_to_do(
    site: Site, ledger: EthereumLedger, wanted: Wanted
) -> None:
    node = Pruned(site.settings["POLYGLOT_RPC_URL"])
    with pytest.raises(UnavailableLedger, match=r"refused eth_getProof.*keeps the states of its last blocks"):
        prove(node, ledger.address, ledger.evidence_log, ledger.chain_id, wanted)


def test_another_contract_in_the_place_of_the_ledger_is_refused(
    site: Site, ledger: EthereumLedger, wanted: Wanted
) -> None:
    node = Rpc(site.settings["POLYGLOT_RPC_URL"])
    with pytest.raises(RejectedConflict, match="not this version's AssetLedger"):
        prove(node, ledger.evidence_log, ledger.evidence_log, ledger.chain_id, Wanted(wanted.assets))


def test_an_asset_that_was_revoked_is_proven_to_be(ledger: EthereumLedger, registrar: RoleKeys) -> None:
    asset = _register(ledger, registrar)
    assert not revoked(asset, ledger)
    ledger.carry(registrar.authorize(Message("Revocation", {"id": str(asset), "reasonDigest": f"sha256:{'3' * 64}"})))
    assert revoked(asset, ledger)


def revoked(asset: UUID, ledger: EthereumLedger) -> bool:
    found = checked(dict(ledger.prove(Wanted((asset,))))).find(asset)
    assert found is not None
    assert found == ledger.find(asset)
    return found.revoked
