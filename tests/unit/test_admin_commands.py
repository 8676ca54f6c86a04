"""The operator's first commands: role keys as files or Secrets, and the token that opens a tenant's platform."""

import argparse
import base64
import json
import stat
from pathlib import Path

import pytest

from functions.__main__ import main
from functions._backends.keys import RoleKeys, key_digest
from functions._cli import key, token
from functions._domain import cluster as names
from functions._domain.errors import RejectedConflict, RejectedRequest
from functions._runtime.deployer import role_keys
from tests.fake_cluster import FakeCluster, secret

ROLES = ("registrar", "trainer", "translator", "verifier")


def test_keys_of_all_roles_are_made_as_files_and_their_public_halves_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["key", "create", "all", "--out", str(tmp_path / "keys"), "--json"]) == 0
    shown = capsys.readouterr()
    made = json.loads(shown.out)
    assert [one["role"] for one in made] == list(ROLES)
    for one in made:
        keys = RoleKeys(one["role"], tmp_path / "keys", 0, "", "")
        assert one["account"] == keys.account
        assert key_digest(Path(one["statement_key"]).read_text()) == keys.signing_key_digest
        assert f"polyglot ledger appoint {one['role']} --account {keys.account}" in shown.err
        for name in names.key_files(one["role"]):
            assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
            private = (tmp_path / "keys" / name).read_text()
            assert private not in shown.out + shown.err


def test_keys_that_are_there_stay(tmp_path: Path) -> None:
    first, second = key.in_files("trainer", tmp_path), key.in_files("trainer", tmp_path)
    assert (first.new, second.new) == (True, False)
    assert first.account == second.account


def held(cluster: FakeCluster, role: str, folder: Path) -> RoleKeys:
    """The keys that a Secret of the cluster has, as its function reads them."""
    data = cluster.objects["Secret", names.key_secret(role)]["data"]
    folder.mkdir()
    for name in names.key_files(role):
        (folder / name).write_bytes(base64.b64decode(data[name]))
    return RoleKeys(role, folder, 0, "", "")  # type: ignore[arg-type]


def test_a_roles_keys_become_a_secret_and_only_public_halves_stay_here(tmp_path: Path) -> None:
    cluster = FakeCluster()
    (made,) = key.in_secrets(cluster, ["verifier"], tmp_path / "out")
    assert made.account == held(cluster, "verifier", tmp_path / "held").account
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["verifier.statement.pub.pem"]
    assert "PRIVATE" not in (tmp_path / "out" / "verifier.statement.pub.pem").read_text()


def test_public_halves_are_published_beside_the_secrets(tmp_path: Path) -> None:
    cluster = FakeCluster()
    made = key.in_secrets(cluster, ROLES)
    data = cluster.objects["ConfigMap", names.PUBLIC_KEYS]["data"]
    assert len(data) == 2 * len(ROLES)
    for one in made:
        public, keys = role_keys.published(cluster, one.role), held(cluster, one.role, tmp_path / one.role)
        assert (public.account, key_digest(public.public_key)) == (keys.account, keys.signing_key_digest)
        secrets = cluster.objects["Secret", names.key_secret(one.role)]["data"].values()
        assert not any(base64.b64decode(private).decode() in "".join(data.values()) for private in secrets)


def test_what_is_published_stays_when_one_role_is_made_again() -> None:
    cluster = FakeCluster()
    key.in_secrets(cluster, ROLES)
    before = dict(cluster.objects["ConfigMap", names.PUBLIC_KEYS]["data"])
    cluster.delete("v1", "Secret", names.key_secret("trainer"))
    key.in_secrets(cluster, ["trainer"])
    after = cluster.objects["ConfigMap", names.PUBLIC_KEYS]["data"]
    assert {name for name in after if after[name] != before[name]} == set(names.public_key_files("trainer"))


def test_a_namespace_that_has_published_nothing_says_how_keys_are_made() -> None:
    with pytest.raises(RejectedConflict, match="polyglot key create trainer --secret acme"):
        role_keys.published(FakeCluster(), "trainer")


def test_a_secret_that_is_there_is_shown_and_not_replaced() -> None:
    cluster = FakeCluster()
    (first,) = key.in_secrets(cluster, ["verifier"])
    before = cluster.objects["Secret", "polyglot-key-verifier"]
    (second,) = key.in_secrets(cluster, ["verifier"])
    assert (first.account, first.new, second.new) == (second.account, True, False)
    assert cluster.objects["Secret", "polyglot-key-verifier"] == before


def test_a_secret_without_keys_is_refused() -> None:
    cluster = FakeCluster().add([secret("polyglot-key-verifier", {"verifier.ledger.key": 64 * "1"})])
    with pytest.raises(RejectedConflict, match=r"has no verifier\.statement\.pem"):
        key.in_secrets(cluster, ["verifier"])


def test_keys_belong_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "create", "all"]) == 2
    assert "where are the keys?" in capsys.readouterr().err


class Accounts:
    """The ledger's roles, and in which order they changed."""

    def __init__(self, **held: str) -> None:
        self.held = {role: [account] for role, account in held.items()}
        self.acts: list[tuple[str, str]] = []

    def holders(self, ledger: str, role: str) -> list[str]:
        return list(self.held.get(role, ()))

    def appoint(self, ledger: str, role: str, account: str, signing_key_digest: str) -> bool:
        self.acts.append(("appoint", account))
        self.held.setdefault(role, []).append(account)
        return True

    def dismiss(self, ledger: str, role: str, account: str) -> None:
        self.acts.append(("dismiss", account))
        self.held[role].remove(account)


def pod(name: str, service: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"serving.knative.dev/service": service}},
    }


@pytest.mark.parametrize("compromised", [False, True])
def test_rotating_leaves_one_holder_new_keys_and_no_pod_with_the_old_ones(compromised: bool, tmp_path: Path) -> None:
    cluster = FakeCluster()
    (old,) = key.in_secrets(cluster, ["translator"])
    cluster.add([pod("a", "translate-torch"), pod("b", "translate-keras"), pod("c", "ingest")])
    ledger = Accounts(translator=old.account)
    public, before = key.rotated_in(cluster, "translator", ledger, "0x", compromised)  # type: ignore[arg-type]
    assert before == [old.account]
    assert ledger.held["translator"] == [public.account] != [old.account]
    order = [("appoint", public.account), ("dismiss", old.account)]
    assert ledger.acts == (order[::-1] if compromised else order)
    assert held(cluster, "translator", tmp_path / "held").account == public.account
    assert role_keys.published(cluster, "translator") == public
    assert [name for kind, name in cluster.objects if kind == "Pod"] == ["c"]


def test_a_rotation_that_was_cut_off_ends_with_one_holder_when_it_is_run_again() -> None:
    cluster = FakeCluster()
    (old,) = key.in_secrets(cluster, ["trainer"])

    class CutOff(Accounts):
        def dismiss(self, ledger: str, role: str, account: str) -> None:
            if len(self.acts) < 2:
                self.acts.append(("cut off", account))
                raise OSError("killed")
            super().dismiss(ledger, role, account)

    ledger = CutOff(trainer=old.account)
    with pytest.raises(OSError, match="killed"):
        key.rotated_in(cluster, "trainer", ledger, "0x")  # type: ignore[arg-type]
    assert len(ledger.held["trainer"]) == 2
    public, _ = key.rotated_in(cluster, "trainer", ledger, "0x")  # type: ignore[arg-type]
    assert ledger.held["trainer"] == [public.account]
    assert role_keys.published(cluster, "trainer").account == public.account


@pytest.mark.parametrize(
    ("shell", "given", "opens"),
    [
        ({"POLYGLOT_BUCKET": "b", "AWS_ACCESS_KEY_ID": "k"}, {}, True),
        ({"POLYGLOT_BUCKET": "b"}, {}, True),  # botocore looks where it usually does
        ({"POLYGLOT_BUCKET": "b", "POLYGLOT_TOKEN": "t"}, {}, False),  # what `polyglot up` writes
        ({"POLYGLOT_BUCKET": "b", "POLYGLOT_TOKEN": "t", "AWS_ACCESS_KEY_ID": "k"}, {}, True),
        ({"POLYGLOT_BUCKET": "b", "AWS_ACCESS_KEY_ID": "k"}, {"url": "http://x"}, False),
        ({"AWS_ACCESS_KEY_ID": "k"}, {}, False),
    ],
)
def test_a_token_is_made_in_the_bucket_where_the_shell_opens_it(
    shell: dict[str, str], given: dict[str, str], opens: bool
) -> None:
    assert token.opens_bucket(argparse.Namespace(**{"url": "", "token": "", **given}), shell) == opens


def namespace(**more: str) -> FakeCluster:
    settings = {"POLYGLOT_BUCKET": "acme-models", "POLYGLOT_S3_URL": "http://s3.storage.svc", "AWS_REGION": "", **more}
    return FakeCluster().add(
        [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "polyglot"}, "data": settings},
            secret("polyglot-s3", {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}),
        ]
    )


def test_a_token_can_be_made_with_what_a_namespace_gives_its_functions() -> None:
    found = token.settings_of(namespace(), {})
    assert found["POLYGLOT_S3_URL"] == "http://s3.storage.svc"
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("id", "secret")
    assert "AWS_REGION" not in found
    public = namespace(POLYGLOT_S3_PUBLIC_URL="https://s3.example.org")
    assert token.settings_of(public, {})["POLYGLOT_S3_URL"] == "https://s3.example.org"
    forwarded = {"POLYGLOT_S3_URL": "http://127.0.0.1:9000"}
    assert token.settings_of(public, forwarded)["POLYGLOT_S3_URL"] == "http://127.0.0.1:9000"


def test_a_namespace_without_settings_makes_no_token() -> None:
    with pytest.raises(RejectedRequest, match=r"ConfigMap polyglot is not there in "):
        token.settings_of(FakeCluster(), {})
