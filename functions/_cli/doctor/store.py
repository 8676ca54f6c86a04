"""The object store: whether the tenant's credentials do what functions do, and what guards an asset's files (I3)."""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from functions._backends.s3 import S3Storage
from functions._cli.doctor.checks import Check, clock, fine, listed, wrong
from functions._domain.errors import UnavailableStorage
from functions._domain.paths import ASSETS, DEAD_LETTERS

SHOWN = 10
"""Other buckets that are tried."""


@dataclass(frozen=True)
class Guards:
    """What a store does about changes of what is stored.

    Attributes:
        denied: whether the functions' own credentials may not delete below ``assets/``.
        locked: object lock, by which nobody may for a time.
        versioned: whether an overwritten or deleted object keeps its earlier version.
    """

    denied: bool = False
    locked: bool = False
    versioned: bool = False

    def __str__(self) -> str:
        """In words for a person."""
        held = [
            *(["the bucket's policy denies deleting below assets/"] if self.denied else ()),
            *(["object lock holds files until their time is over"] if self.locked else ()),
            *(["versioning keeps what is overwritten or deleted"] if self.versioned else ()),
        ]
        if not held:
            return "nothing stops a change below assets/ in this store; `verify` finds it (I3)"
        more = "" if self.denied or self.locked else "; a change is possible, and `verify` finds it"
        return " and ".join(held) + f"{more} (I3)"


def looks(values: Mapping[str, str]) -> Iterator[Check]:
    """Look at the bucket that settings name. Raises UnavailableStorage where it does not answer."""
    storage = S3Storage.from_settings(values)
    where = f"{values.get('POLYGLOT_S3_URL') or 'AWS'}, {storage.bucket}"
    yield _bucket(storage, where)
    yield fine("what guards the files", str(guards(storage)))
    yield _others(storage)
    ahead = _ahead(storage)
    if ahead is not None:
        yield clock("clock of the store", ahead)
    yield _dead_letters(storage)


def _bucket(storage: S3Storage, where: str) -> Check:
    """Do once what functions do, below a prefix that nothing else uses."""
    key = f"runs/doctor/{secrets.token_hex(8)}"
    first, second = storage.create(key, b"doctor"), storage.create(key, b"again")
    try:
        read, found = storage.read(key), [entry.key for entry in storage.list("runs/doctor/")]
    finally:
        storage.delete(key)
    if not first or second or read != b"doctor":
        return wrong(
            "bucket",
            f"{where}: create-only writes do not hold",
            "this store overwrites despite If-None-Match: use one that does not",
        )
    if key not in found:
        return wrong("bucket", f"{where}: a new object is not listed", "use a store that lists what was just written")
    return fine("bucket", f"{where}: writes once, reads, lists, deletes")


def guards(storage: S3Storage) -> Guards:
    """What holds below ``assets/``; what a store does not implement, it does not do."""
    client, bucket = storage.client, storage.bucket
    versioning = _asked(client.get_bucket_versioning, Bucket=bucket)
    lock = _asked(client.get_object_lock_configuration, Bucket=bucket)
    return Guards(
        denied=_is_denied(storage),
        locked=lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled",
        versioned=versioning.get("Status") == "Enabled",
    )


def _asked(question: Any, **arguments: str) -> Mapping[str, Any]:
    from botocore.exceptions import ClientError

    try:
        answer: Mapping[str, Any] = question(**arguments)
    except ClientError:  # not implemented, not configured, or not ours to know
        return {}
    return answer


def _is_denied(storage: S3Storage) -> bool:
    """Whether deleting below ``assets/`` is refused: the only way to know is to try, where nothing is."""
    from botocore.exceptions import ClientError

    key = f"{ASSETS}doctor-{secrets.token_hex(8)}"
    try:
        answer = storage.client.delete_object(Bucket=storage.bucket, Key=key)
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403))
    if answer.get("DeleteMarker"):  # a versioned bucket notes that nothing was deleted
        with suppress(ClientError):
            storage.client.delete_object(Bucket=storage.bucket, Key=key, VersionId=answer["VersionId"])
    return False


def _others(storage: S3Storage) -> Check:
    """A tenant's credentials open its own bucket only (I6)."""
    named = _asked(storage.client.list_buckets).get("Buckets", [])
    others = [str(one["Name"]) for one in named if one["Name"] != storage.bucket][:SHOWN]
    opened = [name for name in others if _asked(storage.client.list_objects_v2, Bucket=name, MaxKeys=1)]  # type: ignore[arg-type]
    if opened:
        return wrong(
            "other buckets",
            f"the same credentials open {listed(opened)}",
            "give each tenant credentials of its own, which open its own bucket only",
        )
    return fine("other buckets", "these credentials open no other bucket that they can name")


def _ahead(storage: S3Storage) -> float | None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = storage.client.head_bucket(Bucket=storage.bucket)
    except ClientError as error:
        answer = error.response
    except BotoCoreError as error:
        raise UnavailableStorage(f"the object store does not answer: {error}") from error
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    return None if date is None else parsedate_to_datetime(date).timestamp() - time.time()


def _dead_letters(storage: S3Storage) -> Check:
    count = sum(1 for _ in storage.list(DEAD_LETTERS))
    if count == 0:
        return fine("dead letters", "none")
    return Check("dead letters", True, f"{count}: events that were themselves at fault; nothing waits for them",
                 f"read {DEAD_LETTERS} in the bucket, then delete what you have read", known=False)  # fmt: skip
