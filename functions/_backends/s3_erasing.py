"""Erasing in an object store: every version of every object below a prefix, and uploads in parts that never ended.

In a versioned bucket a plain delete only hides an object, so versions are listed and removed by their ids
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html), a thousand in one request where the
store takes that. What object lock keeps is left, and its retention is looked up. A store that has no versions, or knows
none of these operations, is asked for each object by itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.httpsession import URLLib3Session

from functions._domain.errors import UnavailableStorage
from functions._domain.ports import Held
from functions._domain.sealing import in_order

BATCH = 1000
"""The most objects of one request."""

LOOKED = 200
"""Of how many objects that are held the retention is looked up."""

UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed"})
GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NoSuchUpload"})
DENIED = frozenset({"403", "AccessDenied", "InvalidRequest", "ObjectLocked"})


class Version(NamedTuple):
    """One version of an object; without an id, the object of a store that has no versions."""

    key: str
    id: str = ""

    @property
    def named(self) -> dict[str, str]:
        """As the store's operations take it."""
        return {"Key": self.key, **({"VersionId": self.id} if self.id else {})}


def erase(client: Any, session: URLLib3Session, bucket: str, prefix: str) -> Held | None:
    """Remove all that begins with a prefix; returns what the store holds on to, or None.

    ``session`` has the client's kind of connections.

    Raises:
        UnavailableStorage: it refuses for another reason than object lock.
        ClientError: it does not answer as it should.
    """
    eraser = _Eraser(client, session, bucket)
    eraser.abort_uploads(prefix)
    return eraser.erase(prefix)


@dataclass(frozen=True)
class _Eraser:
    client: Any
    session: URLLib3Session
    bucket: str

    def erase(self, prefix: str) -> Held | None:
        versions = self._versions(prefix)
        probe = list(islice(versions, 1))
        if not probe:
            return None
        remove, size = self._batch, BATCH
        try:
            refused = self._batch(probe)
        except ClientError as error:
            if not _is_unknown(error):
                raise
            remove, size, refused = self._each, 1, self._each(probe)
        count = len(refused)
        for page in in_order(remove, _pages(versions, size)):
            refused += page[: LOOKED - len(refused)]
            count += len(page)
        return self._held(refused, count) if refused else None

    def _versions(self, prefix: str) -> Iterator[Version]:
        """All versions, the marks of deleted ones too; where the store has none, or lists none, its objects."""
        found = False
        try:
            for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
                for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    found = True
                    yield Version(item["Key"], item.get("VersionId", ""))
        except ClientError as error:
            if found or not _is_unknown(error):
                raise
        if not found:
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from (Version(item["Key"]) for item in page.get("Contents", ()))

    def _batch(self, page: list[Version]) -> list[Version]:
        """Remove some versions in one request; returns those that are denied."""
        asked = {"Objects": [one.named for one in page], "Quiet": True}
        answer = self.client.delete_objects(Bucket=self.bucket, Delete=asked)
        return [
            Version(error["Key"], error.get("VersionId", ""))
            for error in answer.get("Errors", ())
            if _require_denied(error) not in GONE
        ]

    def _each(self, page: list[Version]) -> list[Version]:
        """Remove versions one by one; returns those that are denied."""
        refused = []
        for one in page:
            if self._is_removed_directly(one):
                continue
            try:
                self.client.delete_object(Bucket=self.bucket, **one.named)
            except ClientError as error:
                if _require_denied({"Key": one.key, **error.response["Error"]}) not in GONE:
                    refused.append(one)
        return refused

    def _is_removed_directly(self, one: Version) -> bool:
        """One try past most of the client's machinery, as many files show; whatever else is answered, it asks again."""
        url = self.client.generate_presigned_url("delete_object", Params={"Bucket": self.bucket, **one.named})
        try:
            return bool(self.session.send(AWSRequest("DELETE", url).prepare()).status_code == 204)
        except HTTPClientError:
            return False

    def _held(self, refused: list[Version], count: int) -> Held:
        """What is held, and until when; each must be held by a lock, else somebody lacks a right."""
        until: datetime | None = None
        on_hold = False
        for one, ends, is_on_hold in in_order(self._lock, refused):
            if ends is None and not is_on_hold:
                raise UnavailableStorage(
                    f"the object store does not let {one.key} be removed, and names no lock on it: does the credential "
                    "of `erase` allow s3:DeleteObject, s3:DeleteObjectVersion and s3:GetObjectRetention?"
                )
            until = max(filter(None, (until, ends)), default=None)
            on_hold = on_hold or is_on_hold
        return Held(count, refused[0].key, until, on_hold)

    def _lock(self, one: Version) -> tuple[Version, datetime | None, bool]:
        retention = self._asked(self.client.get_object_retention, one).get("Retention", {})
        hold = self._asked(self.client.get_object_legal_hold, one).get("LegalHold", {})
        return one, retention.get("RetainUntilDate"), hold.get("Status") == "ON"

    def _asked(self, question: Callable[..., Any], one: Version) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = question(Bucket=self.bucket, **one.named)
        except ClientError:  # none is set, not implemented, or not ours to know
            return {}
        return answer

    def abort_uploads(self, prefix: str) -> None:
        """End uploads in parts that nobody completed, where the store can list them."""
        paginator = self.client.get_paginator("list_multipart_uploads")
        try:
            pages = list(paginator.paginate(Bucket=self.bucket, Prefix=prefix))
        except ClientError as error:
            if _is_unknown(error):
                return
            raise
        for upload in (one for page in pages for one in page.get("Uploads", ())):
            try:
                named = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                self.client.abort_multipart_upload(Bucket=self.bucket, **named)
            except ClientError as error:
                if error.response["Error"]["Code"] not in GONE:
                    raise


def _pages(rest: Iterator[Version], size: int) -> Iterator[list[Version]]:
    while page := list(islice(rest, size)):
        yield page


def _is_unknown(error: ClientError) -> bool:
    """Whether a store does not know an operation."""
    is_status = error.response["ResponseMetadata"]["HTTPStatusCode"] in (405, 501)
    return is_status or error.response["Error"]["Code"] in UNKNOWN


def _require_denied(error: Mapping[str, Any]) -> str:
    """The code of a refusal. Raises UnavailableStorage where it is one that may pass."""
    code = str(error.get("Code", ""))
    if code not in GONE | DENIED:
        raise UnavailableStorage(f"the object store did not remove {error.get('Key')}: {code} {error.get('Message')}")
    return code
