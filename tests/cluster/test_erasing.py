"""A real object store: every version is erased, object lock says until when, and the policy of the docs holds."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions._backends.s3 import S3Storage
from functions._cli.doctor.store import guards
from functions._domain.errors import UnavailableStorage
from tests.cluster import accounts
from tests.cluster.edge import Edge
from tests.cluster.tenants import ROOT

FILES = [f"assets/x/files/{number:04}" for number in range(1200)]


@pytest.fixture
def a_bucket(cluster: Edge) -> Iterator[Callable[..., str]]:
    """Makes buckets, which are removed with all that is in them, apart from what is locked."""
    made, s3 = list[str](), accounts.client(cluster)

    def make(**options: object) -> str:
        made.append(f"erasing-{secrets.token_hex(4)}")
        s3.create_bucket(Bucket=made[-1], **options)
        return made[-1]

    yield make
    for bucket in made:
        with suppress(ClientError, UnavailableStorage):
            s3.delete_bucket_policy(Bucket=bucket)
            storage_of(cluster, bucket).erase("")
            s3.delete_bucket(Bucket=bucket)


def storage_of(cluster: Edge, bucket: str, credentials: tuple[str, str] | None = None) -> S3Storage:
    return S3Storage(cluster.s3_url, bucket, None, *(credentials or cluster.credentials))


def versions(storage: S3Storage, prefix: str = "assets/x/files/") -> list[Any]:
    pages = storage.client.get_paginator("list_object_versions").paginate(Bucket=storage.bucket, Prefix=prefix)
    return [one for page in pages for name in ("Versions", "DeleteMarkers") for one in page.get(name, ())]


@pytest.mark.parametrize("versioned", [True, False])
def test_every_version_is_erased_and_nothing_else(cluster: Edge, a_bucket: Callable[..., str], versioned: bool) -> None:
    storage = storage_of(cluster, a_bucket())
    s3, bucket = storage.client, storage.bucket
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in [*FILES, "assets/x/record.json"]:
        storage.create(key, b"1")
    s3.put_object(Bucket=bucket, Key=FILES[0], Body=b"2")
    s3.delete_object(Bucket=bucket, Key=FILES[1])
    s3.create_multipart_upload(Bucket=bucket, Key="assets/x/files/never completed")
    assert versions(storage)
    assert storage.erase("assets/x/files/") is None
    assert versions(storage) == []
    assert not s3.list_multipart_uploads(Bucket=bucket, Prefix="assets/x/").get("Uploads")
    assert storage.read("assets/x/record.json") == b"1"


def test_what_object_lock_keeps_is_told_with_its_day(cluster: Edge, a_bucket: Callable[..., str]) -> None:
    storage = storage_of(cluster, a_bucket(ObjectLockEnabledForBucket=True))
    s3, bucket, until = storage.client, storage.bucket, datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    for key in FILES[:5]:
        storage.create(key, b"1")
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    s3.put_object_retention(Bucket=bucket, Key=FILES[0], Retention=retention)
    s3.put_object_legal_hold(Bucket=bucket, Key=FILES[1], LegalHold={"Status": "ON"})
    held = storage.erase("assets/x/files/")
    assert held is not None
    assert (held.versions, held.until, held.legal_hold) == (2, until, True)
    assert {one["Key"] for one in versions(storage)} == set(FILES[:2])
    s3.put_object_legal_hold(Bucket=bucket, Key=FILES[1], LegalHold={"Status": "OFF"})
    held = storage.erase("assets/x/files/")
    assert held is not None
    assert (held.versions, held.legal_hold) == (1, False)


def test_the_policy_of_the_docs_lets_nobody_but_erase_delete_below_assets(
    cluster: Edge, a_bucket: Callable[..., str]
) -> None:
    root, users = storage_of(cluster, a_bucket()), [f"user-{secrets.token_hex(4)}" for _ in range(2)]
    (text,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    text = text.replace('"acme-erase"', f'"{users[1]}"').replace('"acme"', f'"{users[0]}"')
    try:
        acme, erase = (
            storage_of(cluster, root.bucket, accounts.bucket_with_user(cluster, user, f"{user}-own")) for user in users
        )
        policy = json.dumps(json.loads(text.replace("acme-models", root.bucket)))
        root.client.put_bucket_policy(Bucket=root.bucket, Policy=policy)
        for key in ("assets/x/files/a", "runs/x/e/model/a", "open/x/y"):
            assert acme.create(key, b"1")
        acme.delete("open/x/y")
        with pytest.raises(UnavailableStorage, match="AccessDenied"):
            acme.delete("assets/x/files/a")
        with pytest.raises(UnavailableStorage, match="names no lock on it"):
            acme.erase("assets/x/files/")
        assert acme.read("assets/x/files/a") == b"1"
        for one in (acme, erase):
            with pytest.raises(ClientError):
                one.client.delete_bucket_policy(Bucket=root.bucket)
        assert (guards(acme).denied, guards(erase).denied) == (True, False)
        assert erase.erase("assets/x/files/") is None
        assert erase.erase("runs/x/e/model/") is None
        assert list(acme.list("")) == []
        assert erase.create("assets/x/journal/erase.1.done.json", b"1")
    finally:
        for user in users:
            accounts.remove(cluster, user, f"{user}-own")
