"""Files of a revoked asset are removed for good, and nothing else; what was made of it still checks."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions._domain import erasure, intake, journal, paths, verification
from functions._runtime.local import bucket, chain
from tests.customers import Books, Customer, Died
from tests.faults import Fuse, Nursery, Proxy, ended, gone, kill, object_write, ready, transaction
from tests.platforms import Site, started
from tests.strangers import problem, refused
from tests.withdrawals import (
    TABLE,
    again,
    dataset,
    delivered,
    erased,
    everything,
    ports_of,
    publisher,
    revoked,
    said,
    settled,
)
from tests.withdrawals import ended as request_ended


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A platform on which nothing happens but what these tests do."""
    found = started(tmp_path_factory.mktemp("erasure") / "data")
    yield found
    found.platform.stop()


@pytest.fixture(scope="module")
def kept(own: Site, torch_model: Path, quick_image: Path) -> dict[str, str]:
    """The assets of a chain whose trained model was erased when all was done, by kind."""
    customer = Customer(torch_model, quick_image, dict(own.settings))
    customer.register()
    customer.wait()
    assets = {kind: str(asset) for kind, asset in customer.assets.items()}
    own.ok("verify", assets["trained-model"], "--level", "reproduction")
    revoked(own, assets["trained-model"])
    erased(own, assets["trained-model"])
    settled(own)
    return assets


def names(site: Site, prefix: str) -> set[str]:
    """The keys below a prefix, without it, and without the name of an execution."""
    found = {key.removeprefix(prefix) for key in site.objects(prefix.rstrip("/"))}
    return {key.split("/", 1)[1] if prefix.startswith("runs/") and "/" in key else key for key in found}


def test_only_what_is_revoked_is_erased(own: Site) -> None:
    asset = dataset(own)
    problem(own.http("POST", f"/v1/assets/{asset}/erase"), 422, "revoke it first")
    refused(own.run("erase", asset), "revoke it first", f"polyglot revoke {asset}")
    assert names(own, f"assets/{asset}/files/") == set(TABLE)


def test_only_the_owner_or_an_operator_erases(own: Site, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    owner, stranger = publisher(own), publisher(own)
    ran = own.run("dataset", "register", str(tmp_path), "--wait", POLYGLOT_TOKEN=owner)
    revoked(own, ran.out)
    problem(own.http("POST", f"/v1/assets/{ran.out}/erase", token=stranger), 403, "this belongs to")
    problem(own.http("POST", f"/v1/assets/{uuid4()}/erase", token=stranger), 404)
    refused(own.run("erase", str(uuid4())), "there is no asset")
    assert names(own, f"assets/{ran.out}/files/") == {"a.csv"}
    erasing = own.run("erase", ran.out, "--json", POLYGLOT_TOKEN=owner)
    assert erasing.status == 0, erasing.err
    assert erasing.json["erased"]
    assert names(own, f"assets/{ran.out}/files/") == set()


def test_the_files_and_the_copies_that_runs_staged_are_gone_and_what_tells_of_them_stays(
    own: Site, kept: dict[str, str]
) -> None:
    asset = kept["trained-model"]
    assert names(own, f"assets/{asset}/files/") == set()
    staged = names(own, f"runs/{asset}/")
    assert not {name for name in staged if name.startswith(("model/", "output/"))}
    assert {"chosen.json", "log.txt"} <= staged
    bytes_of_it = (own.files(kept["dataset"]) / "model.pt2").read_bytes()  # what it was trained to be
    there = [key for key, data in own.objects("").items() if data == bytes_of_it]
    assert there == [f"assets/{kept['dataset']}/files/model.pt2"]
    there = {name.split("/")[0] for name in names(own, f"assets/{asset}/")}
    evidence = {"record.json", "inventory.jsonl", "revocation.json", "authorizations", "evidence", "signatures"}
    assert there == {*evidence, "journal"}
    for kind in ("dataset", "translation"):
        assert names(own, f"assets/{kept[kind]}/files/")


def test_every_reading_command_says_so(own: Site, kept: dict[str, str], tmp_path: Path) -> None:
    asset = kept["trained-model"]
    status = own.status(asset)
    day = status["erased"][:10]
    assert status["state"] == "complete"
    assert {row["id"]: row["status"] for row in json.loads(own.ok("list", "--json"))}[asset] == "erased"
    assert json.loads(own.ok("show", asset, "--json"))["erased"] == status["erased"]
    assert f"erased on {day}" in own.ok("status", asset)
    for named in (asset, kept["model"]):
        ran = own.run("pull", named, str(tmp_path / "pulled"))
        assert ran.status == 1
        assert f"{asset} was erased on {day}" in ran.err
    assert not (tmp_path / "pulled").exists()
    problem(own.http("GET", f"/v1/assets/{asset}/files/model.pt2"), 404, f"was erased on {day}")
    assert own.http("GET", f"/v1/assets/{asset}/files/")[0] == 307  # the inventory is there


def test_its_integrity_does_not_apply_and_all_else_still_checks(own: Site, kept: dict[str, str]) -> None:
    ran = own.run("verify", kept["trained-model"], "--level", "all", "--json")
    assert ran.status == 0, ran.out
    claims = {claim["claim"]: claim for claim in ran.json["claims"]}
    assert claims["integrity"]["verdict"] == "not applicable"
    assert "erased on" in claims["integrity"]["findings"][0]
    assert claims["provenance"]["verdict"] == "passed"
    ran = own.run("verify", kept["trained-model"], "--json")
    assert (ran.status, ran.json["claims"][0]["verdict"]) == (0, "not applicable")
    for kind in ("dataset", "model", "translation"):
        assert own.run("verify", kept[kind], "--level", "all").status == 0, kind


def test_its_evidence_and_that_of_what_was_made_of_it_is_given_and_checks(
    own: Site, kept: dict[str, str], tmp_path: Path
) -> None:
    for kind in ("trained-model", "translation"):
        place = tmp_path / f"{kind}.json"
        own.ok("evidence", kept[kind], "-o", str(place))
        assert "consistent" in own.ok("check", str(place))


def test_nothing_new_is_made_of_it(own: Site, kept: dict[str, str]) -> None:
    refused(own.run("translate", kept["model"], "--opset", "17"), "was revoked on")


def test_a_verification_that_began_before_finds_one_thing_and_not_each_file_missing(
    own: Site, kept: dict[str, str]
) -> None:
    ports, asset = ports_of(own, "verify"), UUID(kept["trained-model"])
    for path in (None, "model.pt2"):
        found = verification.integrity(ports.storage, ports.ledger, asset, path)
        assert found.verdict == "failed"
        assert [finding for finding in found.findings if finding.startswith("missing")] == []
        assert sum(finding.startswith("erased: its files were removed on") for finding in found.findings) == 1
    record = own.bucket / paths.record_key(asset)
    genuine = record.read_bytes()
    record.write_bytes(genuine + b" ")
    found = verification.integrity(ports.storage, ports.ledger, asset)
    record.write_bytes(genuine)
    assert "changed: record.json" in found.findings


def test_asking_again_is_success_and_changes_nothing(own: Site, kept: dict[str, str]) -> None:
    settled(own)
    asset = kept["trained-model"]
    before, when = own.objects(f"assets/{asset}"), own.status(asset)["erased"]
    own.ok("erase", asset)
    settled(own)
    assert own.objects(f"assets/{asset}") == before
    assert own.status(asset)["erased"] == when


def test_a_model_which_has_no_files_is_erased_too(own: Site, kept: dict[str, str]) -> None:
    revoked(own, kept["model"], "wrong settings")
    assert "erased" in own.ok("erase", kept["model"])
    assert own.run("verify", kept["translation"], "--level", "provenance").status == 0


# Again, at once, forged


def test_its_events_ten_times_at_once_change_nothing(own: Site, kept: dict[str, str]) -> None:
    settled(own)
    events = delivered(own, "erasure.requested")
    assert {service for service, _ in events} == {"erase"}
    before = everything(own)
    assert set(again(own, events)) <= {204}
    settled(own)
    assert everything(own) == before


def test_late_events_of_an_erased_chain_bring_no_file_back(own: Site, kept: dict[str, str]) -> None:
    settled(own)
    before = everything(own)
    names = ("asset.submitted", "asset.registered", "contract.deployed", "training.finished", "revocation.requested")
    answers = again(own, delivered(own, *names), 3)
    settled(own)
    assert set(answers) <= {200, 204}
    assert everything(own) == before


def test_an_event_that_nobody_asked_for_erases_nothing(own: Site, kept: dict[str, str]) -> None:
    """Of an asset that is revoked, and of one that is not; with other requests, and with those of others."""
    standing, asset = dataset(own), dataset(own)
    taken_back = revoked(own, asset)
    theirs = own.http("POST", f"/v1/assets/{kept['trained-model']}/erase")[1]["id"]
    cleared = own.http("POST", "/v1/gc")[1]["id"]
    settled(own)
    before = everything(own)
    for subject in (asset, standing, str(uuid4())):
        for request in ("", theirs, taken_back["id"], cleared, asset, str(uuid4()), "../x"):
            assert own.announce(*said("erasure.requested", subject, {"request": request}), to="/functions/erase") == 400
            assert own.announce(*said("erasure.requested", subject, {"request": request})) == 202
    settled(own)
    assert everything(own) == before


def test_a_request_that_was_written_into_the_bucket_erases_nothing_that_is_not_revoked(own: Site) -> None:
    asset = dataset(own)
    ports = ports_of(own, "register")
    forged = intake.Request(uuid4(), erasure.ROUTE, "local", "admin", "2026-01-01T00:00:00Z", UUID(asset), {})
    intake.store(ports.storage, forged)
    assert own.announce(*said("erasure.requested", asset, {"request": str(forged.id)}), to="/functions/erase") == 503
    assert names(own, f"assets/{asset}/files/") == set(TABLE)
    assert own.run("verify", asset).status == 0


@pytest.mark.parametrize("is_revoked", [False, True])
def test_a_mark_alone_erases_nothing_and_hides_nothing(own: Site, is_revoked: bool) -> None:
    asset = dataset(own)
    if is_revoked:
        revoked(own, asset)
    ports = ports_of(own, "erase")
    journal.mark(ports.storage, UUID(asset), erasure.STEP, 1, "done", ports.now(), request=str(uuid4()))
    assert own.status(asset)["erased"] is None
    ran = own.run("verify", asset, "--json")
    assert (ran.status, ran.json["claims"][0]["verdict"]) == (0, "passed")
    (own.files(asset) / "a.csv").unlink()
    ran = own.run("verify", asset, "--json")
    assert "missing: a.csv" in ran.json["claims"][0]["findings"]
    if not is_revoked:
        for path in own.files(asset).rglob("*.*"):
            path.unlink()
        ran = own.run("verify", asset, "--json")
        assert ran.status == 1
        assert {f"missing: {path}" for path in TABLE} <= set(ran.json["claims"][0]["findings"])
        assert own.run("pull", asset, str(own.data / "x")).status == 1


def test_an_erasure_that_lost_its_way_is_swept(own: Site) -> None:
    asset = dataset(own)
    revoked(own, asset)
    settled(own)
    answer = own.http("POST", f"/v1/assets/{asset}/erase")
    request_ended(own, answer)
    (own.files(asset)).mkdir(parents=True)
    (own.files(asset) / "left.csv").write_text("a file that was not removed when it was killed\n")
    (own.bucket / f"assets/{asset}/journal/erase.1.done.json").unlink()
    (own.bucket / f"open/{asset}").mkdir(parents=True, exist_ok=True)
    (own.bucket / f"open/{asset}/{answer[1]['id']}").write_bytes(b"")
    assert own.status(asset)["erased"] is None
    assert own.http("POST", "/v1/reconcile?all=1")[0] == 200
    settled(own)
    assert own.status(asset)["erased"]
    assert names(own, f"assets/{asset}/files/") == set()


# Kills


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_platform_killed_at_every_write_revokes_and_erases_exactly_once(
    tmp_path: Path, torch_model: Path, quick_image: Path
) -> None:
    fuse, logs, nursery = Fuse(), tmp_path / "logs", Nursery()
    customer = Customer(torch_model, quick_image)
    with ExitStack() as parts:
        parts.callback(nursery.close)
        store = bucket.start(tmp_path / "bucket", logs)
        parts.callback(store.stop)
        node = chain.start(tmp_path / "chain", logs, print)
        parts.callback(node.stop)
        proxies = [Proxy(store.url, fuse, object_write), Proxy(node.url, fuse, transaction)]
        for proxy in proxies:
            parts.callback(proxy.close)
        settings = {"POLYGLOT_S3_URL": proxies[0].url, "POLYGLOT_RPC_URL": proxies[1].url}
        data = tmp_path / "data"
        for life_number in range(80):
            assert gone(data)
            life = nursery.up(data, **settings)
            fuse.arm(life.pid if life_number else None)
            with suppress(Died):
                customer.settings = {**ready(life), "POLYGLOT_RPC_URL": node.url}
                if life_number == 0:
                    _registered(customer)
                    customer.call("POST", "/v1/reconcile")
                fuse.arm(life.pid)
                _taken_back(customer, "revoke", {"reason": "killed on the way"})
                _taken_back(customer, "erase", None)
                customer.call("POST", "/v1/reconcile")
                break
            assert ended(life) == -signal.SIGKILL, life.log.read_text()
        fuse.arm(None)
        folder = tmp_path / "bucket" / bucket.NAME
        asset = customer.dataset
        killed = [name.replace(asset, "*") for name in fuse.kills]
        assert {"PUT assets/*/revocation.json", "DELETE assets/*/files/model.pt2"} <= set(killed)
        assert {f"PUT assets/*/journal/erase.1.{outcome}.json" for outcome in ("requested", "done")} <= set(killed)
        assert sum(name.startswith("PUT assets/*/authorizations/") for name in killed) == 1
        assert sum(name.startswith("transaction") for name in killed) == 1
        assert Books.of(customer.settings).revoked() == {UUID(asset): 1}
        assert not list((folder / "assets" / asset).glob("files/**/*"))
        assert not list((folder / "open").glob("**/*.*"))
        assert [path.name for path in (folder / "assets" / asset / "journal").iterdir()].count("erase.1.done.json") == 1
        answer = customer.call("GET", f"/v1/assets/{asset}/status")
        assert answer["revoked"]["reason"] == "killed on the way"
        assert answer["erased"]
        kill(life.pid)


def _registered(customer: Customer) -> None:
    customer.register()
    customer.wait_for(UUID(customer.dataset))
    customer.wait()


def _taken_back(customer: Customer, verb: str, body: object) -> None:
    """Ask, and wait for the end of the chain."""
    accepted = customer.call("POST", f"/v1/assets/{customer.dataset}/{verb}", body)
    end = time.monotonic() + 30
    while (answer := customer.call("GET", f"/v1/requests/{accepted['id']}"))["state"] != "complete":
        assert answer["state"] in ("waiting", "running", "exhausted"), answer
        assert time.monotonic() < end, answer
        time.sleep(0.1)
