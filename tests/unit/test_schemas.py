"""What a newer version of this platform wrote is left alone; what nobody of ours wrote is refused."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._backends import keys
from functions._backends.cloudevents import from_http, to_http
from functions._domain import authorizations, burial, intake, journal, paths, records, schemas, statements
from functions._domain.assets import RECORD_SCHEMA
from functions._domain.digests import canonical
from functions._domain.errors import RejectedConflict, RejectedContent, RejectedRequest, Unavailable, UnavailableNewer
from functions._domain.events import Event, announce, name_of
from functions._runtime import problems
from tests.fakes import FolderStorage

ASSET = UUID(int=7)
KNOWN = "polyglot/record/v1"
FOREIGN = [
    "polyglot/record/v0", "polyglot/record/v1 ", "polyglot/record/v", "polyglot/record/v2x", "polyglot/record/v²",
    "polyglot/record/v1/v2", "polyglot/receipt/v2", "other/record/v2", "polyglot/record/v-2", "", None, 2,
    ["polyglot/record/v2"], "polyglot/record/v" + "9" * 5000,
]  # fmt: skip


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "bucket")


def put(storage: FolderStorage, key: str, **document: object) -> None:
    storage.delete(key)
    storage.create(key, canonical(document))


@pytest.mark.parametrize("version", ["2", "10", "999999999", "02"])
def test_a_later_version_of_a_known_name_is_newer(version: str) -> None:
    assert schemas.is_newer(f"polyglot/record/v{version}", KNOWN)
    with pytest.raises(
        UnavailableNewer, match=rf"a\.json was written by a newer version .*v{version}\); upgrade this one"
    ):
        schemas.require(f"polyglot/record/v{version}", KNOWN, "a.json")


@pytest.mark.parametrize("found", FOREIGN, ids=lambda found: repr(found)[:30])
def test_everything_else_is_damage(found: object) -> None:
    assert not schemas.is_newer(found, KNOWN)
    with pytest.raises(RejectedContent, match=r"a\.json has schema"):
        schemas.require(found, KNOWN, "a.json")


@given(st.text() | st.integers() | st.none())
def test_whatever_stands_there_is_known_newer_or_damage(found: object) -> None:
    try:
        schemas.require(found, KNOWN, "a.json")
        assert found == KNOWN
    except (RejectedContent, UnavailableNewer):
        assert found != KNOWN


def test_it_is_transient_so_that_no_mark_is_left_and_a_broker_asks_again() -> None:
    assert issubclass(UnavailableNewer, Unavailable)
    assert problems.status_of(UnavailableNewer("x")) == 503


@pytest.mark.parametrize("schema", ["polyglot/record/v2", "polyglot/nonsense/v1"])
def test_a_record_is_read_by_its_schema(storage: FolderStorage, schema: str) -> None:
    put(storage, paths.record_key(ASSET), schema=schema, whatever="it says")
    with pytest.raises(UnavailableNewer if schema.endswith("2") else RejectedContent, match=schema):
        records.of_asset(storage, ASSET)


def test_a_newer_platforms_document_in_our_place_is_no_conflict(storage: FolderStorage) -> None:
    key, ours = paths.record_key(ASSET), canonical({"schema": RECORD_SCHEMA, "id": str(ASSET)})
    put(storage, key, schema="polyglot/record/v2")
    with pytest.raises(UnavailableNewer):
        records.write(storage, key, ours)
    for there in (b"nonsense", canonical({"schema": RECORD_SCHEMA}), canonical({"schema": "polyglot/receipt/v2"})):
        storage.delete(key)
        storage.create(key, there)
        with pytest.raises(RejectedConflict):
            records.write(storage, key, ours)


def registration(tmp_path: Path, subject: UUID = ASSET) -> authorizations.Authorization:
    keys.create("registrar", tmp_path)
    signer = keys.RoleKeys("registrar", tmp_path, 1337, f"0x{'1' * 40}", f"0x{'2' * 40}")
    digest = f"sha256:{'0' * 64}"
    return signer.authorize(authorizations.registration(subject, 1, digest, digest, ()))


def test_a_newer_authorization_stops_nothing_where_a_registration_is_understood(
    storage: FolderStorage, tmp_path: Path
) -> None:
    ours = registration(tmp_path)
    records.store_authorization(storage, ours)
    put(storage, f"{paths.authorizations_prefix(ASSET)}newer.json", schema="polyglot/authorization/v2")
    assert list(records.authorizations(storage, ASSET)) == [ours]


def test_an_asset_that_a_newer_platform_sealed_does_not_pass_for_one_that_nobody_did(storage: FolderStorage) -> None:
    put(storage, f"{paths.authorizations_prefix(ASSET)}newer.json", schema="polyglot/authorization/v2")
    with pytest.raises(UnavailableNewer):
        records.has_registration(storage, ASSET)
    put(storage, f"{paths.authorizations_prefix(ASSET)}newer.json", schema="polyglot/nonsense/v2")
    assert not records.has_registration(storage, ASSET)


def test_an_upload_that_a_newer_platform_bound_to_a_request_is_no_conflict(storage: FolderStorage) -> None:
    intake.claim_upload(storage, ASSET, UUID(int=1))
    intake.claim_upload(storage, ASSET, UUID(int=1))
    with pytest.raises(RejectedConflict):
        intake.claim_upload(storage, ASSET, UUID(int=2))
    put(storage, intake.submission_key(ASSET), schema="polyglot/request/v2", request=str(UUID(int=1)))
    with pytest.raises(UnavailableNewer):
        intake.claim_upload(storage, ASSET, UUID(int=1))


def test_a_statement_of_a_newer_kind_is_not_a_broken_one(tmp_path: Path) -> None:
    keys.create("verifier", tmp_path)
    signer = keys.RoleKeys("verifier", tmp_path, 1, "0x", "0x")
    statement = statements.statement("integrity", ASSET, f"sha256:{'0' * 64}", {"verdict": "passed"})
    assert statements.opened(signer.sign(statement)).predicate["verdict"] == "passed"
    later = {**statement, "predicateType": str(statement["predicateType"]).replace("/v1", "/v2")}
    with pytest.raises(UnavailableNewer, match="predicates/verification/v2"):
        statements.opened(signer.sign(later))


# Events


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("io.polyglot.asset.registered.v1", "asset.registered"),
        ("io.polyglot.asset.registered.v2", "asset.registered"),
        ("io.polyglot.asset.registered.v0", None),
        ("io.polyglot.asset.registered", None),
        ("io.polyglot.Asset.v1", None),
        ("com.amazonaws.ObjectCreated:Put", None),
    ],
)
def test_the_types_of_events_that_are_ours(type_: str, name: str | None) -> None:
    assert name_of(type_) == name


def sent(type_: str = "", subject: str = str(ASSET), body: object = None) -> Event:
    headers, usual = to_http(announce("asset.registered", ASSET, "cause"), "/s")
    headers = {**headers, "ce-subject": subject, **({"ce-type": type_} if type_ else {})}
    return from_http(headers, usual if body is None else json.dumps(body).encode()).event


def test_an_event_of_this_version_is_known_whatever_its_data_say() -> None:
    for body in (None, {}, {"schema": "polyglot/asset.registered/v1"}, {"schema": "else/v2"}, {"schema": 7}):
        sent(body=body).require_known()


def test_an_event_of_a_later_version_is_told_by_its_type_or_its_data() -> None:
    newer = "io.polyglot.asset.registered.v2"
    for event in (sent(newer), sent(body={"schema": "polyglot/asset.registered/v2"})):
        with pytest.raises(UnavailableNewer, match=r"asset\.registered[/.]v2"):
            event.require_known()
    assert sent(newer).type == newer


@pytest.mark.parametrize("shape", [{"subject": "acme:7"}, {"subject": ""}, {"body": [1]}])
def test_an_event_of_a_later_version_may_have_another_shape(shape: dict[str, object]) -> None:
    with pytest.raises(UnavailableNewer):
        sent("io.polyglot.asset.registered.v2", **shape)  # type: ignore[arg-type]
    with pytest.raises(RejectedRequest):
        sent(**shape)  # type: ignore[arg-type]


class Burying:
    """The two ports that burial uses."""

    def __init__(self, storage: FolderStorage) -> None:
        self.storage = storage

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def test_a_dead_letter_of_a_later_version_is_kept_as_it_came(storage: FolderStorage) -> None:
    burial.bury(Burying(storage), sent("io.polyglot.asset.registered.v2"))  # type: ignore[arg-type]
    (letter,) = storage.list("dead-letters/")
    assert json.loads(storage.read(letter.key) or b"")["type"] == "io.polyglot.asset.registered.v2"


def test_a_rejection_where_a_newer_platform_wrote_what_would_tell_leaves_no_mark(storage: FolderStorage) -> None:
    journal.mark(storage, ASSET, "deploy", 1, "started", datetime(2026, 1, 1, tzinfo=UTC))
    put(storage, paths.record_key(ASSET), schema="polyglot/record/v2")
    event = announce("contract.deployed", ASSET, "cause")
    with pytest.raises(UnavailableNewer):
        burial.reject(Burying(storage), event, RejectedContent("no"))  # type: ignore[arg-type]
    burial.bury(Burying(storage), event)  # type: ignore[arg-type]
    assert [mark.outcome for mark in journal.view(storage, ASSET).marks] == ["started"]
    assert len(list(storage.list("dead-letters/"))) == 1
