"""What the doctor asks of a store and a ledger, and what it makes of the answers."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from functions._cli.doctor import ledger, store
from functions._cli.doctor.checks import clock
from functions._domain.grants import holders
from functions._domain.ports import Grant

ACCOUNT, OTHER = f"0x{'1' * 40}", f"0x{'2' * 40}"
GRANTS = [
    Grant("trainer", ACCOUNT, True, 1, 1, "sha256:a"),
    Grant("verifier", ACCOUNT, True, 1, 1, "sha256:b"),
    Grant("trainer", OTHER, True, 2, 2, "sha256:c"),
    Grant("trainer", ACCOUNT, False, 3, 3, None),
]


def test_who_holds_a_role_follows_from_the_history_of_grants() -> None:
    assert holders(GRANTS, "trainer") == {OTHER: "sha256:c"}
    assert holders(GRANTS[:3], "trainer") == {ACCOUNT: "sha256:a", OTHER: "sha256:c"}
    assert holders(GRANTS, "registrar") == {}


@pytest.mark.parametrize(
    ("held", "ours", "ok", "said"),
    [
        ({}, None, False, "nobody holds it"),
        ({ACCOUNT: "sha256:a"}, ledger.Keys(ACCOUNT, "sha256:a"), True, "whose keys its function has"),
        ({ACCOUNT: "x", OTHER: "sha256:a"}, ledger.Keys(OTHER, "sha256:a"), True, "whose keys its function has"),
        ({ACCOUNT: "sha256:a"}, ledger.Keys(OTHER, "sha256:a"), False, f"its function signs as {OTHER}"),
        ({ACCOUNT: "sha256:a"}, ledger.Keys(ACCOUNT, "sha256:b"), False, "bound to another statement key"),
        ({ACCOUNT: "sha256:a"}, None, True, "cannot be seen from here"),
    ],
)
def test_a_role_is_compared_with_the_keys_that_its_function_has(
    held: dict[str, str], ours: ledger.Keys | None, ok: bool, said: str
) -> None:
    found = ledger.role_check("trainer", held, {"trainer": ours})
    assert (found.ok, said in found.found) == (ok, True)
    assert bool(found.remedy) == (not ok)


# The store


class Store(BaseHTTPRequestHandler):
    """As much of an S3 server as the questions need: versioned, locked, refusing deletes, and of another time."""

    headers_seconds = 0.0
    versioned, locked, denied, buckets = True, True, True, ("mine", "yours")

    def do_GET(self) -> None:
        query = self.path.partition("?")[2]
        status = "<Status>Enabled</Status>" if self.versioned else ""
        lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
        bodies = {
            "versioning": f"<VersioningConfiguration>{status}</VersioningConfiguration>",
            "object-lock": lock if self.locked else "",
        }
        named = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in self.buckets)
        listing = "<ListBucketResult/>" if "list-type" in query else ""
        body = bodies.get(
            query, listing or f"<ListAllMyBucketsResult><Buckets>{named}</Buckets></ListAllMyBucketsResult>"
        )
        self._answer(200 if body else 404, body)

    def do_HEAD(self) -> None:
        self._answer(200)

    def do_DELETE(self) -> None:
        self._answer(403 if self.denied else 204)

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)
        self.send_header(
            "Date", format_datetime(datetime.now(UTC) + timedelta(seconds=self.headers_seconds), usegmt=True)
        )

    def _answer(self, status: int, body: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def a_store() -> Iterator[Callable[..., store.S3Storage]]:
    servers: list[ThreadingHTTPServer] = []

    def start(**options: object) -> store.S3Storage:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Store,), options))
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return store.S3Storage(f"http://127.0.0.1:{server.server_port}", "mine", None, "a", "b")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("denied", [True, False])
@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("versioned", [True, False])
def test_what_a_store_enforces_is_asked_of_it(
    a_store: Callable[..., store.S3Storage], denied: bool, locked: bool, versioned: bool
) -> None:
    found = store.guards(a_store(denied=denied, locked=locked, versioned=versioned))
    assert found == store.Guards(denied, locked, versioned)
    words = {
        "denies deleting": denied,
        "object lock": locked,
        "versioning keeps": versioned,
        "`verify` finds it": not (denied or locked),
    }
    assert {word: word in str(found) for word in words} == words


def test_credentials_that_open_another_bucket_are_found(a_store: Callable[..., store.S3Storage]) -> None:
    found = store._others(a_store())
    assert (found.ok, "yours" in found.found) == (False, True)
    assert store._others(a_store(buckets=("mine",))).ok


@pytest.mark.parametrize("seconds", [0.0, 900.0, -900.0])
def test_a_stores_clock_is_read_from_its_answers(a_store: Callable[..., store.S3Storage], seconds: float) -> None:
    ahead = store._ahead(a_store(headers_seconds=seconds))
    assert ahead is not None
    assert abs(ahead - seconds) < 5
    assert clock("clock", ahead).ok == (seconds == 0)
