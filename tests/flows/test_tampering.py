"""Tampering: whatever is changed in the store, `verify` finds it and names it, and no wrong byte is pulled (I5)."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from functions._backends import keys
from functions._domain.authorizations import Authorization, decode, evidence, registration
from tests.platforms import Site
from tests.strangers import Upload, event, folder_of

KINDS = ("dataset", "model", "trained-model", "translation")
WITH_FILES = ("dataset", "trained-model", "translation")


@pytest.fixture(autouse=True)
def restored(site: Site, assets: dict[str, str]) -> Iterator[None]:
    """Everything that a test changed is put back, apart from what verifications added; the next finds all whole."""
    before = {key: data for asset in assets.values() for key, data in site.objects(f"assets/{asset}").items()}
    yield
    assert site.platform.broker.drain(20)
    after = {key: data for asset in assets.values() for key, data in site.objects(f"assets/{asset}").items()}
    for key in after.keys() - before.keys():
        if "/files/" in key:
            (site.bucket / key).unlink()
    for key, data in before.items():
        if after.get(key) != data:
            (site.bucket / key).parent.mkdir(parents=True, exist_ok=True)
            (site.bucket / key).write_bytes(data)


def verify(site: Site, asset: str, level: str = "integrity", path: str | None = None) -> tuple[str, dict[str, Any]]:
    """Verdict of all claims and each claim, from a verification whose verdicts the ledger must have."""
    status, accepted, _ = site.http("POST", "/v1/verifications", {"asset": asset, "level": level, "path": path})
    assert status == 202, accepted
    end = time.monotonic() + 30
    while True:
        answer = site.http("GET", f"/v1/requests/{accepted['id']}")[1]
        claims = {one["claim"]: one for one in answer["claims"] if one["verdict"] != "not applicable"}
        if all(one["recorded"] for one in claims.values()):
            return "failed" if any(one["verdict"] == "failed" for one in claims.values()) else "passed", claims
        assert time.monotonic() < end, answer
        time.sleep(0.05)


def found(site: Site, asset: str, *findings: str, level: str = "integrity") -> None:
    """A verification fails, and says exactly this."""
    verdict, claims = verify(site, asset, level)
    assert verdict == "failed"
    assert sorted(claims[level]["findings"]) == sorted(findings)


def flip(place: Path, position: int = 0) -> None:
    data = bytearray(place.read_bytes())
    data[position] ^= 1
    place.write_bytes(data)


@dataclass(frozen=True)
class Files:
    """An asset's files, and one of them to do something to."""

    folder: Path
    name: str

    @property
    def one(self) -> Path:
        return self.folder / self.name


MAIN = {"dataset": "deep/er/a.csv", "trained-model": "model.pt2", "translation": "model.onnx"}


def changed(files: Files) -> list[str]:
    flip(files.one)
    return [f"changed: {files.name}"]


def last_byte_changed(files: Files) -> list[str]:
    flip(files.one, -1)
    return [f"changed: {files.name}"]


def truncated(files: Files) -> list[str]:
    size = files.one.stat().st_size
    files.one.write_bytes(files.one.read_bytes()[:-1])
    return [f"changed: {files.name} ({size - 1} bytes, registered with {size})"]


def emptied(files: Files) -> list[str]:
    size = files.one.stat().st_size
    files.one.write_bytes(b"")
    return [f"changed: {files.name} (0 bytes, registered with {size})"]


def extended(files: Files) -> list[str]:
    size = files.one.stat().st_size
    files.one.write_bytes(files.one.read_bytes() + b"\n")
    return [f"changed: {files.name} ({size + 1} bytes, registered with {size})"]


def renamed(files: Files) -> list[str]:
    files.one.rename(files.one.with_name("zz renamed"))
    return [f"missing: {files.name}", f"extra: {Path(files.name).with_name('zz renamed').as_posix()}"]


def renamed_in_case_only(files: Files) -> list[str]:
    files.one.rename(files.one.with_name(files.one.name.upper()))
    other = Path(files.name).with_name(files.one.name.upper()).as_posix()
    return [f"missing: {files.name}", f"extra: {other}"]


def deleted(files: Files) -> list[str]:
    files.one.unlink()
    return [f"missing: {files.name}"]


def added(files: Files) -> list[str]:
    (files.folder / "added.txt").write_bytes(b"")
    return ["extra: added.txt"]


CHANGES = [changed, last_byte_changed, truncated, emptied, extended, renamed, renamed_in_case_only, deleted, added]


@pytest.mark.parametrize("kind", WITH_FILES)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_file_that_is_not_as_it_was_registered_is_found_and_named(
    site: Site, assets: dict[str, str], kind: str, change: Callable[[Files], list[str]]
) -> None:
    findings = change(Files(site.files(assets[kind]), MAIN[kind]))
    found(site, assets[kind], *findings)


@pytest.mark.parametrize("kind", WITH_FILES)
def test_the_command_ends_with_1_and_names_the_file(site: Site, assets: dict[str, str], kind: str) -> None:
    changed(Files(site.files(assets[kind]), MAIN[kind]))
    ran = site.run("verify", assets[kind])
    assert ran.status == 1
    assert f"changed: {MAIN[kind]}" in ran.out
    ran = site.run("verify", assets[kind], "--path", MAIN[kind], "--json")
    assert ran.status == 1
    assert ran.json["claims"][0]["findings"] == [f"changed: {MAIN[kind]}"]


def test_a_file_added_to_a_model_that_has_none_is_found(site: Site, assets: dict[str, str]) -> None:
    folder_of(site.files(assets["model"]), {"smuggled/in.txt": b"x"})
    found(site, assets["model"], "extra: smuggled/in.txt")


def test_two_files_that_changed_places_are_both_found(site: Site, assets: dict[str, str]) -> None:
    files = site.files(assets["dataset"])
    one, other = files / "b.csv", files / "deep/er/a.csv"
    first, second = one.read_bytes(), other.read_bytes()
    assert len(first) == len(second)
    one.write_bytes(second)
    other.write_bytes(first)
    found(site, assets["dataset"], "changed: b.csv", "changed: deep/er/a.csv")


def test_everything_at_once_is_named_file_by_file(site: Site, assets: dict[str, str]) -> None:
    files = site.files(assets["dataset"])
    flip(files / "b.csv")
    (files / "deep/er/a.csv").unlink()
    (files / "new").write_bytes(b"1")
    (files / "empty").write_bytes(b"1")
    found(
        site, assets["dataset"], "changed: b.csv", "missing: deep/er/a.csv", "extra: new",
        "changed: empty (1 bytes, registered with 0)",
    )  # fmt: skip


def test_one_file_is_verified_by_its_path(site: Site, assets: dict[str, str]) -> None:
    asset = assets["dataset"]
    flip(site.files(asset) / "b.csv")
    assert verify(site, asset, path="deep/er/a.csv")[0] == "passed"
    verdict, claims = verify(site, asset, path="b.csv")
    assert (verdict, claims["integrity"]["findings"]) == ("failed", ["changed: b.csv"])
    verdict, claims = verify(site, asset, path="nowhere.csv")
    assert (verdict, claims["integrity"]["findings"]) == (
        "failed",
        ["unknown: nowhere.csv is neither in the inventory nor there"],
    )
    ran = site.run("verify", asset, "--path", "../record.json")
    assert (ran.status, "not a path below the folder" in ran.err) == (2, True)


RECORDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one byte": (lambda place: flip(place, 30), "changed: record.json"),
    "other values": (
        lambda place: place.write_text(json.dumps({**json.loads(place.read_bytes()), "owner": "mallory"})),
        "changed: record.json",
    ),
    "no JSON": (lambda place: place.write_bytes(b"{"), "changed: record.json"),
    "an empty document": (lambda place: place.write_bytes(b'{"schema":"polyglot/record/v1"}'), "changed: record.json"),
    "nothing": (lambda place: place.unlink(), "missing: record.json"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", RECORDS)
def test_a_changed_record_is_found(site: Site, assets: dict[str, str], kind: str, case: str) -> None:
    change, finding = RECORDS[case]
    change(site.bucket / "assets" / assets[kind] / "record.json")
    found(site, assets[kind], finding)


@pytest.mark.parametrize("case", RECORDS)
def test_a_changed_record_is_found_in_the_provenance_of_its_descendants(
    site: Site, assets: dict[str, str], case: str
) -> None:
    change, finding = RECORDS[case]
    change(site.bucket / "assets" / assets["model"] / "record.json")
    verdict, claims = verify(site, assets["translation"], "provenance")
    assert verdict == "failed"
    assert f"model {assets['model']}: {finding}" in claims["provenance"]["findings"]


def test_the_record_of_another_asset_is_no_record_of_this_one(site: Site, assets: dict[str, str]) -> None:
    for one, other in ((assets["dataset"], assets["model"]), (assets["trained-model"], assets["translation"])):
        shutil.copyfile(site.bucket / f"assets/{other}/record.json", site.bucket / f"assets/{one}/record.json")
        found(site, one, "changed: record.json")
        status, answer, _ = site.http("GET", f"/v1/assets/{one}")
        assert (status, "is not the record of" in answer["detail"]) == (422, True)


INVENTORIES: dict[str, Callable[[Path], object]] = {
    "one byte": lambda place: flip(place, 12) if place.stat().st_size else place.write_bytes(b"\n"),
    "without its last line": lambda place: place.write_bytes(
        b"".join(place.read_bytes().splitlines(True)[:-1]) or b"\n"
    ),
    "with a line more": lambda place: place.write_bytes(place.read_bytes() + b'{"path":"zz","sha256":"","size":0}\n'),
    "nothing": lambda place: place.unlink(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", INVENTORIES)
def test_a_changed_inventory_is_found(site: Site, assets: dict[str, str], kind: str, case: str) -> None:
    INVENTORIES[case](site.bucket / "assets" / assets[kind] / "inventory.jsonl")
    verdict, claims = verify(site, assets[kind])
    assert verdict == "failed"
    assert [finding.split(";")[0] for finding in claims["integrity"]["findings"]] == [
        f"{'missing' if case == 'nothing' else 'changed'}: inventory.jsonl"
    ]


def test_an_asset_of_which_nothing_is_left_is_still_asked_for(site: Site, assets: dict[str, str]) -> None:
    shutil.rmtree(site.bucket / "assets" / assets["translation"])
    verdict, claims = verify(site, assets["translation"])
    assert verdict == "failed"
    assert claims["integrity"]["findings"][0] == "missing: record.json"


STATEMENTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one byte": (lambda place: flip(place, 40), "changed"),
    "no JSON": (lambda place: place.write_bytes(b"gone"), "changed"),
    "nothing": (lambda place: place.unlink(), "missing"),
}


@pytest.mark.parametrize(("kind", "claim"), [("trained-model", "training"), ("translation", "translation")])
@pytest.mark.parametrize("case", STATEMENTS)
def test_changed_evidence_is_found_and_named(
    site: Site, assets: dict[str, str], kind: str, claim: str, case: str
) -> None:
    change, how = STATEMENTS[case]
    asset = assets[kind]
    change(site.bucket / "assets" / asset / "evidence" / f"{claim}.{asset}.json")
    verdict, claims = verify(site, asset, "provenance")
    assert verdict == "failed"
    assert any(f"{how}: evidence/{claim}.{asset}.json" in one for one in claims["provenance"]["findings"])
    assert verify(site, asset)[0] == "passed"


def test_evidence_that_was_removed_is_missed_in_all_that_was_made_from_it(site: Site, assets: dict[str, str]) -> None:
    trained = assets["trained-model"]
    (site.bucket / f"assets/{trained}/evidence/training.{trained}.json").unlink()
    verdict, claims = verify(site, assets["translation"], "provenance")
    assert verdict == "failed"
    assert f"trained-model {trained}: missing: evidence/training.{trained}.json" in claims["provenance"]["findings"]


def test_what_was_verified_before_is_verified_anew(site: Site, assets: dict[str, str]) -> None:
    asset = assets["dataset"]
    assert verify(site, asset)[0] == "passed"
    flip(site.files(asset) / "b.csv")
    assert verify(site, asset)[0] == "failed"
    flip(site.files(asset) / "b.csv")
    assert verify(site, asset)[0] == "passed"


# --- pulling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [changed, truncated, emptied, extended, deleted], ids=lambda change: change.__name__)
def test_no_wrong_byte_is_pulled_to_a_final_name(
    site: Site, assets: dict[str, str], tmp_path: Path, change: Callable[[Files], list[str]]
) -> None:
    whole = {path: (site.files(assets["dataset"]) / path).read_bytes() for path in ("b.csv", "empty", "model.pt2")}
    change(Files(site.files(assets["dataset"]), "deep/er/a.csv"))
    ran = site.run("pull", assets["dataset"], str(tmp_path / "here"))
    assert (ran.status, "deep/er/a.csv" in ran.err) == (1, True)
    pulled = {
        path.relative_to(tmp_path / "here").as_posix(): path.read_bytes()
        for path in (tmp_path / "here").rglob("*")
        if path.is_file()
    }
    assert pulled.items() <= whole.items()


def test_an_added_file_is_not_pulled(site: Site, assets: dict[str, str], tmp_path: Path) -> None:
    added(Files(site.files(assets["trained-model"]), "model.pt2"))
    site.ok("pull", assets["trained-model"], str(tmp_path / "here"))
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["model.pt2"]


def test_nothing_is_pulled_by_a_changed_inventory(site: Site, assets: dict[str, str], tmp_path: Path) -> None:
    flip(site.bucket / "assets" / assets["trained-model"] / "inventory.jsonl", 12)
    ran = site.run("pull", assets["trained-model"], str(tmp_path / "here"))
    assert (ran.status, "inventory" in ran.err) == (1, True)
    assert not (tmp_path / "here").exists() or not list((tmp_path / "here").iterdir())


# --- forgeries --------------------------------------------------------------------------------------------------------


def forged_by(tmp_path: Path, site: Site, role: str = "registrar") -> keys.RoleKeys:
    """Keys that the ledger never heard of, for the same contracts."""
    keys.create(role, tmp_path / "mallory")
    values = site.settings
    chain, ledger, log = int(values["POLYGLOT_CHAIN_ID"]), values["POLYGLOT_LEDGER"], values["POLYGLOT_EVIDENCE_LOG"]
    return keys.RoleKeys(role, tmp_path / "mallory", chain, ledger, log)  # type: ignore[arg-type]


def plant(site: Site, asset: str, one: Authorization) -> Path:
    place = site.bucket / "assets" / asset / "authorizations" / f"{one.digest[7:]}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(one.encode())
    return place


def deliver(site: Site, name: str, asset: str, **attributes: str) -> None:
    assert site.announce(event(name, asset, **attributes)) == 202
    assert site.platform.broker.drain(60)


def genuine(site: Site, asset: str) -> Authorization:
    """The asset's own registration."""
    folder = site.bucket / "assets" / asset / "authorizations"
    decoded = [decode(path.read_bytes()) for path in folder.iterdir()]
    return next(one for one in decoded if one.message.type == "Registration")


def test_a_forged_registration_does_not_get_on_the_ledger(site: Site, tmp_path: Path) -> None:
    mallory, registrar = forged_by(tmp_path, site), keys.RoleKeys(
        "registrar", site.data / "keys", int(site.settings["POLYGLOT_CHAIN_ID"]), site.settings["POLYGLOT_LEDGER"],
        site.settings["POLYGLOT_EVIDENCE_LOG"],
    )  # fmt: skip
    upload = Upload(site)
    message = registration(UUID(upload.id), 1, f"sha256:{'a' * 64}", f"sha256:{'b' * 64}", ())
    plant(site, upload.id, mallory.authorize(message))
    plant(site, upload.id, replace(mallory.authorize(message), account=registrar.account))
    deliver(site, "asset.registered", upload.id, assetkind="dataset")
    assert site.http("GET", f"/v1/assets/{upload.id}/contract")[0] == 404
    site.http("POST", "/v1/reconcile?all=1")
    assert site.platform.broker.drain(60)
    assert site.http("GET", f"/v1/assets/{upload.id}/contract")[0] == 404
    upload.send({"genuine.csv": b"1"})
    assert upload.register()[0] == 202
    site.wait_for(upload.id)
    contract = site.http("GET", f"/v1/assets/{upload.id}/contract")[1]
    assert contract["authorizer"] == registrar.account
    site.ok("verify", upload.id, "--level", "all")


def test_forged_evidence_does_not_get_on_the_ledger(site: Site, assets: dict[str, str], tmp_path: Path) -> None:
    mallory, asset = forged_by(tmp_path, site, "verifier"), assets["dataset"]
    statement = f"sha256:{'c' * 64}"
    forged = mallory.authorize(evidence(UUID(asset), "integrity", statement, "passed"))
    planted = plant(site, asset, forged)
    deliver(site, "evidence.authorized", asset)
    ledger = _ledger(site)
    assert not ledger.is_recorded(forged.message)
    assert verify(site, asset, "all")[0] == "passed"
    planted.unlink()


def _ledger(site: Site) -> Any:
    from functions._backends.ethereum import EthereumLedger

    values = site.settings
    chain, ledger = int(values["POLYGLOT_CHAIN_ID"]), values["POLYGLOT_LEDGER"]
    return EthereumLedger(values["POLYGLOT_RPC_URL"], chain, ledger, values["POLYGLOT_EVIDENCE_LOG"])


def test_a_genuine_authorization_counts_for_its_own_asset_only(site: Site, assets: dict[str, str]) -> None:
    upload = Upload(site)
    plant(site, upload.id, genuine(site, assets["dataset"]))
    deliver(site, "asset.registered", upload.id, assetkind="dataset")
    assert site.http("GET", f"/v1/assets/{upload.id}/contract")[0] == 404
    upload.send({"own.csv": b"1"})
    assert upload.register()[0] == 202
    site.wait_for(upload.id)
    site.ok("verify", upload.id)


def test_rubbish_among_authorizations_stops_nothing(site: Site, assets: dict[str, str]) -> None:
    upload = Upload(site)
    folder = site.bucket / "assets" / upload.id / "authorizations"
    right = json.loads(genuine(site, assets["dataset"]).encode())
    rubbish = [b"", b"[]", b"\xff", b'{"schema":"polyglot/authorization/v1"}']
    for name, value in (("signature", "0x12"), ("message", []), ("type", "Gift"), ("domain", {"chainId": "x"})):
        rubbish.append(json.dumps({**right, name: value}).encode())
    folder_of(folder, {f"{number}.json": data for number, data in enumerate(rubbish)})
    upload.send({"a.csv": b"1"})
    assert upload.register()[0] == 202
    site.wait_for(upload.id)
    site.ok("verify", upload.id, "--level", "all")
    assert site.http("POST", "/v1/reconcile?all=1")[0] == 200


def test_a_forged_index_makes_nobody_a_descendant(site: Site, assets: dict[str, str]) -> None:
    before = json.loads(site.ok("lineage", assets["dataset"], "--format", "json"))
    planted = [
        f"index/parent/{assets[one]}/{assets[other]}"
        for one, other in (("translation", "dataset"), ("dataset", "dataset"))
    ]
    for key in planted:
        (site.bucket / key).parent.mkdir(parents=True, exist_ok=True)
        (site.bucket / key).write_bytes(b"")
    try:
        assert json.loads(site.ok("lineage", assets["dataset"], "--format", "json")) == before
    finally:
        for key in planted:
            (site.bucket / key).unlink()
