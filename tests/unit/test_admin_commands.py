"""The operator's first commands: role keys as files or Secrets, and the token that opens a tenant's platform."""

import base64
import json
import stat
from pathlib import Path

import pytest

from functions.__main__ import main
from functions._backends.keys import RoleKeys, key_digest
from functions._cli import key, token
from functions._domain import cluster as names
from functions._domain.errors import RejectedConflict, RejectedForbidden, RejectedRequest
from functions._runtime.tokens import authenticate
from functions.declaration import FUNCTIONS, Route
from tests.fake_cluster import FakeCluster, secret
from tests.fakes import FolderStorage

ROLES = ("registrar", "trainer", "translator", "verifier")


def test_keys_of_all_roles_are_made_as_files_and_their_public_halves_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["key", "create", "all", "--out", str(tmp_path / "keys"), "--json"]) == 0
    shown = capsys.readouterr()
    made = json.loads(shown.out)
    assert [one["role"] for one in made] == list(ROLES)
    for one in made:
        held = RoleKeys(one["role"], tmp_path / "keys", 0, "", "")
        assert one["account"] == held.account
        assert key_digest(Path(one["statement_key"]).read_text()) == held.signing_key_digest
        assert f"polyglot ledger appoint {one['role']} --account {held.account}" in shown.err
        for name in names.key_files(one["role"]):
            assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
            private = (tmp_path / "keys" / name).read_text()
            assert private not in shown.out + shown.err


def test_keys_that_are_there_stay(tmp_path: Path) -> None:
    first, second = key.in_files("trainer", tmp_path), key.in_files("trainer", tmp_path)
    assert (first.new, second.new) == (True, False)
    assert first.account == second.account


def test_a_roles_keys_become_a_secret_and_only_public_halves_stay_here(tmp_path: Path) -> None:
    cluster = FakeCluster()
    made = key.in_secret(cluster, "verifier", tmp_path)
    data = cluster.objects["Secret", "polyglot-key-verifier"]["data"]
    held = tmp_path / "held"
    held.mkdir()
    for name in names.key_files("verifier"):
        (held / name).write_bytes(base64.b64decode(data[name]))
    assert made.account == RoleKeys("verifier", held, 0, "", "").account
    assert [path.name for path in tmp_path.iterdir() if path != held] == ["verifier.statement.pub.pem"]
    assert "PRIVATE" not in (tmp_path / "verifier.statement.pub.pem").read_text()


def test_a_secret_that_is_there_is_shown_and_not_replaced(tmp_path: Path) -> None:
    cluster = FakeCluster()
    first = key.in_secret(cluster, "verifier", tmp_path)
    before = cluster.objects["Secret", "polyglot-key-verifier"]
    second = key.in_secret(cluster, "verifier", tmp_path)
    assert (first.account, first.new, second.new) == (second.account, True, False)
    assert cluster.objects["Secret", "polyglot-key-verifier"] == before


def test_a_secret_without_keys_is_refused(tmp_path: Path) -> None:
    cluster = FakeCluster().add([secret("polyglot-key-verifier", {"verifier.ledger.key": 64 * "1"})])
    with pytest.raises(RejectedConflict, match=r"has no verifier\.statement\.pem"):
        key.in_secret(cluster, "verifier", tmp_path)


def _route(access: str) -> Route:
    return next(route for function in FUNCTIONS for route in function.routes if route.access == access)


@pytest.mark.parametrize(("role", "may_not"), [("publisher", "operator"), ("reader", "publisher")])
def test_a_made_token_opens_what_its_role_may_and_nothing_else(role: str, may_not: str, tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    made = token.made(storage, role, "alice")
    assert authenticate(f"Bearer {made}", _route(role), storage).subject == "alice"
    with pytest.raises(RejectedForbidden):
        authenticate(f"Bearer {made}", _route(may_not), storage)


def test_the_bucket_holds_a_tokens_digest_only(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    made = token.made(storage, "operator", "alice")
    assert all(made not in one.key and made.encode() not in (storage.read(one.key) or b"") for one in storage.list(""))


def test_a_token_for_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedRequest, match="--subject is empty"):
        token.made(FolderStorage(tmp_path), "reader", " ")


def test_a_token_needs_a_bucket(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("POLYGLOT_BUCKET", raising=False)
    assert main(["token", "create", "--role", "operator", "--subject", "alice"]) == 2
    assert "POLYGLOT_BUCKET is not set" in capsys.readouterr().err
