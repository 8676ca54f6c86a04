"""A stolen role key: what each can do and what it cannot, and what is left of it after a rotation."""

import json
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions._backends.ethereum import EthereumLedger
from functions._cli.check.verdict import check
from functions._domain.authorizations import Message, evidence, registration
from functions._domain.errors import RejectedConflict, RejectedSigner
from functions._domain.trust import Trust, load
from tests.flows.test_roles import keys_of, rotate
from tests.platforms import Site, started

ROLES = ("registrar", "trainer", "translator", "verifier")
MAY = {
    "a dataset": "registrar",
    "a model": "registrar",
    "an imported model": "registrar",
    "a trained model": "trainer",
    "a translation": "translator",
    "a revocation": "registrar",
    "registration": "registrar",
    "training": "trainer",
    "translation": "translator",
    "integrity": "verifier",
    "provenance": "verifier",
    "equivalence": "verifier",
    "reproduction": "verifier",
}
"""What there is to do on the ledger, and whose it is."""


def ledger_of(site: Site) -> EthereumLedger:
    values = site.settings
    chain, log = int(values["POLYGLOT_CHAIN_ID"]), values["POLYGLOT_EVIDENCE_LOG"]
    return EthereumLedger(values["POLYGLOT_RPC_URL"], chain, values["POLYGLOT_LEDGER"], log)


def message(act: str, assets: dict[str, str]) -> Message:
    """Something that a thief would have the ledger accept."""
    digests = f"sha256:{'a' * 64}", f"sha256:{uuid4().int:064x}"
    parents = {
        "a dataset": (1, ()),
        "a model": (2, (assets["dataset"],)),
        "an imported model": (3, ()),
        "a trained model": (3, (assets["model"],)),
        "a translation": (4, (assets["trained-model"],)),
    }
    if act == "a revocation":
        return Message("Revocation", {"id": assets["victim"], "reasonDigest": digests[1]})
    if act in parents:
        kind, names = parents[act]
        return registration(uuid4(), kind, *digests, tuple(UUID(name) for name in names))
    return evidence(UUID(assets["dataset"]), act, digests[1], "passed")


@pytest.fixture(scope="module")
def victims(site: Site, assets: dict[str, str]) -> dict[str, str]:
    """The finished chain, and an asset that may be revoked."""
    lost = registration(uuid4(), 1, f"sha256:{'a' * 64}", f"sha256:{'b' * 64}", ())
    ledger_of(site).carry(keys_of(site, "registrar").authorize(lost))
    return {**assets, "victim": str(lost.subject)}


@pytest.mark.parametrize("act", MAY)
def test_a_stolen_key_can_do_its_own_step_and_no_other(site: Site, victims: dict[str, str], act: str) -> None:
    ledger, wanted = ledger_of(site), message(act, victims)
    for role in ROLES:
        if role != MAY[act]:
            with pytest.raises(RejectedSigner, match="UnauthorizedAuthorizer"):
                ledger.carry(keys_of(site, role).authorize(wanted))
    assert not ledger.is_recorded(wanted)
    ledger.carry(keys_of(site, MAY[act]).authorize(wanted))
    assert ledger.is_recorded(wanted)


SEALERS = [("dataset", "registrar"), ("trained-model", "trainer"), ("translation", "translator")]


@pytest.mark.parametrize(("kind", "role"), SEALERS)
def test_a_stolen_key_cannot_replace_what_is_registered(
    site: Site, assets: dict[str, str], kind: str, role: str
) -> None:
    ledger, asset = ledger_of(site), UUID(assets[kind])
    before = ledger.find(asset)
    assert before is not None
    other = registration(asset, before.kind.number, f"sha256:{'c' * 64}", before.record_digest, before.parents)
    ledger.carry(keys_of(site, role).authorize(other))  # "already registered" is success, and changes nothing
    assert ledger.find(asset) == before


def test_a_role_cannot_appoint_anybody(site: Site) -> None:
    from functions._backends.ethereum_admin import LedgerAdmin

    key = (site.data / "keys" / "trainer.ledger.key").read_text().strip()
    thief = LedgerAdmin(site.settings["POLYGLOT_RPC_URL"], bytes.fromhex(key))
    with pytest.raises(RejectedConflict):
        thief.appoint(site.settings["POLYGLOT_LEDGER"], "verifier", thief.account, f"sha256:{'1' * 64}")


def test_what_a_thief_registers_has_no_evidence_that_checks(site: Site, assets: dict[str, str], tmp_path: Path) -> None:
    wanted = message("a trained model", assets)
    ledger_of(site).carry(keys_of(site, "trainer").authorize(wanted))
    ran = site.run("evidence", str(wanted.subject), "-o", str(tmp_path / "bundle.json"))
    assert ran.status != 0
    assert not (tmp_path / "bundle.json").exists()


def bundle_of(site: Site, asset: str, place: Path) -> Path:
    site.ok("evidence", asset, "-o", str(place))
    return place


def trust_of(site: Site, place: Path) -> Trust:
    """A trust file, as an auditor writes it from a node of their own."""
    values = {name: site.settings[name] for name in ("POLYGLOT_LEDGER", "POLYGLOT_EVIDENCE_LOG")}
    arguments = ("ledger", "trust", "--rpc", site.settings["POLYGLOT_RPC_URL"], "-o", str(place))
    ran = site.run(*arguments, **values)
    assert ran.status == 0, ran.err
    return load(place.read_bytes())


def test_after_a_rotation_old_evidence_checks_and_the_old_key_signs_nothing_new(
    tmp_path: Path, torch_model: Path, quick_image: Path
) -> None:
    site = started(tmp_path / "platform")
    try:
        dataset = site.ok("dataset", "register", str(torch_model.parent), "--wait")
        model = site.ok("model", "register", "--dataset", dataset, "--image", str(quick_image), "--wait")
        shown = json.loads(site.ok("show", model, "--json"))
        before = bundle_of(site, shown["translation"], tmp_path / "before.json")
        trusted = trust_of(site, tmp_path / "before-trust.json")
        old = {role: keys_of(site, role) for role in ROLES}
        accounts = {role: keys.account for role, keys in old.items()}  # read before the files are gone
        assets = {"dataset": dataset, "model": model, "victim": dataset, "trained-model": shown["trained_model"]}
        stolen = {act: old[role].authorize(message(act, assets)) for act, role in MAY.items()}
        rotated = rotate(site, "all")
        assert {one["role"]: one["dismissed"] for one in rotated} == {role: [accounts[role]] for role in ROLES}
    finally:
        site.platform.stop()
    site = started(tmp_path / "platform")  # reads the new keys
    try:
        ledger = ledger_of(site)
        for act, authorization in stolen.items():
            with pytest.raises(RejectedSigner, match="UnauthorizedAuthorizer"):
                ledger.carry(authorization)
            assert not ledger.is_recorded(authorization.message), act
        newer = trust_of(site, tmp_path / "after-trust.json")
        assert check(before, None, trusted).is_consistent
        assert check(before, None, newer).is_consistent
        after = check(bundle_of(site, shown["translation"], tmp_path / "after.json"), None, newer)
        assert after.problems == ()
        assert set(after.signers) >= {("trainer", accounts["trainer"]), ("translator", accounts["translator"])}
        site.ok("verify", shown["translation"], "--level", "provenance")
        fresh = site.ok("model", "register", "--dataset", dataset, "--image", str(quick_image), "--wait")
        made = bundle_of(site, fresh, tmp_path / "fresh.json")
        assert check(made, None, trust_of(site, tmp_path / "fresh-trust.json")).is_consistent
        late = check(made, None, trusted)
        assert any("is not known as trainer" in problem for problem in late.problems)
    finally:
        site.platform.stop()


def test_a_role_is_judged_at_the_time_of_its_act(site: Site, assets: dict[str, str], tmp_path: Path) -> None:
    bundle, trust = bundle_of(site, assets["dataset"], tmp_path / "b.json"), trust_of(site, tmp_path / "t.json")
    assert check(bundle, None, trust).is_consistent
    late = tuple(one.model_copy(update={"time": trust.roles[-1].time + 10**6}) for one in trust.roles)
    found = check(bundle, None, trust.model_copy(update={"roles": late}))
    assert any("did not hold the role registrar" in problem for problem in found.problems)


def test_a_bundle_of_another_ledger_is_refused_by_the_trust_file(
    site: Site, assets: dict[str, str], tmp_path: Path
) -> None:
    other = started(tmp_path / "platform")
    try:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a").write_bytes(b"1")
        dataset = other.ok("dataset", "register", str(tmp_path / "data"), "--wait")
        bundle = bundle_of(other, dataset, tmp_path / "b.json")
        own = trust_of(other, tmp_path / "own.json")
    finally:
        other.platform.stop()
    assert check(bundle, None, None).is_consistent
    assert check(bundle, None, own).is_consistent
    found = check(bundle, None, trust_of(site, tmp_path / "t.json"))
    assert any("the ledger is" in problem and "trusted is" in problem for problem in found.problems)


def test_the_block_anchors_only_where_the_auditor_knows_it(site: Site, assets: dict[str, str], tmp_path: Path) -> None:
    bundle, trust = bundle_of(site, assets["dataset"], tmp_path / "b.json"), trust_of(site, tmp_path / "t.json")
    found = check(bundle, None, trust)
    assert found.anchor is not None
    assert found.anchor.is_independent
    block = trust.block.model_copy(update={"hash": f"0x{'0' * 64}"})
    forged = check(bundle, None, trust.model_copy(update={"block": block}))
    assert any("another chain, or a forgery" in problem for problem in forged.problems)
    block = trust.block.model_copy(update={"number": trust.block.number + 1})
    later = check(bundle, None, trust.model_copy(update={"block": block}))
    assert later.is_consistent
    assert later.anchor is not None
    assert not later.anchor.is_independent
    assert "polyglot ledger trust --block" in later.anchor.text
    platform = check(bundle, None, trust.model_copy(update={"source": "platform"}))
    assert platform.anchor is not None
    assert not platform.anchor.is_independent
