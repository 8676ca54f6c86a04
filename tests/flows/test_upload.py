"""Upload and download of the command line against real HTTP: a small platform of this test, onto a real localbucket."""

import contextlib
import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from functions.__main__ import main
from functions._domain.inventory import InventoryLine, digest_of_lines, line

MEMORY_PROBE = """
import sys
import functions._cli.upload, functions._cli.download, functions._domain.requests, urllib3, rich.progress
def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])
before = peak()
from functions.__main__ import main
status = main(sys.argv[1:])
print('peak', peak() - before, file=sys.stderr)
sys.exit(status)
"""

# As the embedded bucket has it: without Nagle's delay a small GET takes 2 ms instead of 44.
QUICK_BUCKET = """
import localbucket
localbucket.S3Handler.disable_nagle_algorithm = True
localbucket.main()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bucket:
    """A localbucket child, its folder, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.log = folder / "data", free_port(), folder / "bucket.log"
        (self.folder / "store").mkdir(parents=True)
        with self.log.open("w") as log:
            command = [sys.executable, "-c", QUICK_BUCKET, str(self.folder), "--port", str(self.port)]
            self.child = subprocess.Popen(command, stderr=log, stdout=log)
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="eu-central-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"max_attempts": 10}),
        )
        deadline = time.monotonic() + 20
        while "serving" not in self.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def puts(self) -> int:
        return self.log.read_text().count('"PUT ')

    def parts(self) -> int:
        return sum(
            1 for path in (self.folder / ".localbucket-uploads").glob("*/*") if re.fullmatch(r"\d{5}", path.name)
        )


class Platform:
    """What the upload protocol, sealing and reading are to a client; everything at once and in memory."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.expected: dict[str, dict[int, list[dict[str, Any]]]] = {}
        self.contracts: dict[str, dict[str, Any]] = {}
        self.requests: dict[str, str] = {}
        self.keys: list[str] = []
        self.busy = 0
        self.swallow_after: int | None = None
        self.verdict = "equal"
        self.lie = False
        # Takes connections and never answers.
        self.hole = socket.create_server(("127.0.0.1", 0))

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match path.removeprefix("/v1/").split("/"):
            case ["uploads"]:
                upload = str(uuid4())
                self.expected[upload] = {}
                return 202, {"id": upload, "asset": upload}
            case ["uploads", upload, _] if upload not in self.expected:
                return 404, {"title": "Unknown", "detail": f"no upload {upload}"}
            case ["uploads", upload, "files"]:
                return 200, {"files": self.presigned(upload, body)}
            case ["uploads", upload, "complete"]:
                return self.completed(upload, body)
            case ["images"]:
                lines = [InventoryLine(f["path"], f["size"], f["sha256"][7:]) for f in body["files"]]
                digest = digest_of_lines(lines)
                return 200, {"digest": digest, "files": [self.put(f"images/{digest[7:]}", f) for f in body["files"]]}
            case ["datasets"]:
                self.seal(body["upload"])
                self.requests[request := str(uuid4())] = body["upload"]
                return 202, {"id": request, "asset": body["upload"], "links": {}}
        return 404, {"title": "Unknown", "detail": path}

    def presigned(self, upload: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        whole = [file for file in body["files"] if not file.get("parts")]
        known = self.expected[upload].setdefault(body["page"], whole)
        assert known == whole, "a page was asked for again with another content"
        found = []
        for file in body["files"]:
            key = f"assets/{upload}/files/{file['path']}"
            if not file.get("parts"):
                found.append(self.put(f"assets/{upload}/files", file))
                continue
            upload_id = file.get("upload_id")
            if not upload_id:
                upload_id = self.bucket.client.create_multipart_upload(Bucket="store", Key=key)["UploadId"]
            urls = [
                f"{self.base(n)}/store/{key}?uploadId={upload_id}&partNumber={n}" for n in range(1, file["parts"] + 1)
            ]
            parts = [{"method": "PUT", "url": url, "headers": {}} for url in urls]
            found.append({"path": file["path"], "upload_id": upload_id, "parts": parts})
        return found

    def put(self, prefix: str, file: dict[str, Any]) -> dict[str, Any]:
        number = sum(len(page) for pages in self.expected.values() for page in pages.values())
        if (self.bucket.folder / "store" / prefix / file["path"]).exists() and prefix.startswith("images"):
            return {"path": file["path"], "present": True}
        url = f"{self.base(number)}/store/{prefix}/{file['path']}"
        return {"path": file["path"], "put": {"method": "PUT", "url": url, "headers": {"If-None-Match": "*"}}}

    def base(self, number: int) -> str:
        if self.swallow_after is not None and number > self.swallow_after:
            return f"http://127.0.0.1:{self.hole.getsockname()[1]}"
        return self.bucket.url

    def completed(self, upload: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for file in body["files"]:
            parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(file["etags"], 1)]
            self.bucket.client.complete_multipart_upload(
                Bucket="store",
                Key=f"assets/{upload}/files/{file['path']}",
                UploadId=file["upload_id"],
                MultipartUpload={"Parts": parts},
            )
        self.expected[upload][body["page"]] = body["files"]
        return 200, {"paths": [file["path"] for file in body["files"]]}

    def seal(self, upload: str) -> None:
        root = self.bucket.folder / "store" / "assets" / upload / "files"
        lines = []
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            lines.append(InventoryLine(path.relative_to(root).as_posix(), path.stat().st_size, digest))
        lines.sort(key=lambda entry: entry.path)
        inventory = b"".join(line(*entry) for entry in lines)
        (root.parent / "inventory.jsonl").write_bytes(inventory)
        digest = "sha256:" + ("0" * 64 if self.lie else hashlib.sha256(inventory).hexdigest())
        self.contracts[upload] = {
            "address": "0x00", "ledger": "0x01", "chain_id": 1, "kind": "dataset", "registered_at": 1, "revoked": False,
            "inventory_digest": digest, "record_digest": digest, "authorizer": "0x02", "parents": [],
        }  # fmt: skip

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        match path.removeprefix("/v1/").split("/", 3):
            case ["requests", request]:
                steps = [{"step": "ingest", "asset": self.requests[request], "state": "done"}]
                return 200, {"id": request, "asset": self.requests[request], "state": "complete", "steps": steps}
            case ["assets", asset, "contract"]:
                return 200, self.contracts[asset]
            case ["assets", asset] if asset in self.contracts:
                return 200, {"id": asset, "kind": "translation", "name": "x", "verdict": self.verdict}
            case ["assets", asset, "files", name]:
                key = f"files/{name}" if name else "inventory.jsonl"
                return 307, {"Location": f"{self.bucket.url}/store/assets/{asset}/{key}"}
        return 404, {"title": "Unknown", "detail": f"nothing at {unquote(path)}"}


def serve(platform: Platform) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Authorization"] == "Bearer secret"
            if platform.busy:
                platform.busy -= 1
                platform.keys.append(self.headers["Idempotency-Key"])
                return self.answer(503, {"title": "Busy"})
            platform.keys.append(self.headers["Idempotency-Key"])
            return self.answer(*platform.post(self.path, body))

        def do_GET(self) -> None:
            self.answer(*platform.get(self.path))

        def answer(self, status: int, document: dict[str, Any]) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            if "Location" in document:
                self.send_header("Location", document["Location"])
            self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    bucket = Bucket(tmp_path_factory.mktemp("store"))
    yield bucket
    bucket.client.close()
    bucket.child.terminate()
    bucket.child.wait()


@pytest.fixture
def platform(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    platform = Platform(bucket)
    server = serve(platform)
    monkeypatch.setenv("POLYGLOT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("POLYGLOT_TOKEN", "secret")
    monkeypatch.setenv("POLYGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("POLYGLOT_INGRESS_URL", raising=False)
    yield platform
    server.shutdown()
    server.server_close()
    platform.hole.close()


def begin(*args: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", MEMORY_PROBE, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def polyglot(*args: object, status: int = 0) -> tuple[str, str]:
    """Run a command here: a process each would be most of the time that these tests take."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = main([str(arg) for arg in args])
    assert found == status, err.getvalue()
    return out.getvalue().strip(), err.getvalue()


def measured(*args: object) -> tuple[str, int]:
    """Run a command as a process; returns what it printed, and its most memory over the imports, in bytes."""
    with begin(*args) as child:
        out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    return out.strip(), int(re.findall(r"^peak (\d+)", err, re.MULTILINE)[-1]) * 1024


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def make(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def same(left: Path, right: Path) -> bool:
    def content(folder: Path) -> dict[str, bytes]:
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    return content(left) == content(right)


def test_a_folder_is_uploaded_registered_and_pulled_back(platform: Platform, tmp_path: Path) -> None:
    data = make(
        tmp_path / "data", {"a.txt": b"a", "b/ä ö.bin": os.urandom(10_000), "empty": b"", "large": bytes(20 << 20)}
    )
    asset, err = polyglot("dataset", "register", data, "--wait")
    assert asset in platform.contracts
    assert "registered" in err
    receipt = json.loads((tmp_path / "cache" / "receipts" / f"{asset}.json").read_text())
    assert receipt["inventory_digest"] == platform.contracts[asset]["inventory_digest"]
    assert not list((tmp_path / "cache" / "uploads").iterdir())
    polyglot("pull", asset, tmp_path / "back")
    assert same(data, tmp_path / "back")
    (tmp_path / "back" / "a.txt").unlink()
    polyglot("pull", asset, tmp_path / "back")
    assert same(data, tmp_path / "back")


def test_without_wait_it_is_only_submitted_and_a_file_is_an_asset_too(platform: Platform, tmp_path: Path) -> None:
    make(tmp_path, {"one.csv": b"1,2"})
    asset, err = polyglot("dataset", "register", tmp_path / "one.csv")
    assert "submitted" in err
    assert "registered" not in err
    assert (platform.bucket.folder / "store" / "assets" / asset / "files" / "one.csv").read_bytes() == b"1,2"


def test_a_ledger_that_has_another_digest_is_not_believed(platform: Platform, tmp_path: Path) -> None:
    platform.lie = True
    _, err = polyglot("dataset", "register", make(tmp_path / "data", {"a": b"a"}), "--wait", status=1)
    assert "do not use this asset" in err
    assert not (tmp_path / "cache" / "receipts").exists()


def test_a_busy_platform_is_asked_again_with_the_same_key(platform: Platform, tmp_path: Path) -> None:
    platform.busy = 2
    polyglot("dataset", "register", make(tmp_path / "data", {"a": b"a"}))
    assert len(set(platform.keys[:3])) == 1
    assert len(set(platform.keys)) == 3


def test_a_large_file_goes_on_where_it_was_killed(platform: Platform, tmp_path: Path) -> None:
    data = make(tmp_path / "data", {"large": os.urandom(1 << 20) * 200, "small": b"s"})
    platform.swallow_after = 5
    before, stored = platform.bucket.puts(), platform.bucket.parts()
    with begin("dataset", "register", data) as child:
        journal = tmp_path / "cache" / "uploads"
        wait_until(lambda: any(p.read_text().count('"part"') == 5 for p in journal.glob("*.jsonl")))
        child.send_signal(signal.SIGKILL)
    assert platform.bucket.parts() == stored + 5
    platform.swallow_after = None
    asset, err = polyglot("dataset", "register", data, "--wait")
    assert "going on with the upload" in err
    # The small file may be sent again: only a whole page is known to be done.
    assert platform.bucket.puts() - before in (1 + 25, 2 + 25)
    assert (platform.bucket.folder / "store" / "assets" / asset / "files" / "large").stat().st_size == 200 << 20


def test_small_files_go_on_where_they_were_killed(platform: Platform, tmp_path: Path) -> None:
    data = make(tmp_path / "data", {f"{n:04}": f"{n}".encode() for n in range(1200)})
    platform.swallow_after = 1000
    with begin("dataset", "register", data) as child:
        journal = tmp_path / "cache" / "uploads"
        wait_until(lambda: any('"page": 0' in p.read_text() for p in journal.glob("*.jsonl")))
        child.send_signal(signal.SIGKILL)
    platform.swallow_after = None
    before = platform.bucket.puts()
    asset, _ = polyglot("dataset", "register", data, "--wait")
    assert platform.bucket.puts() - before == 200
    assert len(platform.expected) == 1
    assert same(data, platform.bucket.folder / "store" / "assets" / asset / "files")


def test_an_upload_that_the_platform_forgot_is_begun_anew(platform: Platform, tmp_path: Path) -> None:
    data = make(tmp_path / "data", {f"{n:04}": b"x" for n in range(1100)})
    platform.swallow_after = 1000
    with begin("dataset", "register", data) as child:
        wait_until(lambda: any('"page": 0' in p.read_text() for p in (tmp_path / "cache/uploads").glob("*.jsonl")))
        child.send_signal(signal.SIGKILL)
    platform.swallow_after = None
    platform.expected.clear()
    _, err = polyglot("dataset", "register", data, "--wait")
    assert "beginning a new one" in err


def test_ctrl_c_ends_with_one_line(platform: Platform, tmp_path: Path) -> None:
    data = make(tmp_path / "data", {"large": bytes(64 << 20)})
    platform.swallow_after = 1
    with begin("dataset", "register", data) as child:
        wait_until(lambda: any('"part"' in p.read_text() for p in (tmp_path / "cache/uploads").glob("*.jsonl")))
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=5)
    assert child.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("size", [30 << 20, 100])
def test_a_file_that_changes_while_it_is_uploaded_is_refused(platform: Platform, tmp_path: Path, size: int) -> None:
    data = make(tmp_path / "data", {"grows": bytes(size), **{f"other{n}": b"x" for n in range(1200)}})
    platform.busy = 1_000_000
    with begin("dataset", "register", data) as child:
        # Listed by now: the upload is being opened.
        wait_until(lambda: platform.keys)
        with (data / "grows").open("ab") as handle:
            handle.write(b"more")
        platform.busy = 0
        _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "grows changed while it was uploaded" in err
    assert not platform.requests


@pytest.mark.parametrize("kind", ["empty", "link", "pipe", "case", "backslash", "missing"])
def test_what_cannot_be_an_asset_is_refused_before_anything_is_sent(
    platform: Platform, tmp_path: Path, kind: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    match kind:
        case "link":
            (data / "x").symlink_to("/etc/hostname")
        case "pipe":
            os.mkfifo(data / "x")
        case "case":
            make(data, {"A/x": b"", "a/X": b""})
        case "backslash":
            make(data, {"x\\y": b""})
        case "missing":
            data = tmp_path / "nowhere"
    _, err = polyglot("dataset", "register", data, status=2)
    assert err.startswith("polyglot: ")
    assert not platform.keys


def test_a_changed_file_never_reaches_its_name(platform: Platform, tmp_path: Path) -> None:
    asset, _ = polyglot("dataset", "register", make(tmp_path / "data", {"a": b"right", "b": b"b"}), "--wait")
    stored = platform.bucket.folder / "store" / "assets" / asset
    (stored / "files" / "a").write_bytes(b"wrong")
    _, err = polyglot("pull", asset, tmp_path / "back", status=1)
    assert "a is not what was registered" in err
    assert {path.name for path in (tmp_path / "back").iterdir()} <= {"b"}
    (stored / "files" / "a").unlink()
    _, err = polyglot("pull", asset, tmp_path / "back", status=1)
    assert "a is not in the store" in err
    with (stored / "inventory.jsonl").open("ab") as handle:
        handle.write(b"{}\n")
    _, err = polyglot("pull", asset, tmp_path / "other", status=1)
    assert "the inventory is not the ledger's" in err
    assert not (tmp_path / "other").exists()


def test_pull_refuses_a_folder_that_holds_something_else(platform: Platform, tmp_path: Path) -> None:
    asset, _ = polyglot("dataset", "register", make(tmp_path / "data", {"a": b"right"}), "--wait")
    for name in ("extra", "a"):
        folder = make(tmp_path / f"with-{name}", {name: b"other"})
        _, err = polyglot("pull", asset, folder, status=2)
        assert f"{folder / name}" in err
    left = make(tmp_path / "left", {".polyglot-0123.part": b"torn"})
    polyglot("pull", asset, left)
    assert same(left, tmp_path / "data")


def test_an_unequal_translation_is_pulled_on_request_only(platform: Platform, tmp_path: Path) -> None:
    asset, _ = polyglot("dataset", "register", make(tmp_path / "data", {"a": b"right"}), "--wait")
    platform.verdict = "not-equal"
    _, err = polyglot("pull", asset, tmp_path / "back", status=2)
    assert "--accept-unequal" in err
    polyglot("pull", asset, tmp_path / "back", "--accept-unequal")


def test_an_image_folder_is_pushed_once(platform: Platform, tmp_path: Path) -> None:
    folder = make(tmp_path / "image", {"train.py": b"print()", "Containerfile": b"FROM scratch"})
    before = platform.bucket.puts()
    digest, _ = polyglot("image", "push", folder)
    assert polyglot("image", "push", folder)[0] == digest
    assert platform.bucket.puts() - before == 2


def test_five_thousand_small_files_arrive(platform: Platform, tmp_path: Path) -> None:
    data = make(tmp_path / "data", {f"{n % 50}/{n}": os.urandom(10_000) for n in range(5000)})
    asset, peak = measured("dataset", "register", data, "--wait")
    assert peak < 120 << 20
    assert same(data, platform.bucket.folder / "store" / "assets" / asset / "files")


def test_a_large_file_is_never_held_whole(platform: Platform, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with (data / "large").open("wb") as handle:
        for number in range(200):
            handle.write(bytes([number]) * (1 << 20))
    asset, peak = measured("dataset", "register", data, "--wait")
    assert peak < 180 << 20
    _, peak = measured("pull", asset, tmp_path / "back")
    assert peak < 60 << 20
