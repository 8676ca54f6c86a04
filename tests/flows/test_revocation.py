"""An owner revokes an asset: on the ledger, with a reason, for ever; and everything says so from then on."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions._backends.keys import RoleKeys, create
from functions._cli.check import report
from functions._domain import authorizations, intake, paths, records
from functions._domain.digests import canonical, digest_of
from functions._domain.revocation import SCHEMA
from tests.customers import Books, Customer
from tests.flows.test_evidence import at, checked, leaves, replaced, subtle
from tests.platforms import Site, image_folder, started
from tests.strangers import NOBODY, Upload, make_token, problem, refused
from tests.withdrawals import again, dataset, delivered, ended, everything, ports_of, publisher, revoked, said, settled

WHY = "consent of two subjects was withdrawn — ünd"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A platform on which nothing happens but what these tests do."""
    found = started(tmp_path_factory.mktemp("revocation") / "data")
    yield found
    found.platform.stop()


@pytest.fixture(scope="module")
def chain(own: Site, torch_model: Path, quick_image: Path) -> dict[str, str]:
    """The assets of a chain whose dataset was revoked when all was done, by kind."""
    customer = Customer(torch_model, quick_image, dict(own.settings))
    customer.register()
    customer.wait()
    revoked(own, customer.dataset, WHY)
    return {kind: str(asset) for kind, asset in customer.assets.items()}


def stored(site: Site, asset: str) -> Path:
    return site.bucket / paths.revocation_key(UUID(asset))


def test_the_ledger_binds_the_text_of_the_reason(own: Site) -> None:
    asset = dataset(own)
    ran = own.run("revoke", asset, "--reason", WHY, "--json")
    assert ran.status == 0, ran.err
    document = json.loads(stored(own, asset).read_bytes())
    request = own.http("GET", f"/v1/requests/{ran.json['request']}")[1]
    assert document == {
        "schema": SCHEMA, "asset": asset, "reason": WHY, "requested": request["time"], "by": "admin",
        "request": request["id"],
    }  # fmt: skip
    assert stored(own, asset).read_bytes() == canonical(document)
    ledger = ports_of(own, "ingest").ledger
    on_ledger = ledger.revocation(UUID(asset))
    assert on_ledger is not None
    assert on_ledger.reason_digest == digest_of(stored(own, asset).read_bytes())
    assert on_ledger.authorizer == ports_of(own, "ingest").signer.account
    contract = own.http("GET", f"/v1/assets/{asset}/contract")[1]
    assert (contract["revoked"], contract["revoked_reason"]) == (True, WHY)
    assert (contract["revoked_at"], contract["revoked_reason_digest"]) == (on_ledger.time, on_ledger.reason_digest)
    assert request["state"] == "complete"
    assert [(step["step"], step["state"]) for step in request["steps"]] == [("revoke", "done"), ("deploy", "done")]
    assert ran.json["revoked"]["reason"] == WHY


def test_the_first_reason_stays_and_asking_for_it_again_is_success(own: Site) -> None:
    asset = dataset(own)
    first = revoked(own, asset)
    settled(own)
    before = everything(own)
    assert revoked(own, asset)["id"] == first["id"]
    refused(own.run("revoke", asset, "--reason", "another"), "revoked already: consent was withdrawn")
    problem(own.http("POST", f"/v1/assets/{asset}/revoke", {"reason": "another"}), 422, "revoked already")
    settled(own)
    assert everything(own) == before


def test_of_many_revocations_at_once_one_reason_counts_and_the_others_are_told(own: Site) -> None:
    asset = dataset(own)
    with ThreadPoolExecutor(8) as pool:
        reasons = [f"reason {number}" for number in range(8)]
        answers = list(pool.map(lambda why: own.http("POST", f"/v1/assets/{asset}/revoke", {"reason": why}), reasons))
    taken = [(why, answer) for why, answer in zip(reasons, answers, strict=True) if answer[0] == 202]
    assert len(taken) == 1
    ended(own, taken[0][1])
    for why, answer in zip(reasons, answers, strict=True):
        if why != taken[0][0]:
            problem(answer, 422, f"revoked already: {taken[0][0]}")
    assert own.http("GET", f"/v1/assets/{asset}/contract")[1]["revoked_reason"] == taken[0][0]
    settled(own)
    assert Books.of(own.settings).revoked()[UUID(asset)] == 1
    assert not own.objects(f"open/{asset}")  # those that lost have ended too


def test_only_the_owner_or_an_operator_revokes(own: Site, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    owner, stranger, reader = publisher(own), publisher(own), make_token(own, "reader", None, "reader")
    ran = own.run("dataset", "register", str(tmp_path), "--wait", POLYGLOT_TOKEN=owner)
    assert ran.status == 0, ran.err
    refused(own.run("revoke", ran.out, "--reason", "mine now", POLYGLOT_TOKEN=stranger), "this belongs to")
    route = f"/v1/assets/{ran.out}/revoke"
    problem(own.http("POST", route, {"reason": "x"}, token=stranger), 403)
    problem(own.http("POST", route, {"reason": "x"}, token=reader), 403, "publisher")
    assert not stored(own, ran.out).exists()
    revoking = own.run("revoke", ran.out, "--reason", "mine", POLYGLOT_TOKEN=owner)
    assert revoking.status == 0, revoking.err
    assert "revoked" in own.ok("verify", ran.out)
    assert "by its owner: mine" in own.ok("verify", ran.out)


def test_an_operator_who_revokes_for_an_owner_is_named(own: Site, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    ran = own.run("dataset", "register", str(tmp_path), "--wait", POLYGLOT_TOKEN=publisher(own))
    revoked(own, ran.out, "a court said so")
    assert "by an operator (admin): a court said so" in own.ok("verify", ran.out)


def test_of_an_asset_whose_record_was_changed_only_operators_are_believed(own: Site) -> None:
    asset, mallory = dataset(own), publisher(own, "mallory")
    record = own.bucket / paths.record_key(UUID(asset))
    genuine = record.read_bytes()
    record.write_bytes(canonical({**json.loads(genuine), "owner": "mallory"}))
    route = f"/v1/assets/{asset}/revoke"
    problem(own.http("POST", route, {"reason": "x"}, token=mallory), 403, "cannot be told", "operator")
    record.write_bytes(genuine)
    assert not stored(own, asset).exists()


@pytest.mark.parametrize("token", ["", "stranger"])
def test_what_is_not_there_cannot_be_revoked(own: Site, token: str) -> None:
    given = publisher(own) if token else None
    problem(own.http("POST", f"/v1/assets/{uuid4()}/revoke", {"reason": "x"}, token=given), 404, "there is no asset")
    refused(own.run("revoke", NOBODY, "--reason", "x"), "there is no asset")
    upload = Upload(own)
    problem(own.http("POST", f"/v1/assets/{upload.id}/revoke", {"reason": "x"}), 422, "not sealed")


@pytest.mark.parametrize(
    "reason", ["", " ", "x" * 1001, "two\nlines", "a\x00b", "a\x1bb", "a\x7fb", "a\x9fb", "a\u2028b", 7, None]
)
def test_a_reason_is_one_line_of_text(own: Site, chain: dict[str, str], reason: object) -> None:
    problem(own.http("POST", f"/v1/assets/{chain['model']}/revoke", {"reason": reason}), 400, "reason")
    assert not stored(own, chain["model"]).exists()


def test_a_reason_of_a_thousand_characters_is_taken(own: Site) -> None:
    asset = dataset(own)
    revoked(own, asset, "ü" * 1000)
    assert own.http("GET", f"/v1/assets/{asset}/contract")[1]["revoked_reason"] == "ü" * 1000


# What is said from then on


def test_every_reading_command_says_so(own: Site, chain: dict[str, str], tmp_path: Path) -> None:
    asset = chain["dataset"]
    assert {row["id"]: row["status"] for row in json.loads(own.ok("list", "--json"))}[asset] == "revoked"
    assert WHY in own.ok("show", asset)
    status = own.ok("status", asset)
    assert "complete" in status
    assert "✓ revoke" in status
    assert WHY in status
    assert "revoked  ←" in own.ok("lineage", asset)
    ran = own.run("pull", asset, str(tmp_path / "pulled"), "--json")
    assert ran.status == 0
    assert ran.json["revoked"]["reason"] == WHY
    day = ran.json["revoked"]["time"][:10]
    assert f"WARNING: dataset {asset} was REVOKED on {day}: {WHY}" in ran.err
    assert (tmp_path / "pulled" / "model.pt2").exists()


def test_an_asset_that_is_not_revoked_says_nothing_of_it(own: Site, chain: dict[str, str], tmp_path: Path) -> None:
    ran = own.run("pull", chain["translation"], str(tmp_path / "pulled"), "--json")
    assert (ran.status, ran.json["revoked"]) == (0, None)
    assert "REVOKED" not in ran.err


def test_its_claims_are_true_still_and_so_are_those_of_what_was_made_of_it(own: Site, chain: dict[str, str]) -> None:
    note = f"by its owner: {WHY}"
    for kind, asset in chain.items():
        ran = own.run("verify", asset, "--level", "all", "--json")
        assert ran.status == 0, ran.out
        claims = {claim["claim"]: claim for claim in ran.json["claims"]}
        assert claims["integrity"]["verdict"] == claims["provenance"]["verdict"] == "passed"
        assert any(note in finding for finding in claims["provenance"]["findings"])
        assert any(note in finding for finding in claims["integrity"]["findings"]) == (kind == "dataset")


def test_a_bundle_of_evidence_has_the_reason_and_every_word_of_it_is_checked(
    own: Site, chain: dict[str, str], tmp_path: Path
) -> None:
    place = tmp_path / "bundle.json"
    own.ok("evidence", chain["translation"], "-o", str(place))
    found = json.loads(place.read_text())
    (revoked_one,) = [part for part in found["assets"] if part["revocation"]]
    assert (revoked_one["id"], revoked_one["revocation"]["reason"]) == (chain["dataset"], WHY)
    outcome = checked(found, tmp_path)
    assert outcome.is_consistent, outcome.problems
    assert f"  ! dataset {chain['dataset']} was revoked by its owner: {WHY}" in report.text(outcome)
    number = found["assets"].index(revoked_one)
    places = [
        one for one in leaves(found) if one[:2] == ("assets", number) and one[2] in ("revocation", "authorizations")
    ]
    assert len(places) > 15
    for one in places:
        assert not checked(replaced(found, one, subtle(at(found, one))), tmp_path).is_consistent, one
    assert not checked(replaced(found, ("assets", number, "revocation"), None), tmp_path).is_consistent
    other = ("assets", 1 - number, "revocation")
    assert not checked(replaced(found, other, revoked_one["revocation"]), tmp_path).is_consistent


def test_the_command_names_what_was_made_of_it_and_stays(own: Site, torch_model: Path, quick_image: Path) -> None:
    customer = Customer(torch_model, quick_image, dict(own.settings), key="stays")
    customer.register()
    customer.wait()
    assets = {kind: str(asset) for kind, asset in customer.assets.items()}
    ran = own.run("revoke", assets["model"], "--reason", "x")
    assert f"the trained-model {assets['trained-model']} was made of it and is not revoked" in ran.err
    pulled = own.run("pull", assets["model"], str(own.data / "pulled"))
    assert pulled.status == 0
    assert f"WARNING: the model {assets['model']}, by which it was trained, was REVOKED" in pulled.err


# What is refused from then on


def test_no_new_model_is_made_of_a_revoked_dataset(own: Site, chain: dict[str, str], quick_image: Path) -> None:
    ran = own.run("model", "register", "--dataset", chain["dataset"], "--image", str(quick_image))
    refused(ran, f"dataset {chain['dataset']} was revoked on", WHY)


def test_no_new_translation_is_made_of_a_revoked_trained_model(own: Site, chain: dict[str, str]) -> None:
    revoked(own, chain["trained-model"], "wrong labels")
    refused(own.run("translate", chain["trained-model"], "--opset", "18"), "was revoked on", "wrong labels")
    pulled = own.run("pull", chain["model"], str(own.data / f"pulled-{uuid4()}"), "--json")
    assert (pulled.status, pulled.json["revoked"]["reason"]) == (0, "wrong labels")


def test_what_was_trained_on_a_revoked_dataset_is_not_trained_once_more(own: Site, chain: dict[str, str]) -> None:
    ran = own.run("verify", chain["trained-model"], "--level", "reproduction")
    refused(ran, "was revoked on", "not trained on once more")
    ran = own.run("verify", chain["trained-model"], "--level", "all", "--json")
    assert ran.status == 0, ran.out
    (claim,) = [claim for claim in ran.json["claims"] if claim["claim"] == "reproduction"]
    assert claim["verdict"] == "not applicable"
    assert "was revoked on" in claim["findings"][0]


def test_a_reproduction_that_was_asked_for_before_is_not_begun(own: Site, chain: dict[str, str]) -> None:
    ports = ports_of(own, "register")
    asked = intake.accept(
        ports, intake.Principal("admin", frozenset({"operator"})), "verifications", None,
        {"claims": ["reproduction"], "not_applicable": {}, "path": None}, UUID(chain["trained-model"]),
    )  # fmt: skip
    event = said("reproduction.requested", chain["trained-model"], {"request": str(asked.id)})
    assert own.announce(*event, to="/functions/train") == 204
    answer = own.http("GET", f"/v1/requests/{asked.id}")[1]
    assert answer["state"] == "failed"
    assert "was revoked on" in answer["reason"]


def test_a_training_whose_dataset_was_revoked_meanwhile_is_not_begun(own: Site, tmp_path: Path) -> None:
    asset = dataset(own)
    image = image_folder(tmp_path / "image", "raise SystemExit('no luck')\n")
    model = own.ok("model", "register", "--dataset", asset, "--image", str(image))
    own.wait_for(model, ("failed",))
    revoked(own, asset, WHY)
    assert own.http("POST", f"/v1/assets/{model}/retry")[0] == 202
    status = own.wait_for(model, ("rejected",))
    assert f"dataset {asset} was revoked on" in status["reason"]
    assert WHY in status["reason"]


# Again, at once, forged


def test_its_events_ten_times_at_once_change_nothing(own: Site, chain: dict[str, str]) -> None:
    settled(own)
    events = delivered(own, "revocation.requested", "revocation.authorized")
    assert {service for service, _ in events} == {"ingest", "deploy"}
    before = everything(own)
    assert set(again(own, events)) <= {200, 204}
    settled(own)
    assert everything(own) == before
    assert set(Books.of(own.settings).revoked().values()) == {1}


def test_an_event_that_nobody_asked_for_revokes_nothing(own: Site) -> None:
    asset, other = dataset(own), dataset(own)
    theirs = own.http("POST", f"/v1/assets/{other}/revoke", {"reason": "x"})[1]["id"]
    settled(own)
    before = everything(own)
    for name, service, data in (
        ("revocation.requested", "ingest", {}),
        ("revocation.requested", "ingest", {"request": theirs}),
        ("revocation.requested", "ingest", {"request": asset}),
        ("revocation.requested", "ingest", {"request": "../../x"}),
        ("revocation.authorized", "deploy", {}),
    ):
        assert own.announce(*said(name, asset, data), to=f"/functions/{service}") == 400
        assert own.announce(*said(name, asset, data)) == 202
    settled(own)
    assert everything(own) == before
    assert own.http("GET", f"/v1/assets/{asset}/contract")[1]["revoked"] is False


def test_an_authorization_that_no_registrar_signed_revokes_nothing(own: Site, tmp_path: Path) -> None:
    asset = dataset(own)
    create("registrar", tmp_path)
    settings = own.settings
    forger = RoleKeys(
        "registrar", tmp_path, int(settings["POLYGLOT_CHAIN_ID"]), settings["POLYGLOT_LEDGER"],
        settings["POLYGLOT_EVIDENCE_LOG"],
    )  # fmt: skip
    forged = forger.authorize(authorizations.revocation(UUID(asset), digest_of(b"x")))
    records.store_authorization(ports_of(own, "ingest").storage, forged)
    assert own.announce(*said("revocation.authorized", asset), to="/functions/deploy") in (400, 422)
    assert own.announce(*said("asset.registered", asset), to="/functions/deploy") == 200
    assert own.http("GET", f"/v1/assets/{asset}/contract")[1]["revoked"] is False
    assert own.status(asset)["state"] == "complete"
    revoked(own, asset)  # what was forged stands in nobody's way
    settled(own)
    assert Books.of(own.settings).revoked()[UUID(asset)] == 1


def test_a_reason_that_somebody_else_put_there_is_found_and_believed_by_nobody(own: Site) -> None:
    asset = dataset(own)
    forged = {"schema": SCHEMA, "asset": asset, "reason": "slander", "by": "admin", "request": str(uuid4())}
    stored(own, asset).write_bytes(canonical(forged))
    assert own.status(asset)["revoked"] is None
    assert "revocation.json is there, and the ledger knows of no revocation" in own.ok("verify", asset)
    answer = own.http("POST", f"/v1/assets/{asset}/revoke", {"reason": "mine"})
    problem(answer, 422, "revocation.json", "somebody else put it there")
    stored(own, asset).unlink()
    revoked(own, asset, "mine")
    genuine = stored(own, asset).read_bytes()
    for data in (canonical({**json.loads(genuine), "reason": "slander"}), b"{}", b"not json"):
        stored(own, asset).write_bytes(data)
        contract = own.http("GET", f"/v1/assets/{asset}/contract")[1]
        assert (contract["revoked"], contract["revoked_reason"]) == (True, None)
        ran = own.run("verify", asset, "--level", "all", "--json")
        assert ran.status == 1
        findings = [finding for claim in ran.json["claims"] for finding in claim["findings"]]
        assert "changed: revocation.json" in findings
        assert own.status(asset)["state"] == "complete"
        assert own.run("list").status == own.run("show", asset).status == 0
    stored(own, asset).write_bytes(genuine)
    assert own.run("verify", asset).status == 0


def test_a_revocation_that_lost_its_way_is_swept(own: Site) -> None:
    asset = dataset(own)
    storage = ports_of(own, "register").storage
    accepted = own.http("POST", f"/v1/assets/{asset}/revoke", {"reason": "x"})[1]
    ended(own, (202, accepted, {}))
    settled(own)
    key = paths.authorizations_prefix(UUID(asset))
    for entry in list(storage.list(key)):  # as if its signer had been killed before it signed, the ledger being older
        if b"Revocation" in (storage.read(entry.key) or b""):
            storage.delete(entry.key)
    storage.create(paths.open_key(UUID(asset), UUID(accepted["id"])), b"")
    assert own.http("POST", "/v1/reconcile?all=1")[0] == 200
    settled(own)
    kept = [one.message.type for one in records.authorizations(storage, UUID(asset))]
    assert kept.count("Revocation") == 1


def test_a_ledger_that_lost_everything_gets_the_revocation_again(tmp_path: Path) -> None:
    data = tmp_path / "platform"
    site = started(data)
    try:
        asset = dataset(site)
        revoked(site, asset, WHY)
        settled(site)
    finally:
        site.platform.stop()
    for name in ("state.json", "state.kept.json"):
        (data / "chain" / name).unlink(missing_ok=True)
    site = started(data)
    try:
        end = time.monotonic() + 30
        while (told := site.status(asset)["revoked"]) is None:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert told["reason"] == WHY
        assert Books.of(site.settings).revoked() == Counter({UUID(asset): 1})
        assert site.run("verify", asset).status == 0
    finally:
        site.platform.stop()


# A registrar that goes


def test_a_revocation_that_a_dismissed_registrar_signed_waits_for_the_new_one(tmp_path: Path) -> None:
    from tests.flows.test_roles import admin_of, keys_of

    site = started(tmp_path / "platform")
    try:
        asset = dataset(site)
        admin_of(site).dismiss(site.settings["POLYGLOT_LEDGER"], "registrar", keys_of(site, "registrar").account)
        ran = site.run("revoke", asset, "--reason", WHY)
        assert ran.status == 1
        assert "AssetLedgerUnauthorizedAuthorizer" in ran.err
        assert site.status(asset)["state"] == "complete"
        assert site.status(asset)["revoked"] is None
        assert site.run("verify", asset).status == 0  # what keeps a revocation away says nothing against the asset
    finally:
        site.platform.stop()
    for path in (tmp_path / "platform" / "keys").glob("registrar.*"):
        path.unlink()
    site = started(tmp_path / "platform")  # makes new keys and appoints them
    try:
        site.ok("retry", asset)
        assert site.ok("revoke", asset, "--reason", WHY)
        assert site.status(asset)["revoked"]["reason"] == WHY
        on_ledger = ports_of(site, "ingest").ledger.revocation(UUID(asset))
        assert on_ledger is not None
        assert on_ledger.authorizer == keys_of(site, "registrar").account
        assert Books.of(site.settings).revoked() == Counter({UUID(asset): 1})
    finally:
        site.platform.stop()
