"""A role that ends before its authorization was carried: the chain says so, and goes on with the new key."""

from pathlib import Path
from typing import Any

import pytest

from functions._backends.ethereum_admin import LedgerAdmin
from functions._backends.keys import RoleKeys, create_admin
from functions._domain.errors import RejectedConflict
from tests.platforms import Ran, Site, started


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


def as_admin(site: Site, *command: str) -> Ran:
    """A command of who has the admin key."""
    values = {name: site.settings[name] for name in ("POLYGLOT_RPC_URL", "POLYGLOT_LEDGER")}
    return site.run("key", *command, "--keys", str(site.data / "keys"), "--json", **values)


def rotate(site: Site, *roles: str) -> list[dict[str, Any]]:
    """New keys where the platform reads them at its next start."""
    ran = as_admin(site, "rotate", *roles, "--out", str(site.data / "keys"))
    assert ran.status == 0, ran.err
    return list(ran.json)


def test_an_asset_of_a_revoked_key_waits_for_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("1,2\n")
    site = started(tmp_path / "platform")
    try:
        account = keys_of(site, "registrar").account
        other = as_admin(site, "revoke", "registrar", "--account", f"0x{'1' * 40}")
        assert (other.status, other.json["dismissed"]) == (0, [])
        assert f"{account} does" in other.err
        revoked = as_admin(site, "revoke", "registrar", "--account", account.lower())
        assert (revoked.status, revoked.json["dismissed"]) == (0, [account])
        assert "polyglot key rotate registrar" in revoked.err
    finally:
        site.platform.stop()
    site = started(tmp_path / "platform")  # which appoints nobody who was dismissed
    try:
        ran = site.run("dataset", "register", str(folder), "--wait")
        assert ran.status == 1
        assert "AssetLedgerUnauthorizedAuthorizer" in ran.err
        dataset = site.ok("list").split()[0]
        assert (site.files(dataset).parent / "journal" / "reseal.1.done.json").exists()
        (rotated,) = rotate(site, "registrar")
        assert rotated["dismissed"] == []
    finally:
        site.platform.stop()
    site = started(tmp_path / "platform")
    try:
        site.ok("retry", dataset)
        site.wait_for(dataset, seconds=30)
        contract = site.http("GET", f"/v1/assets/{dataset}/contract")[1]
        assert contract["authorizer"] == rotated["account"] == keys_of(site, "registrar").account
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
