"""Building images: what is asked of the tool, what is written down, and that what is left out is not missed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from functions._domain.errors import RejectedRequest
from functions._runtime.local import bucket
from functions._runtime.manifests import building, images
from functions._runtime.manifests.building import Builder, FailedBuild, Names, found_tool, parsed
from functions.declaration import FUNCTIONS
from tests.manifests.objects import KNATIVE

DIGEST = "sha256:" + 64 * "a"
NAMES = Names("registry.example.org/team/", "0.1.0")


class Tool:
    """Stands in for a tool: notes its commands, and answers as buildah, podman or docker do."""

    def __init__(self, sizes: dict[str, str]) -> None:
        self.commands: list[list[str]] = []
        self._sizes = sizes

    def __call__(self, command: Sequence[str]) -> str:
        self.commands.append(list(command))
        _, verb, *rest = command
        if verb == "push" and "--digestfile" in rest:
            Path(rest[rest.index("--digestfile") + 1]).write_text(DIGEST + "\n")
        if verb == "images":
            return json.dumps([{"size": self._sizes[rest[-1]]}] if rest[-1] in self._sizes else [])
        if rest[:1] == ["inspect"] and "RepoDigests" in rest[2]:
            return f"other.example.org/x@sha256:{64 * 'b'}\n{rest[-1].rpartition(':')[0]}@{DIGEST}\n"
        if rest[:1] == ["inspect"]:
            if rest[-1] not in self._sizes:
                raise FailedBuild("no such image")
            return self._sizes[rest[-1]]
        return ""


def builder(tool: str, **more: object) -> Builder:
    return Builder(tool, NAMES, folder=KNATIVE / "images", **more)  # type: ignore[arg-type]


def test_there_is_an_image_for_each_containerfile_and_some_can_be_chosen() -> None:
    assert builder("buildah").images() == sorted(images.containerfiles(FUNCTIONS))
    assert builder("buildah").images(["ledger"]) == ["ledger"]
    with pytest.raises(RejectedRequest, match=r"no image cobol .*ledger"):
        builder("buildah").images(["cobol"])


@pytest.mark.parametrize("tool", building.TOOLS)
def test_each_tool_builds_the_containerfile_from_the_repositorys_root(tool: str) -> None:
    command = builder(tool, base="registry.example.org/python:3.11", options=["--volume", "a:b"]).command("ledger")
    assert command[:2] == [tool, "build"]
    assert command[-3:] == ["--volume", "a:b", "."]
    assert command[command.index("--file") + 1].endswith("images/ledger.Containerfile")
    assert command[command.index("--tag") + 1] == "registry.example.org/team/polyglot-ledger:0.1.0"
    assert command[command.index("--build-arg") + 1] == "BASE=registry.example.org/python:3.11"
    assert ("--layers" in command) == (tool == "buildah")


def test_the_base_is_the_containerfiles_own_unless_given() -> None:
    assert "--build-arg" not in builder("podman").command("ledger")


@pytest.mark.parametrize("tool", building.TOOLS)
def test_an_image_that_was_not_pushed_is_known_by_its_tag_and_a_pushed_one_by_its_digest(tool: str) -> None:
    name = "registry.example.org/team/polyglot-ledger:0.1.0"
    run = Tool({name: "305 MB", images.BASE: "205 MB"} if tool == "buildah" else {name: "305000000"})
    built = builder(tool).build("ledger", push=False, run=run)
    assert (built.reference, built.size) == (name, 305_000_000)
    assert built.over_base == (100_000_000 if tool == "buildah" else None)
    assert not [one for one in run.commands if "push" in one]
    pushed = builder(tool).build("ledger", push=True, run=run)
    assert pushed.reference == f"registry.example.org/team/polyglot-ledger@{DIGEST}"


@pytest.mark.parametrize(("text", "size"), [("0 B", 0), ("17.3 kB", 17_300), ("4.71 GB", 4_710_000_000)])
def test_sizes_are_read_as_they_are_written(text: str, size: int) -> None:
    assert parsed(text) == size


def test_what_was_built_before_stays_written_down(tmp_path: Path) -> None:
    path = tmp_path / "build" / "images.json"
    building.write({"polyglot-plain": "a:1", "polyglot-ledger": "b:1"}, path)
    building.write({"polyglot-ledger": "b:2"}, path)
    assert json.loads(path.read_text()) == {"polyglot-plain": "a:1", "polyglot-ledger": "b:2"}


def test_the_first_tool_that_is_there_builds_unless_another_is_asked_for() -> None:
    there = {"podman": "/usr/bin/podman", "docker": "/usr/bin/docker"}.get
    assert found_tool(which=there) == "podman"
    assert found_tool("docker", there) == "docker"
    with pytest.raises(RejectedRequest, match="buildah: not on the PATH"):
        found_tool("buildah", there)
    with pytest.raises(RejectedRequest, match="buildah, podman, docker: not on the PATH"):
        found_tool(which=lambda _: None)


def test_a_tool_that_fails_ends_the_build() -> None:
    assert building.shown([sys.executable, "-c", "print(1)"]) == "1\n"
    with pytest.raises(FailedBuild, match="ended with 3"):
        building.shown([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_change_of_our_code_leaves_the_layer_of_packages_as_it_is() -> None:
    for text in images.containerfiles(FUNCTIONS).values():
        packages, ours = text.split("\nFROM ${BASE}\n")
        assert "COPY functions" not in packages
        assert ours.index("COPY --from=packages") < ours.index("COPY functions")


# --- slimming


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages that are slimmed, as an image has them afterwards."""
    folder = tmp_path_factory.mktemp("site-packages")
    for package in ("botocore", "Crypto", "kubernetes"):
        (found,) = (Path(one, package) for one in sys.path if Path(one, package, "__init__.py").is_file())
        shutil.copytree(found, folder / package, symlinks=True)
    subprocess.run(["sh", "-ec", " && ".join(images.SLIM)], cwd=folder, check=True)
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    found = bucket.start(tmp_path / "bucket", tmp_path / "logs")
    yield found.url
    found.stop()


S3 = """\
import os, pathlib, urllib3, botocore
from functions._backends.s3 import S3Storage
assert botocore.__file__.startswith(os.environ["PYTHONPATH"].partition(":")[0]), botocore.__file__
storage = S3Storage.from_settings(os.environ)
assert storage.create("a", b"1") and not storage.create("a", b"2") and storage.read("a") == b"1"
put = storage.presign_put("b")
assert urllib3.request(put.method, put.url, body=b"2", headers=dict(put.headers)).status == 200
assert urllib3.request("GET", storage.presign_get("b").url).data == b"2"
pathlib.Path("large").write_bytes(bytes(40 << 20))
assert storage.upload("large", pathlib.Path("large")) and storage.copy("large", "copy")
upload = storage.start_parts("parts")
part = storage.presign_part("parts", upload, 1)
etag = urllib3.request(part.method, part.url, body=b"3").headers["ETag"]
assert storage.complete_parts("parts", upload, [etag])
assert [one.size for one in storage.list("")] == [1, 1, 40 << 20, 40 << 20, 1]
storage.delete("copy")
print("well")
"""


def _run(script: str, packages: Path, folder: Path, **settings: str) -> str:
    root = str(KNATIVE.parent)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{packages}:{root}", **settings}
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_what_is_left_of_botocore_does_all_that_functions_ask_of_it(slim: Path, served: str, tmp_path: Path) -> None:
    left = {path.name for path in (slim / "botocore/data").iterdir() if path.is_dir()}
    assert left == {"s3", "sts"}
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    assert _run(S3, slim, tmp_path, POLYGLOT_S3_URL=served, POLYGLOT_BUCKET="polyglot", **keys) == "well\n"


def test_a_pods_credentials_by_web_identity_still_find_their_service(slim: Path, tmp_path: Path) -> None:
    script = "import botocore.session as s; print(s.Session().create_client('sts', 'eu-west-1').meta.endpoint_url)"
    assert _run(script, slim, tmp_path) == "https://sts.eu-west-1.amazonaws.com\n"


def test_what_is_left_of_other_packages_can_be_loaded(slim: Path, tmp_path: Path) -> None:
    assert not (slim / "kubernetes/aio").exists()
    assert not (slim / "Crypto/SelfTest").exists()
    script = (
        "from kubernetes import client, config, dynamic; client.CustomObjectsApi; client.CoreV1Api\n"
        "from functions._backends.keccak import keccak; print(keccak(b'').hex()[:8])"
    )
    assert _run(script, slim, tmp_path) == "c5d24601\n"
