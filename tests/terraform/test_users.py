"""The script that makes a bucket's users: it can be cut off and run again, takes nobody's place, and tells no key."""

import base64
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from functions._domain import cluster as names
from tests.cluster import accounts
from tests.cluster.edge import Edge
from tests.cluster.tenants import ROOT, connected
from tests.terraform.leftovers import users
from tests.terraform.operating import environment

SCRIPT = ROOT / "terraform" / "modules" / "tenant" / "scripts" / "users.sh"
RECORDER = '#!/bin/sh\nprintf "%s\\n" "$0 $*" >>"{log}"\nexec "{real}" "$@"\n'
WATCHED = ("curl", "kubectl", "sha256sum", "base64", "cut", "head", "tr")


class Users:
    """A namespace for the script to work in."""

    def __init__(self, cluster: Edge, place: Path) -> None:
        self.name, self.cluster, self.log = f"users-{secrets.token_hex(3)}", cluster, place / "arguments"
        self.there = connected(cluster.settings["KUBECONFIG"], self.name)
        (place / "bin").mkdir()
        for program in WATCHED:
            (place / "bin" / program).write_text(RECORDER.format(log=self.log, real=shutil.which(program)))
            (place / "bin" / program).chmod(0o755)
        self.environment = {
            **os.environ, **environment(cluster), "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
            "NAMESPACE": self.name, "STORE": "versitygw", "S3_ADMIN_URL": cluster.s3_url, "S3_REGION": "us-east-1",
            "STORE_USER": self.name, "STORE_USER_ERASE": f"{self.name}-erase",
        }  # fmt: skip

    def run(self, what: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(SCRIPT), what],
            env={**self.environment, **changed},
            capture_output=True,
            text=True,
            check=False,
        )

    def ok(self, what: str, **changed: str) -> str:
        ended = self.run(what, **changed)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    def credentials(self, secret: str = names.S3_SECRET) -> tuple[str, str]:
        found = self.there.get("v1", "Secret", secret)
        assert found is not None
        access, key = (base64.b64decode(found["data"][name]).decode() for name in names.S3_SECRET_KEYS)
        return access, key

    def works(self, secret: str = names.S3_SECRET) -> bool:
        """Whether the store takes what a Secret holds; it lists the buckets that the user owns, which are none."""
        try:
            accounts.client(self.cluster, self.credentials(secret)).list_buckets()
        except ClientError:
            return False
        return True

    @property
    def known(self) -> list[str]:
        return users(self.cluster, [self.name, f"{self.name}-erase"])


@pytest.fixture
def place(cluster: Edge, tmp_path: Path) -> Iterator[Users]:
    made = Users(cluster, tmp_path)
    made.there.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.name}})
    yield made
    made.there.delete("v1", "Namespace", made.name)
    for user in (made.name, f"{made.name}-erase"):
        accounts.remove_user(cluster, user)


def test_two_users_are_made_and_a_second_run_changes_nothing(place: Users) -> None:
    place.ok("make")
    first = place.credentials(), place.credentials(names.S3_ERASE_SECRET)
    assert [access for access, _ in first] == [place.name, f"{place.name}-erase"]
    assert place.works()
    assert place.works(names.S3_ERASE_SECRET)
    place.ok("make")
    assert (place.credentials(), place.credentials(names.S3_ERASE_SECRET)) == first
    assert place.works()


def test_no_key_is_an_argument_of_a_program_or_printed(place: Users) -> None:
    said = place.ok("make") + place.ok("make")
    shown = said + place.log.read_text()
    own = place.environment["AWS_SECRET_ACCESS_KEY"]
    for key in (place.credentials()[1], place.credentials(names.S3_ERASE_SECRET)[1], own):
        assert len(key) >= 8
        assert key not in shown
        assert base64.b64encode(key.encode()).decode() not in shown
    assert "--config -" in shown
    place.ok("remove")


@pytest.mark.parametrize("cut_off", ["before the user was made", "before the second", "after the store lost a key"])
def test_what_was_cut_off_is_finished_by_the_next_run(place: Users, cut_off: str) -> None:
    place.ok("make")
    before = place.credentials()
    if cut_off == "before the user was made":
        accounts.remove_user(place.cluster, place.name)
    elif cut_off == "before the second":
        accounts.remove_user(place.cluster, f"{place.name}-erase")
        place.there.delete("v1", "Secret", names.S3_ERASE_SECRET)
    else:
        changed = "<MutableProps><Secret>another-key</Secret></MutableProps>"
        assert accounts.ask(place.cluster, f"/update-user?access={place.name}", changed) == 200
        assert not place.works()
    place.ok("make")
    assert place.credentials() == before
    assert place.works()
    assert place.works(names.S3_ERASE_SECRET)


def test_a_user_that_somebody_else_has_is_left_alone(place: Users) -> None:
    account = f"<Account><Access>{place.name}</Access><Secret>theirs-for-long</Secret><Role>user</Role></Account>"
    assert accounts.ask(place.cluster, "/create-user", account) == 201
    ended = place.run("make")
    assert ended.returncode == 1
    assert f"has a user {place.name} already" in ended.stderr
    assert place.there.get("v1", "Secret", names.S3_SECRET) is None
    accounts.client(place.cluster, (place.name, "theirs-for-long")).list_buckets()


def test_both_are_removed_and_nothing_there_is_success(place: Users) -> None:
    place.ok("make")
    place.ok("remove")
    assert place.known == []
    assert place.there.get("v1", "Secret", names.S3_SECRET) is None
    place.ok("remove")


def test_whoever_may_make_no_users_is_told_so(place: Users) -> None:
    place.ok("make")
    access, key = place.credentials()
    ended = place.run("make", AWS_ACCESS_KEY_ID=access, AWS_SECRET_ACCESS_KEY=key)
    assert ended.returncode == 1
    assert "answers 403" in ended.stderr
    ended = place.run("make", AWS_ACCESS_KEY_ID="")
    assert ended.returncode == 1
    assert "set it and AWS_SECRET_ACCESS_KEY" in ended.stderr


def test_for_another_store_both_secrets_have_to_be_there_and_stay(place: Users) -> None:
    ended = place.run("make", STORE="existing")
    assert ended.returncode == 1
    assert f"Secret polyglot-s3 of namespace {place.name} has no AWS_ACCESS_KEY_ID" in ended.stderr
    for name in (names.S3_SECRET, names.S3_ERASE_SECRET):
        content = dict.fromkeys(names.S3_SECRET_KEYS, "given")
        place.there.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content})
    place.ok("make", STORE="existing")
    place.ok("remove", STORE="existing")
    assert place.credentials() == ("given", "given")
    assert place.known == []
