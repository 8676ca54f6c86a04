"""A role that ends before its authorization was carried: the chain says so, and goes on with the new key."""

from pathlib import Path

import pytest

from functions._backends.ethereum_admin import LedgerAdmin
from functions._backends.keys import RoleKeys, create_admin
from functions._domain.errors import RejectedConflict
from tests.platforms import Site, started


def admin_of(site: Site) -> LedgerAdmin:
    return LedgerAdmin(site.settings["POLYGLOT_RPC_URL"], create_admin(site.data / "keys"))


def keys_of(site: Site, role: str) -> RoleKeys:
    settings = site.settings
    return RoleKeys(
        role,  # type: ignore[arg-type]
        site.data / "keys",
        int(settings["POLYGLOT_CHAIN_ID"]),
        settings["POLYGLOT_LEDGER"],
        settings["POLYGLOT_EVIDENCE_LOG"],
    )


def test_an_asset_of_a_dismissed_key_waits_for_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("1,2\n")
    site = started(tmp_path / "platform")
    try:
        admin_of(site).dismiss(site.settings["POLYGLOT_LEDGER"], "registrar", keys_of(site, "registrar").account)
        ran = site.run("dataset", "register", str(folder), "--wait")
        assert ran.status == 1
        assert "AssetLedgerUnauthorizedAuthorizer" in ran.err
        dataset = site.ok("list").split()[0]
        assert (site.files(dataset).parent / "journal" / "reseal.1.done.json").exists()
    finally:
        site.platform.stop()
    for path in (tmp_path / "platform" / "keys").glob("registrar.*"):
        path.unlink()
    site = started(tmp_path / "platform")  # makes new keys and appoints them
    try:
        site.ok("retry", dataset)
        site.wait_for(dataset, seconds=30)
        contract = site.http("GET", f"/v1/assets/{dataset}/contract")[1]
        assert contract["authorizer"] == keys_of(site, "registrar").account
        site.ok("verify", dataset, "--level", "all")
    finally:
        site.platform.stop()


def test_nobody_but_the_admin_appoints(site: Site) -> None:
    stranger = LedgerAdmin(site.settings["POLYGLOT_RPC_URL"], b"\x07" * 32)
    with pytest.raises(RejectedConflict):
        stranger.appoint(site.settings["POLYGLOT_LEDGER"], "registrar", stranger.account, f"sha256:{'1' * 64}")


def test_a_role_key_cannot_do_another_roles_step(site: Site) -> None:
    from uuid import uuid4

    from functions._backends.ethereum import EthereumLedger
    from functions._domain.authorizations import registration

    settings = site.settings
    ledger = EthereumLedger(
        settings["POLYGLOT_RPC_URL"],
        int(settings["POLYGLOT_CHAIN_ID"]),
        settings["POLYGLOT_LEDGER"],
        settings["POLYGLOT_EVIDENCE_LOG"],
    )
    message = registration(uuid4(), 1, f"sha256:{'a' * 64}", f"sha256:{'b' * 64}", ())
    for role in ("trainer", "translator", "verifier"):
        with pytest.raises(RejectedConflict, match="UnauthorizedAuthorizer"):
            ledger.carry(keys_of(site, role).authorize(message))
    ledger.carry(keys_of(site, "registrar").authorize(message))
    assert ledger.find(message.subject)
