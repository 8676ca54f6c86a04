"""Erasing for good: every version in stores that keep some, politely in those that do not, and what object lock keeps.

The store is a small S3 server in this process, told what it implements; ``tests/cluster`` asks a real one.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

import pytest

from functions._backends import s3_erasing
from functions._backends.s3 import S3Storage
from functions._domain import burial, erasure, intake, journal, leftovers, paths
from functions._domain.assets import Kind
from functions._domain.errors import RejectedConflict, UnavailableStorage, UnavailableYet
from functions._domain.events import Event, announce
from functions._domain.intake import Principal, Request
from functions._domain.ports import Contract, Held, Ledger, Ports
from functions._domain.progress import Progress, Step
from tests.fakes import FolderStorage

UNTIL = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@dataclass
class Bucket:
    """What a store holds and implements; versions by key and id, the marks of deleted ones among them."""

    lists_versions: bool = True
    takes_batches: bool = True
    lists_uploads: bool = True
    denies: bool = False
    versions: dict[tuple[str, str], bool] = field(default_factory=dict)
    locked: dict[str, datetime] = field(default_factory=dict)
    on_hold: set[str] = field(default_factory=set)
    uploads: set[str] = field(default_factory=set)
    page: int = 3
    asked: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def put(self, *keys: str, versions: int = 1, deleted: bool = False) -> None:
        for key in keys:
            for number in range(versions):
                self.versions[key, f"v{number}" if self.lists_versions else ""] = False
            if deleted:
                self.versions[key, "marker"] = True

    def remove(self, key: str, version: str) -> str:
        """The code of a refusal, or nothing."""
        with self.lock:
            if self.denies or key in self.locked or key in self.on_hold:
                return "AccessDenied"
            return "" if self.versions.pop((key, version), None) is not None else "NoSuchVersion"


class Store(BaseHTTPRequestHandler):
    """As much of an S3 server as erasing needs."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    bucket: Bucket

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        key = unquote(parts.path).removeprefix("/b").removeprefix("/")
        if "versions" in query:
            return self._versions(query) if self.bucket.lists_versions else self._unknown()
        if "uploads" in query:
            found = "".join(
                f"<Upload><Key>{one}</Key><UploadId>u</UploadId></Upload>" for one in sorted(self.bucket.uploads)
            )
            return self._answer(200, f"<R>{found}</R>") if self.bucket.lists_uploads else self._unknown()
        if "retention" in query and key in self.bucket.locked:
            until = self.bucket.locked[key].isoformat()
            return self._answer(200, f"<R><Mode>COMPLIANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></R>")
        if "legal-hold" in query and key in self.bucket.on_hold:
            return self._answer(200, "<R><Status>ON</Status></R>")
        if "retention" in query or "legal-hold" in query:
            return self._error(400, "NoSuchObjectLockConfiguration")
        return self._objects(query)

    def _versions(self, query: dict[str, str]) -> None:
        after = (query.get("key-marker", ""), query.get("version-id-marker", ""))
        with self.bucket.lock:
            known = sorted(self.bucket.versions.items())
        found = [one for one in known if one[0][0].startswith(query["prefix"]) and one[0] > after]
        page, more = found[: self.bucket.page], len(found) > self.bucket.page
        body = ""
        for (key, version), is_marker in page:
            name = "DeleteMarker" if is_marker else "Version"
            body += f"<{name}><Key>{key}</Key><VersionId>{version}</VersionId></{name}>"
        if more:
            (key, version), _ = page[-1]
            body += f"<NextKeyMarker>{key}</NextKeyMarker><NextVersionIdMarker>{version}</NextVersionIdMarker>"
        self._answer(200, f"<R><IsTruncated>{str(more).lower()}</IsTruncated>{body}</R>")

    def _objects(self, query: dict[str, str]) -> None:
        with self.bucket.lock:
            keys = sorted({key for key, _ in self.bucket.versions if key.startswith(query["prefix"])})
        start = query.get("continuation-token", "")
        found = [key for key in keys if key > start]
        page, more = found[: self.bucket.page], len(found) > self.bucket.page
        body = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in page)
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        self._answer(200, f"<R><IsTruncated>{str(more).lower()}</IsTruncated>{token}{body}</R>")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.bucket.asked.append("batch")
        if not self.bucket.takes_batches:
            return self._unknown()
        errors = ""
        for one in re.findall(r"<Object>(.*?)</Object>", body):
            (key,), version = re.findall(r"<Key>(.*?)</Key>", one), re.findall(r"<VersionId>(.*?)</VersionId>", one)
            code = self.bucket.remove(key, version[0] if version else "")
            if code:
                named = f"<VersionId>{version[0]}</VersionId>" if version else ""
                errors += f"<Error><Key>{key}</Key>{named}<Code>{code}</Code><Message>no</Message></Error>"
        return self._answer(200, f"<DeleteResult>{errors}</DeleteResult>")

    def do_DELETE(self) -> None:
        parts = urlsplit(self.path)
        query, key = parse_qs(parts.query), unquote(parts.path).removeprefix("/b/")
        self.bucket.asked.append("one")
        if "uploadId" in query:
            self.bucket.uploads.discard(key)
            return self._answer(204)
        code = self.bucket.remove(key, query.get("versionId", [""])[0])
        return self._error({"NoSuchVersion": 404}.get(code, 403), code) if code else self._answer(204)

    def _unknown(self) -> None:
        self._error(501, "NotImplemented")

    def _error(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>")

    def _answer(self, status: int, body: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments: object) -> None:
        pass


Started = Callable[[Bucket], S3Storage]


@pytest.fixture
def a_store() -> Iterator[Started]:
    servers: list[ThreadingHTTPServer] = []

    def start(bucket: Bucket) -> S3Storage:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Store,), {"bucket": bucket}))
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return S3Storage(f"http://127.0.0.1:{server.server_port}", "b", None, "a", "b")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


FILES = [f"assets/x/files/{number:02}" for number in range(20)]
OTHERS = ["assets/x/record.json", "assets/xx/files/a", "assets/x/files"]


@pytest.mark.parametrize("takes_batches", [True, False])
@pytest.mark.parametrize("lists_versions", [True, False])
@pytest.mark.parametrize("lists_uploads", [True, False])
def test_everything_below_a_prefix_is_removed_and_nothing_else(
    a_store: Started, takes_batches: bool, lists_versions: bool, lists_uploads: bool
) -> None:
    bucket = Bucket(lists_versions, takes_batches, lists_uploads, uploads={"assets/x/files/big"})
    bucket.put(*FILES, *OTHERS)
    if lists_versions:
        bucket.put("assets/x/files/changed", versions=5)
        bucket.put("assets/x/files/hidden", versions=2, deleted=True)
    assert a_store(bucket).erase("assets/x/files/") is None
    assert {key for key, _ in bucket.versions} == set(OTHERS)
    assert bucket.uploads == (set() if lists_uploads else {"assets/x/files/big"})


def test_a_thousand_files_are_removed_in_one_request_where_a_store_takes_that(a_store: Started) -> None:
    bucket = Bucket(page=1000)
    bucket.put(*(f"a/{number:04}" for number in range(2500)))
    assert a_store(bucket).erase("a/") is None
    assert bucket.versions == {}
    assert bucket.asked.count("batch") == 1 + 3  # the first is a question whether it does
    assert "one" not in bucket.asked


def test_nothing_is_asked_to_be_removed_where_nothing_is(a_store: Started) -> None:
    bucket = Bucket()
    bucket.put(*OTHERS)
    assert a_store(bucket).erase("assets/y/") is None
    assert bucket.asked == []


@pytest.mark.parametrize("takes_batches", [True, False])
def test_what_is_locked_stays_and_the_last_day_is_told_and_the_rest_is_removed(
    a_store: Started, takes_batches: bool
) -> None:
    bucket = Bucket(takes_batches=takes_batches)
    bucket.put(*FILES, versions=2)
    bucket.locked = {FILES[3]: UNTIL - timedelta(days=1), FILES[7]: UNTIL}
    held = a_store(bucket).erase("assets/x/files/")
    assert held is not None
    assert (held.versions, held.until, held.legal_hold) == (4, UNTIL, False)
    assert held.example in bucket.locked
    assert {key for key, _ in bucket.versions} == set(bucket.locked)


def test_a_legal_hold_has_no_end_of_its_own(a_store: Started) -> None:
    bucket = Bucket(on_hold={FILES[0]})
    bucket.put(*FILES)
    assert a_store(bucket).erase("assets/x/files/") == Held(1, FILES[0], None, True)


@pytest.mark.parametrize("takes_batches", [True, False])
def test_a_right_that_is_missing_is_not_taken_for_a_lock(a_store: Started, takes_batches: bool) -> None:
    bucket = Bucket(takes_batches=takes_batches, denies=True)
    bucket.put(*FILES)
    with pytest.raises(UnavailableStorage, match="names no lock on it: does the credential of `erase` allow"):
        a_store(bucket).erase("assets/x/files/")


def test_of_many_that_are_held_some_are_looked_at_and_all_are_counted(a_store: Started) -> None:
    bucket = Bucket(page=100)
    files = [f"a/{number:04}" for number in range(s3_erasing.LOOKED + 50)]
    bucket.put(*files)
    bucket.locked = dict.fromkeys(files, UNTIL)
    held = a_store(bucket).erase("a/")
    assert held is not None
    assert (held.versions, held.until) == (len(files), UNTIL)


# What comes of it

ASSET = UUID(int=9)


class LockedStorage(FolderStorage):
    """A bucket that holds on to one file, until it is told otherwise."""

    held: Held | None = Held(3, "assets/x/files/a", UNTIL, True)

    def erase(self, prefix: str) -> Held | None:
        if self.held and "/files/" in prefix:
            return self.held
        return super().erase(prefix)


@dataclass
class RevokedLedger:
    """A ledger that has one asset, revoked or not."""

    revoked: bool = True

    def find(self, asset: UUID) -> Contract | None:
        return Contract("0x", Kind.DATASET, 1, self.revoked, "", "", "", ()) if asset == ASSET else None

    def revocation(self, asset: UUID) -> None:
        return None


@dataclass
class Outside:
    """The ports that are needed here."""

    storage: LockedStorage
    ledger: RevokedLedger = field(default_factory=RevokedLedger)
    tenant: str = "local"

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    found = Outside(LockedStorage(tmp_path / "bucket"))
    found.storage.create(f"{paths.files_prefix(ASSET)}a", b"a")
    return found


def ports(outside: Outside) -> Ports:
    return cast(Ports, outside)


def asked(outside: Outside, route: str = erasure.ROUTE, body: object = None) -> tuple[Request, Event]:
    operator = Principal("admin", frozenset({"operator"}))
    request = intake.accept(ports(outside), operator, route, None, body or {}, ASSET)  # type: ignore[arg-type]
    return request, announce("erasure.requested", ASSET, str(request.id), {"request": str(request.id)})


def last(outside: Outside, request: Request) -> Step:
    return list(Progress(outside.storage, cast(Ledger, outside.ledger), "x").chain(request))[-1]


def handled(outside: Outside, event: Event) -> str:
    """Deliver an event as the runtime does; the reason of a refusal."""
    try:
        erasure.erase(ports(outside), event)
    except RejectedConflict as error:
        burial.reject(ports(outside), event, error)
        return str(error)
    return ""


def test_a_request_ends_with_the_day_on_which_erasing_becomes_possible_and_then_is_done(outside: Outside) -> None:
    request, event = asked(outside)
    reason = handled(outside, event)
    assert "after 2031-05-06T07:08:09Z and when its legal hold is lifted" in reason
    assert f"polyglot retry {ASSET}" in reason
    step = last(outside, request)
    assert (step.name, step.state, step.reason) == ("erase", "rejected", reason)
    assert erasure.erased(outside.storage, ASSET, ports(outside).ledger.find(ASSET)) == ""
    journal.mark(outside.storage, ASSET, "retry-erase", 1, "requested", outside.now())
    assert last(outside, request).state == "waiting"
    outside.storage.held = None
    assert handled(outside, event) == ""
    assert last(outside, request).state == "done"
    assert erasure.erased(outside.storage, ASSET, ports(outside).ledger.find(ASSET)) == "2030-01-01T00:00:00Z"


def test_what_a_reproduction_staged_of_it_goes_too_and_what_is_of_another_asset_stays(outside: Outside) -> None:
    outside.storage.held = None
    operator = Principal("admin", frozenset({"operator"}))
    own, other = (
        intake.accept(ports(outside), operator, "verifications", None, {"claims": ["reproduction"]}, asset)
        for asset in (ASSET, uuid4())
    )
    for request in (own, other):
        outside.storage.create(f"{paths.run_prefix(request.id, 'e')}model/a", b"a")
        journal.mark(outside.storage, ASSET, f"verify-{request.id}", 1, "started", outside.now())
    journal.mark(outside.storage, ASSET, f"verify-{'0' * 36}", 1, "started", outside.now())
    _, event = asked(outside)
    assert handled(outside, event) == ""
    assert [entry.key for entry in outside.storage.list(paths.RUNS)] == [f"{paths.run_prefix(other.id, 'e')}model/a"]


def test_an_erasure_before_the_ledger_knows_of_the_revocation_is_asked_again(outside: Outside) -> None:
    outside.storage.held, outside.ledger.revoked = None, False
    _, event = asked(outside)
    with pytest.raises(UnavailableYet):
        erasure.erase(ports(outside), event)
    assert outside.storage.read(f"{paths.files_prefix(ASSET)}a") == b"a"


def test_what_is_locked_of_an_upload_that_was_given_up_ends_that_request_with_the_day(outside: Outside) -> None:
    upload = Request(ASSET, "uploads", "local", "admin", "2020-01-01T00:00:00Z", ASSET, {"kind": "dataset"})
    intake.store(outside.storage, upload)
    body = {"after": "", "uploads": [str(ASSET)], "runs": [], "files": 1, "size": 1, "next": ""}
    request, event = asked(outside, leftovers.ROUTE, body)
    reason = handled(outside, event)
    assert "2031-05-06" in reason
    assert "polyglot gc" in reason
    assert (last(outside, request).state, last(outside, request).reason) == ("rejected", reason)
    outside.storage.held = None
    again, event = asked(outside, leftovers.ROUTE, body)
    assert last(outside, again).state == "waiting"  # what an earlier request met is not held against it
    assert handled(outside, event) == ""
    assert last(outside, again).state == "done"
    assert [
        entry.key for entry in outside.storage.list("") if str(ASSET) in entry.key and "journal" not in entry.key
    ] == []


# Finding leftovers


@pytest.fixture
def uploads(outside: Outside) -> list[UUID]:
    """Uploads that were given up long ago, in the order in which they are looked at."""
    found = sorted((uuid4() for _ in range(7)), key=str)
    for one in found:
        intake.store(outside.storage, Request(one, "uploads", "local", "admin", "2020-01-01T00:00:00Z", one, {}))
        outside.storage.create(f"{paths.files_prefix(one)}a", b"abc")
        outside.storage.create(paths.expected_key(one, 0), b"{}")
    for name in ("stray.json", "stray/x", "no-uuid/expected-000000.jsonl"):
        outside.storage.create(f"requests/{name}", b"x")
    return found


@pytest.mark.parametrize(("looked", "named"), [(3, 9), (9, 2), (1, 1), (7, 7), (100, 100)])
def test_a_look_is_bounded_and_the_next_one_goes_on_where_it_stopped(
    outside: Outside, uploads: list[UUID], looked: int, named: int
) -> None:
    seen, after, looks = list[str](), "", 0
    while not looks or after:
        found = leftovers.look(ports(outside), after, looked, named)
        assert len(found.uploads) <= min(looked, named)
        assert (found.files, found.size) == (len(found.uploads), 3 * len(found.uploads))
        seen, after, looks = [*seen, *found.uploads], found.next, looks + 1
    assert seen == [str(one) for one in uploads]


def test_only_the_execution_that_a_retry_may_need_is_kept_of_a_translation_that_failed(outside: Outside) -> None:
    from functions._domain import choosing

    translation = uuid4()
    for execution in ("chosen", "other"):
        outside.storage.create(f"{paths.run_prefix(translation, execution)}model/a", b"a")
    assert leftovers.look(ports(outside)).runs == []
    choosing.choose(outside.storage, translation, "chosen", finished="2020-01-01T00:00:00Z")
    journal.mark(outside.storage, translation, "translate", 1, "rejected", outside.now(), reason="x")
    judge = leftovers.Judge(outside.storage, cast(Ledger, outside.ledger), outside.now())
    assert list(judge.spent(translation)) == [f"{paths.run_prefix(translation, 'other')}model/"]
