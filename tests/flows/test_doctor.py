"""``polyglot doctor`` at the embedded platform: that all is well, and which part is not."""

from pathlib import Path

import pytest

from functions._backends import keys
from functions._cli.doctor import ledger
from functions._domain.ports import ROLES
from tests.platforms import Site

NAMES = ("POLYGLOT_S3_URL", "POLYGLOT_BUCKET", "POLYGLOT_RPC_URL", "POLYGLOT_LEDGER")


def environment(site: Site, **changes: str) -> dict[str, str]:
    return {**{name: site.settings[name] for name in NAMES}, **changes}


def test_all_is_well(site: Site) -> None:
    ran = site.run("doctor", "--json", **environment(site))
    assert ran.status == 0, ran.out
    found = {one["name"]: one for one in ran.json}
    assert {"functions", "open chains", "bucket", "what guards the files", "ledger", "clock of the chain"} <= set(found)
    assert {f"role {role}" for role in ROLES} <= set(found)
    assert all(one["ok"] for one in found.values())
    assert "`verify` finds it" in found["what guards the files"]["found"]
    assert site.objects("runs/doctor") == {}
    assert not [key for key in site.objects("assets") if "doctor" in key]


@pytest.mark.parametrize(
    ("changes", "part", "said"),
    [
        ({"POLYGLOT_LEDGER": f"0x{'1' * 40}"}, "ledger", "is POLYGLOT_LEDGER right?"),
        ({"POLYGLOT_RPC_URL": "http://127.0.0.1:9"}, "ledger", "does not answer"),
        ({"POLYGLOT_S3_URL": "http://127.0.0.1:9"}, "storage", "did not answer"),
        ({"POLYGLOT_BUCKET": "nobodys"}, "storage", "POLYGLOT_BUCKET"),
        ({"POLYGLOT_TOKEN": "wrong"}, "functions", "POLYGLOT_TOKEN"),
        ({"POLYGLOT_CHAIN_ID": "1"}, "ledger", "set it to"),
    ],
)
def test_the_part_that_is_wrong_is_named(site: Site, changes: dict[str, str], part: str, said: str) -> None:
    ran = site.run("doctor", "--json", **environment(site, **changes))
    assert ran.status == 1
    wrong = {one["name"]: f"{one['found']} {one['remedy']}" for one in ran.json if not one["ok"]}
    assert set(wrong) == {part}
    assert said in wrong[part]


def test_keys_that_functions_have_are_compared_with_the_ledger(site: Site, tmp_path: Path) -> None:
    folder = Path(site.settings["POLYGLOT_KEYS"])
    contracts = (site.settings["POLYGLOT_LEDGER"], site.settings["POLYGLOT_EVIDENCE_LOG"])
    genuine = keys.RoleKeys("trainer", folder, 1, *contracts)
    keys.create("trainer", tmp_path)
    stranger = keys.RoleKeys("trainer", tmp_path, 1, *contracts)
    for signer, ok in ((genuine, True), (stranger, False)):
        given = {"trainer": ledger.Keys(signer.account, signer.signing_key_digest)}
        found = {one.name: one for one in ledger.looks(site.settings, given)}
        assert found["role trainer"].ok == ok
        assert found["evidence log"].ok
    swapped = {**site.settings, "POLYGLOT_EVIDENCE_LOG": site.settings["POLYGLOT_LEDGER"]}
    assert not next(one for one in ledger.looks(swapped) if one.name == "evidence log").ok
