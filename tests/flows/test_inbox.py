"""The inbox: files put into a bucket by any S3 client become a registered asset, or the reason why not lies there."""

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from botocore.config import Config

from functions._domain.digests import digest_of
from functions._domain.identity import inbox_request_id
from tests.platforms import Site
from tests.strangers import LIGHTGBM, PICKLE


class Inbox:
    """One folder of the inbox, filled with plain boto3."""

    def __init__(self, site: Site, name: str, kind: str = "dataset") -> None:
        self.site, self.name, self.prefix = site, name, f"inbox/{kind}/{name}/"
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=site.settings["POLYGLOT_S3_URL"],
            region_name="us-east-1",
            aws_access_key_id="anybody",
            aws_secret_access_key="anybody",
            config=Config(s3={"addressing_style": "path"}),
        )

    def put(self, name: str, body: bytes | str) -> None:
        self.client.put_object(Bucket="polyglot", Key=self.prefix + name, Body=body)

    def asset_json(self, **document: object) -> UUID:
        """Put an ``asset.json``; returns the UUID that the asset will have."""
        data = json.dumps(document).encode()
        self.put("asset.json", data)
        return inbox_request_id("local", f"{self.prefix}asset.json", digest_of(data))

    def names(self) -> set[str]:
        root = self.site.bucket / self.prefix
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}

    def read(self, name: str) -> Any:
        return json.loads((self.site.bucket / self.prefix / name).read_bytes())

    def wait_for(self, name: str, seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while name not in self.names():
            assert time.monotonic() < end, f"{self.prefix} holds {self.names()}, expected {name}"
            time.sleep(0.05)
        return self.read(name)


@pytest.fixture
def inbox(site: Site, request: pytest.FixtureRequest) -> Iterator[Inbox]:
    """A folder of its own; what a test leaves there is removed, so that no sweep looks at it again."""
    found = Inbox(site, f"t{uuid4().hex[:12]}")
    yield found
    for name in found.names():
        found.client.delete_object(Bucket="polyglot", Key=found.prefix + name)


def sweep(site: Site) -> list[str]:
    """What a sweep announces."""
    status, answer, _ = site.http("POST", "/v1/reconcile")
    assert status == 200
    announced: list[str] = answer["announced"]
    return announced


def records(keys: list[str], bucket: str = "polyglot") -> bytes:
    """A notification as AWS, MinIO and versitygw send it."""
    found = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 3}},
        }
        for key in keys
    ]
    return json.dumps({"Records": found}).encode()


def test_a_complete_folder_is_found_by_the_sweep_and_registered(site: Site, inbox: Inbox) -> None:
    inbox.put("images/1.png", b"one")
    inbox.put("labels.csv", b"")
    expected = {"path": "images/1.png", "size": 3, "sha256": f"sha256:{sha256(b'one').hexdigest()}"}
    asset = inbox.asset_json(files=[expected, {"path": "labels.csv"}], licence="CC0-1.0")
    sweep(site)
    assert inbox.wait_for("receipt.json")["asset"] == str(asset)
    site.wait_for(str(asset))
    record = site.http("GET", f"/v1/assets/{asset}")[1]
    assert (record["kind"], record["name"], record["owner"]) == ("dataset", inbox.name, "local")
    assert record["licence"] == "CC0-1.0"
    assert record["contract"]["inventory_digest"] == record["inventory"]["digest"]
    assert (site.files(str(asset)) / "images" / "1.png").read_bytes() == b"one"
    assert inbox.names() == {"receipt.json"}
    site.ok("verify", str(asset), "--level", "all")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=UTF-8", "application/octet-stream"])
def test_an_s3_notification_registers_it_at_once(site: Site, inbox: Inbox, content_type: str) -> None:
    inbox.put("a b.csv", b"1,2")
    asset = inbox.asset_json(files=[{"path": "a b.csv"}], name="from a notification")
    key = inbox.prefix.replace("/", "%2F") + "asset.json"
    assert site.announce({"Content-Type": content_type}, records([key]), "/functions/ingest") == 204
    site.wait_for(str(asset))
    assert site.http("GET", f"/v1/assets/{asset}")[1]["name"] == "from a notification"
    assert inbox.wait_for("receipt.json")["asset"] == str(asset)


def test_a_file_that_comes_after_its_asset_json_completes_the_folder(site: Site, inbox: Inbox) -> None:
    asset = inbox.asset_json(files=[{"path": "late.bin"}])
    inbox.put("late.bin", b"late")
    assert (
        site.announce({"Content-Type": "application/json"}, records([f"{inbox.prefix}late.bin"]), "/functions/ingest")
        == 204
    )
    site.wait_for(str(asset))


def test_cephs_cloudevent_registers_it_at_once(site: Site, inbox: Inbox) -> None:
    inbox.put("x.csv", b"1")
    asset = inbox.asset_json(files=[{"path": "x.csv"}])
    headers = {
        "ce-specversion": "1.0",
        "ce-type": "com.amazonaws.ObjectCreated:Put",
        "ce-id": "request.id2",
        "ce-source": "ceph:s3.default.polyglot",
        "ce-subject": f"{inbox.prefix}asset.json",
        "ce-time": "2026-01-01T00:00:00Z",
        "Content-Type": "application/json",
    }
    assert site.announce(headers, records([f"{inbox.prefix}asset.json"]), "/functions/ingest") == 204
    site.wait_for(str(asset))


@pytest.mark.parametrize(
    "body",
    [
        b'{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"polyglot"}',
        records(["assets/x/files/y"]),
        records(["inbox/asset.json", "inbox//asset.json", "inbox", ""], bucket="another"),
        records(["inbox/dataset/nobody-put-this/asset.json"], bucket="another"),
        b'{"Records":[{},{"s3":null},7]}',
        b"not json",
        b"",
    ],
)
def test_a_notification_of_something_else_is_taken_and_does_nothing(site: Site, body: bytes) -> None:
    before = set(site.objects("requests")) | set(site.objects("inbox"))
    assert site.announce({"Content-Type": "application/json"}, body, "/functions/ingest") == 204
    assert site.platform.broker.drain(10)
    assert set(site.objects("requests")) | set(site.objects("inbox")) == before


def test_an_incomplete_folder_waits_and_nothing_of_it_is_registered(site: Site, inbox: Inbox) -> None:
    inbox.put("1.csv", b"1")
    asset = inbox.asset_json(files=[{"path": "1.csv"}, {"path": "2.csv"}])
    assert any(str(line).startswith("asset.submitted") for line in sweep(site))
    assert site.platform.broker.drain(10)
    assert inbox.names() == {"asset.json", "1.csv"}
    assert site.http("GET", f"/v1/assets/{asset}/status")[0] == 404
    inbox.put("2.csv", b"2")
    sweep(site)
    site.wait_for(str(asset))


def test_redelivery_is_harmless(site: Site, inbox: Inbox) -> None:
    inbox.put("x.csv", b"again")
    asset = inbox.asset_json(files=[{"path": "x.csv"}])
    for _ in range(5):
        site.announce(
            {"Content-Type": "application/json"}, records([f"{inbox.prefix}asset.json"] * 3), "/functions/ingest"
        )
    site.wait_for(str(asset))
    assert site.platform.broker.drain(20)
    before = site.objects(f"assets/{asset}")
    for _ in range(3):
        site.announce({"Content-Type": "application/json"}, records([f"{inbox.prefix}asset.json"]), "/functions/ingest")
        sweep(site)
    assert site.platform.broker.drain(20)
    assert site.objects(f"assets/{asset}") == before
    assert inbox.names() == {"receipt.json"}
    assert not any(key.endswith(".rejected.json") for key in before)


def test_the_same_upload_again_is_the_same_asset(site: Site, inbox: Inbox) -> None:
    for _ in range(2):
        inbox.put("x.csv", b"same")
        asset = inbox.asset_json(files=[{"path": "x.csv"}])
        sweep(site)
        site.wait_for(str(asset))
        end = time.monotonic() + 20
        while inbox.names() != {"receipt.json"}:
            assert time.monotonic() < end
            time.sleep(0.05)
    listed = site.http("GET", f"/v1/assets?name={inbox.name}")[1]["assets"]
    assert [one["id"] for one in listed] == [str(asset)]


BROKEN: dict[str, tuple[object, str]] = {
    "not json": ("{", "asset.json is not understood"),
    "no files": ({"files": []}, "files"),
    "an unknown field": ({"files": [{"path": "a"}], "wrong": 1}, "wrong"),
    "a path that leaves": ({"files": [{"path": "../../../requests/x"}]}, "not a path below the folder"),
    "names that clash": ({"files": [{"path": "a"}, {"path": "A"}]}, "'a' and 'A' cannot both be files"),
    "a name of the inbox": ({"files": [{"path": "receipt.json"}]}, "rename the file"),
    "a bad digest": ({"files": [{"path": "a", "sha256": "md5:1"}]}, "sha256: and 64"),
    "another digest": ({"files": [{"path": "a", "sha256": f"sha256:{'0' * 64}"}]}, "'a' digests to"),
    "another size": ({"files": [{"path": "a", "size": 7}]}, "'a' has 3 bytes, its client said 7"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_says_why_once_and_is_left_alone(site: Site, inbox: Inbox, case: str) -> None:
    document, reason = BROKEN[case]
    inbox.put("a", b"abc")
    inbox.put("asset.json", document if isinstance(document, str) else json.dumps(document))
    before = set(site.objects("dead-letters"))
    sweep(site)
    assert reason in inbox.wait_for("rejected.json")["reason"]
    assert site.platform.broker.drain(10)
    subject = f"asset.submitted {_subject(inbox)}"
    assert not any(subject in line for line in sweep(site))
    assert set(site.objects("dead-letters")) == before
    assert {"a", "asset.json", "rejected.json"} <= inbox.names()
    assert "receipt.json" not in inbox.names()


def _subject(inbox: Inbox) -> UUID:
    from functions._domain.intake import inbox_subject

    return inbox_subject("local", f"{inbox.prefix}asset.json")


def test_a_mended_folder_is_looked_at_again(site: Site, inbox: Inbox) -> None:
    inbox.put("a", b"abc")
    inbox.put("asset.json", "{")
    sweep(site)
    inbox.wait_for("rejected.json")
    asset = inbox.asset_json(files=[{"path": "a"}])
    sweep(site)
    site.wait_for(str(asset))
    inbox.wait_for("receipt.json")
    assert inbox.names() == {"receipt.json"}


def test_a_folder_that_is_no_asset_of_the_inbox_is_refused(site: Site) -> None:
    for kind, name, reason in (
        ("model", "m", "use inbox/dataset/"),
        ("dataset", "bad!name", "asset.json is not understood"),
    ):
        inbox = Inbox(site, name, kind)
        inbox.put("a", b"abc")
        inbox.asset_json(files=[{"path": "a"}])
        sweep(site)
        assert reason in inbox.wait_for("rejected.json")["reason"]
        for left in inbox.names():
            inbox.client.delete_object(Bucket="polyglot", Key=inbox.prefix + left)


def test_a_model_in_the_inbox_is_imported(site: Site) -> None:
    inbox = Inbox(site, f"m{uuid4().hex[:8]}", "trained-model")
    inbox.put("model.txt", LIGHTGBM)
    asset = inbox.asset_json(files=[{"path": "model.txt"}], name="dropped")
    sweep(site)
    found = site.wait_for(str(asset), ["rejected"])
    assert (found["step"], "cut off" in found["reason"]) == ("translate", True)
    shown = site.http("GET", f"/v1/assets/{asset}")[1]
    assert (shown["origin"], shown["framework"], shown["contract"]["parents"]) == ("imported", "lightgbm", [])


def test_a_pickle_in_the_inbox_is_refused_and_its_status_tells_the_reason(site: Site) -> None:
    inbox = Inbox(site, f"p{uuid4().hex[:8]}", "trained-model")
    inbox.put("model.pkl", PICKLE)
    asset = inbox.asset_json(files=[{"path": "model.pkl"}])
    sweep(site)
    assert "model.pkl" in inbox.wait_for("rejected.json")["reason"]
    site.http("POST", "/v1/reconcile?all=1")
    found = site.wait_for(str(asset), ["rejected"])
    assert "model.pkl" in found["reason"]
    assert not (site.bucket / "assets" / str(asset) / "record.json").exists()
    assert site.http("GET", f"/v1/assets/{asset}/contract")[0] == 404
    for left in inbox.names():
        inbox.client.delete_object(Bucket="polyglot", Key=inbox.prefix + left)
