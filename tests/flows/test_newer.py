"""Two versions of the platform over one bucket: the older one leaves alone what the newer one wrote, and says so."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions._backends.s3 import S3Storage
from functions._domain import intake, paths, records
from functions._domain.assets import Kind
from functions._domain.authorizations import registration
from functions._domain.digests import canonical, digest_of
from functions._domain.identity import derive, trained_model_id
from functions._domain.inventory import line
from functions._domain.sealing import Draft, Sealed
from functions._runtime.wiring import WiredPorts
from functions.declaration import by_name
from tests.platforms import Site
from tests.strangers import event

ROWS = b"1,2\n3,4\n"


def put(site: Site, key: str, **document: object) -> bytes:
    data = canonical(document)
    path = site.bucket / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


@pytest.fixture
def theirs(site: Site) -> Iterator[UUID]:
    """A dataset that a newer platform sealed: its record is of a later version, and the ledger has that record."""
    asset, storage = uuid4(), S3Storage.from_settings(site.settings)
    storage.create(f"{paths.files_prefix(asset)}rows.csv", ROWS)
    inventory = line("rows.csv", len(ROWS), digest_of(ROWS).removeprefix("sha256:"))
    storage.create(paths.inventory_key(asset), inventory)
    draft = Draft(asset, Kind.DATASET, "from the future", "admin", "local", "2030-01-01T00:00:00Z")
    record = draft.record(Sealed(digest_of(inventory), 1, len(ROWS)))
    data = put(site, paths.record_key(asset), **{**record, "schema": "polyglot/record/v2", "licences": ["CC0-1.0"]})
    storage.create(paths.name_key("dataset", "from the future", asset), b"")
    ports = WiredPorts(by_name("ingest"), site.settings)
    message = registration(asset, Kind.DATASET.number, digest_of(inventory), digest_of(data), ())
    records.store_authorization(storage, ports.signer.authorize(message))
    for one in records.authorizations(storage, asset):
        ports.ledger.carry(one)
    yield asset
    for prefix in (f"assets/{asset}", f"open/{asset}", "index/name/dataset/from the future"):
        shutil.rmtree(site.bucket / prefix, ignore_errors=True)


def outcomes(site: Site, asset: UUID) -> set[str]:
    return {Path(key).name.split(".")[2] for key in site.objects(f"assets/{asset}/journal")}


@pytest.mark.parametrize("path", ["", "/status", "/lineage"])
def test_it_is_refused_politely(site: Site, theirs: UUID, path: str) -> None:
    status, problem, headers = site.http("GET", f"/v1/assets/{theirs}{path}")
    assert status == 503
    assert (
        "written by a newer version of this platform (schema polyglot/record/v2); upgrade this one" in problem["detail"]
    )
    assert headers["Retry-After"]


def test_the_command_line_says_so_and_that_the_platform_cannot_tell(site: Site, theirs: UUID) -> None:
    ran = site.run("show", str(theirs))
    assert ran.status == 3
    assert "newer version of this platform" in ran.err


def test_others_are_listed_beside_it(site: Site, theirs: UUID, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1")
    ours = site.ok("dataset", "register", str(tmp_path), "--name", "of today", "--wait")
    status, answer, _ = site.http("GET", "/v1/assets?kind=dataset")
    assert status == 200
    listed = {one["id"]: one["status"] for one in answer["assets"]}
    assert listed[str(theirs)] == "newer"
    assert listed[ours] == "complete"


@pytest.mark.parametrize(
    ("service", "name"),
    [("deploy", "asset.registered"), ("train", "contract.deployed"), ("collect", "training.finished")],
)
def test_an_event_about_it_waits_and_leaves_no_mark(site: Site, theirs: UUID, service: str, name: str) -> None:
    subject, body = theirs, b"{}"
    if name == "training.finished":
        subject, body = trained_model_id(theirs, 1), json.dumps({"run": f"train-{theirs}-1"}).encode()
    assert site.announce(event(name, str(subject), assetkind="model"), body, f"/functions/{service}") == 503
    assert not site.objects(f"assets/{theirs}/journal")
    assert not site.objects(f"assets/{subject}/journal")


def test_a_model_on_it_is_not_taken_and_one_that_was_waits(site: Site, theirs: UUID, quick_image: Path) -> None:
    ran = site.run("model", "register", "--dataset", str(theirs), "--image", str(quick_image))
    assert (ran.status, "newer version of this platform" in ran.err) == (3, True)
    body = {"name": "m", "datasets": {"train": str(theirs)}, "image": f"x@sha256:{'0' * 64}", "command": ["train"]}
    model = uuid4()
    asked = intake.Request(model, "models", "local", "admin", "2030-01-01T00:00:00Z", model, body)
    intake.store(S3Storage.from_settings(site.settings), asked)
    put(site, f"open/{model}/{model}")
    assert site.announce(event("asset.submitted", str(model)), b"{}", "/functions/ingest") == 503
    assert site.http("POST", "/v1/reconcile?all=1")[0] == 200
    assert outcomes(site, model) <= {"exhausted"}
    assert site.status(str(model))["state"] in ("waiting", "exhausted")
    for prefix in (f"assets/{model}", f"open/{model}"):
        shutil.rmtree(site.bucket / prefix, ignore_errors=True)
    (site.bucket / f"requests/{model}.json").unlink()


def test_the_sweep_leaves_it_alone_and_does_its_work(site: Site, theirs: UUID) -> None:
    request = uuid4()
    put(site, f"requests/{request}.json", schema="polyglot/request/v2", id=str(request))
    put(site, f"open/{request}/{request}")
    before = site.objects(f"assets/{theirs}")
    for _ in range(2):
        status, swept, _ = site.http("POST", "/v1/reconcile?all=1")
        assert status == 200
        assert not any(str(theirs) in one or str(request) in one for one in swept["announced"])
    assert f"open/{request}/{request}" in site.objects("open")
    assert site.objects(f"assets/{theirs}") == before
    shutil.rmtree(site.bucket / "open" / str(request))
    (site.bucket / f"requests/{request}.json").unlink()


def test_an_inbox_that_a_newer_platform_refused_is_left_refused(site: Site) -> None:
    folder = f"inbox/dataset/t{uuid4().hex[:8]}"
    put(site, f"{folder}/asset.json", files=[{"path": "x"}])
    put(site, f"{folder}/rejected.json", schema="polyglot/receipt/v2")
    subject = derive("local", "inbox", f"{folder}/asset.json")
    assert not any(str(subject) in one for one in site.http("POST", "/v1/reconcile")[1]["announced"])
    shutil.rmtree(site.bucket / folder)


def test_its_bytes_are_verified_and_of_its_provenance_nothing_is_said(site: Site, theirs: UUID) -> None:
    """Any version can compare with what the ledger holds; an older one cannot judge what a newer record says."""
    storage, request = S3Storage.from_settings(site.settings), uuid4()
    body = {"claims": ["integrity", "provenance"], "path": None}
    intake.store(storage, intake.Request(request, "verifications", "local", "a", "2030-01-01T00:00:00Z", theirs, body))
    headers, data = event("verification.requested", str(theirs)), json.dumps({"request": str(request)}).encode()
    said = [site.announce({**headers, "ce-claim": claim}, data, "/functions/verify") for claim in body["claims"]]
    assert said == [200, 503]
    (evidence,) = site.objects(f"assets/{theirs}/evidence").values()
    predicate = json.loads(base64.b64decode(json.loads(evidence)["payload"]))["predicate"]
    assert (predicate["claim"], predicate["verdict"]) == ("integrity", "passed")
    assert "rejected" not in outcomes(site, theirs)


def test_a_version_number_written_into_a_record_hides_nothing(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1")
    ours = site.ok("dataset", "register", str(tmp_path), "--wait")
    path = site.bucket / paths.record_key(UUID(ours))
    genuine = path.read_bytes()
    path.write_bytes(genuine.replace(b"polyglot/record/v1", b"polyglot/record/v2"))
    try:
        found = {claim: site.run("verify", ours, "--level", claim) for claim in ("integrity", "provenance")}
    finally:
        path.write_bytes(genuine)
    assert [ran.status for ran in found.values()] == [1, 1]
    assert all("changed: record.json" in ran.out + ran.err for ran in found.values())


def test_an_event_of_a_later_version_is_neither_done_nor_refused(site: Site) -> None:
    asset = str(uuid4())
    before = site.objects("dead-letters")
    later = event("asset.registered", asset)
    later["ce-type"] = later["ce-type"].replace(".v1", ".v2")
    for service in ("deploy", "ingest"):
        assert site.announce(later, b"{}", f"/functions/{service}") == 503
    body = b'{"schema": "polyglot/asset.registered/v2"}'
    assert (
        site.announce(
            {**event("asset.registered", asset), "Content-Type": "application/json"}, body, "/functions/deploy"
        )
        == 503
    )
    assert site.objects("dead-letters") == before
    assert not site.objects(f"assets/{asset}")


def test_a_chain_in_which_a_newer_platform_took_part_says_that_it_waits_for_an_upgrade(
    site: Site, assets: dict[str, str]
) -> None:
    path = site.bucket / paths.record_key(UUID(assets["trained-model"]))
    genuine = path.read_bytes()
    path.write_bytes(genuine.replace(b"polyglot/record/v1", b"polyglot/record/v2"))
    try:
        found = site.status(assets["model"])
        listed = {one["id"]: one["status"] for one in site.http("GET", "/v1/assets")[1]["assets"]}
    finally:
        path.write_bytes(genuine)
    assert (found["state"], found["step"]) == ("waiting", "upgrade")
    assert "upgrade this one" in found["reason"]
    assert found["trained_model"] == assets["trained-model"]
    names = {"dataset": "complete", "model": "waiting", "trained-model": "newer"}
    assert {kind: listed[assets[kind]] for kind in names} == names
    assert site.status(assets["model"])["state"] == "complete"
