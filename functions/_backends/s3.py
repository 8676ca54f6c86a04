"""The object store, through botocore: the S3 side of ``ports.Storage``.

Writes are create-only (``If-None-Match: *``), reads stream, large objects move in parts. Presigned URLs use
SigV4 (the default for a custom endpoint is SigV2, which leaves ``If-None-Match`` unsigned) and the public address,
since SigV4 signs the host. botocore is what boto3 is made of; without boto3's own layer a cold start is 30 ms shorter.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.response import StreamingBody
from botocore.utils import get_environ_proxies

from functions._domain.errors import RejectedContent, RejectedTooLarge, RejectedUnknown, UnavailableStorage
from functions._domain.ports import Entry, Held, Presigned

CHUNK = 1 << 20
PART = 64 << 20
SINGLE = 256 << 20
"""Above this an object is written and copied in parts; S3 copies at most 5 GiB in one request."""

URL_SECONDS = 3600
SMALL = 64 << 20
"""The largest object that ``read`` returns whole."""

_Result = TypeVar("_Result")


class S3Storage:
    """One bucket.

    Args:
        endpoint: the server's URL, or None for AWS.
        bucket: the bucket's name.
        public_endpoint: where clients reach the server, for presigning; the endpoint itself where None.
    """

    def __init__(
        self,
        endpoint: str | None,
        bucket: str,
        public_endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str = "us-east-1",
    ) -> None:
        self.bucket = bucket
        self._endpoint, self._public_endpoint = endpoint, public_endpoint or endpoint
        self._credentials = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
        self._region = region

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> "S3Storage":
        """The storage that ``POLYGLOT_S3_URL``, ``POLYGLOT_BUCKET`` and ``AWS_*`` settings name."""
        return cls(
            settings.get("POLYGLOT_S3_URL"),
            settings.get("POLYGLOT_BUCKET", "polyglot"),
            settings.get("POLYGLOT_S3_PUBLIC_URL"),
            settings.get("AWS_ACCESS_KEY_ID"),
            settings.get("AWS_SECRET_ACCESS_KEY"),
            settings.get("AWS_REGION", "us-east-1"),
        )

    def _connect(self, endpoint: str | None) -> Any:
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"max_attempts": 4, "mode": "standard"},
            connect_timeout=5,
            read_timeout=120,
            max_pool_connections=32,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return botocore.session.Session().create_client(
            "s3", endpoint_url=endpoint, region_name=self._region, config=config, **self._credentials
        )

    @cached_property
    def _client(self) -> Any:
        return self._connect(self._endpoint)

    @property
    def client(self) -> Any:
        """The botocore client, for questions about the store itself."""
        return self._client

    @cached_property
    def _presigner(self) -> Any:
        return self._client if self._public_endpoint == self._endpoint else self._connect(self._public_endpoint)

    def read(self, key: str, limit: int = SMALL) -> bytes | None:
        """A small object whole, or None where there is none."""
        answer = self._get(key)
        if answer is None:
            return None
        with _translated(key):
            data: bytes = answer.read(limit + 1)
        if len(data) > limit:
            raise RejectedTooLarge(f"{key} is larger than the {limit} bytes that are read at once")
        return data

    def open(self, key: str) -> Iterator[bytes] | None:
        """An object in chunks, or None where there is none."""
        answer = self._get(key)
        return None if answer is None else _chunks(answer, key)

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Some bytes of an object."""
        if length <= 0:
            return b""
        try:
            answer = self._get(key, Range=f"bytes={start}-{start + length - 1}")
        except _PastTheEnd:
            return b""
        if answer is None:
            raise RejectedUnknown(f"there is no object {key}")
        with _translated(key):
            data: bytes = answer.read()
        return data

    def _get(self, key: str, **options: str) -> StreamingBody | None:
        if not options:
            with suppress(_Unusual):
                return self._get_directly(key)
        answer: Any = self._unless_missing(key, lambda: self._client.get_object(Bucket=self.bucket, Key=key, **options))
        return None if answer is None else answer["Body"]

    @cached_property
    def _session(self) -> URLLib3Session:
        """The client's own kind of connections, with the environment's certificates and proxies."""
        proxies = get_environ_proxies(self._endpoint or "https://s3.amazonaws.com")
        authorities = os.environ.get("AWS_CA_BUNDLE") or True
        return URLLib3Session(authorities, proxies, timeout=(5, 120), max_pool_connections=32)

    def _get_directly(self, key: str) -> StreamingBody | None:
        """One try at a whole object, past most of the client's machinery: half the work, which many small files show.

        Raises:
            _Unusual: no clear answer; the client then asks again, as often as it should, and says what is wrong.
        """
        with _translated(key):
            url = self._client.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": key})
            try:
                answer = self._session.send(AWSRequest("GET", url, stream_output=True).prepare())
                if answer.status_code == 200:
                    return StreamingBody(answer.raw, answer.headers.get("Content-Length"))
                if answer.status_code == 404 and b"<Code>NoSuchKey<" in answer.content:
                    return None
                answer.raw.drain_conn()
            except HTTPClientError as error:
                raise _Unusual from error
            raise _Unusual

    def stat(self, key: str) -> Entry | None:
        """An object's entry, or None."""
        answer = self._unless_missing(key, lambda: self._client.head_object(Bucket=self.bucket, Key=key))
        return None if answer is None else Entry(key, answer["ContentLength"], answer["LastModified"])

    def _unless_missing(self, key: str, call: Callable[[], _Result]) -> _Result | None:
        with _translated(key):
            try:
                return call()
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise

    def _if_free(self, key: str, call: Callable[[], object]) -> bool:
        with _translated(key):
            try:
                call()
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                    return False
                raise
        return True

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that is not there yet."""
        return self._if_free(
            key, lambda: self._client.put_object(Bucket=self.bucket, Key=key, Body=data, IfNoneMatch="*")
        )

    def upload(self, key: str, path: Path) -> bool:
        """Write a file as an object that is not there yet."""
        size = path.stat().st_size
        if size <= CHUNK * 8:
            return self.create(key, path.read_bytes())
        part = max(PART // 4, -(-size // 10_000))

        def send(upload_id: str, number: int) -> str:
            with path.open("rb") as file:
                file.seek((number - 1) * part)
                answer = self._client.upload_part(
                    Bucket=self.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=file.read(part)
                )
            return str(answer["ETag"])

        return self._in_parts(key, -(-size // part), send)

    def copy(self, source: str, destination: str) -> bool:
        """Copy on the server to a key that is not there yet."""
        entry = self.stat(source)
        if entry is None:
            raise RejectedUnknown(f"there is no object {source} to copy")
        origin = {"Bucket": self.bucket, "Key": source}
        if entry.size <= SINGLE:
            return self._if_free(
                destination,
                lambda: self._client.copy_object(
                    Bucket=self.bucket, Key=destination, CopySource=origin, IfNoneMatch="*"
                ),
            )
        part = max(PART * 4, -(-entry.size // 10_000))

        def send(upload_id: str, number: int) -> str:
            start, end = (number - 1) * part, min(number * part, entry.size) - 1
            answer = self._client.upload_part_copy(
                Bucket=self.bucket, Key=destination, UploadId=upload_id, PartNumber=number,
                CopySource=origin, CopySourceRange=f"bytes={start}-{end}",
            )  # fmt: skip
            return str(answer["CopyPartResult"]["ETag"])

        return self._in_parts(destination, -(-entry.size // part), send)

    def _in_parts(self, key: str, count: int, send: Callable[[str, int], str]) -> bool:
        upload_id = self.start_parts(key)
        try:
            with _translated(key):
                etags = [send(upload_id, number) for number in range(1, count + 1)]
            return self.complete_parts(key, upload_id, etags)
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
            raise

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """All objects below a prefix in key order."""
        for page in self._pages(Prefix=prefix, StartAfter=after):
            for item in page.get("Contents", ()):
                yield Entry(item["Key"], item["Size"], item["LastModified"])

    def folders(self, prefix: str, after: str = "") -> Iterator[str]:
        """The names directly below a prefix that have objects below them."""
        for page in self._pages(Prefix=prefix, StartAfter=after, Delimiter="/"):
            for item in page.get("CommonPrefixes", ()):
                yield item["Prefix"][len(prefix) : -1]

    def _pages(self, **options: str) -> Iterator[Mapping[str, Any]]:
        arguments = {name: value for name, value in options.items() if value}
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **arguments))
        while True:
            with _translated(options["Prefix"]):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def delete(self, key: str) -> None:
        """Remove an object."""
        with _translated(key):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def erase(self, prefix: str) -> Held | None:
        """Remove all that begins with a prefix for good."""
        from functions._backends.s3_erasing import erase

        with _translated(prefix):
            return erase(self._client, self._session, self.bucket, prefix)

    def _presign(
        self, operation: str, method: str, headers: Mapping[str, str] | None = None, **arguments: object
    ) -> Presigned:
        with _translated(str(arguments["Key"])):
            url = self._presigner.generate_presigned_url(
                operation, Params={"Bucket": self.bucket, **arguments}, ExpiresIn=URL_SECONDS, HttpMethod=method
            )
        return Presigned(method, url, headers or {})

    def presign_get(self, key: str) -> Presigned:
        """A GET for a client."""
        return self._presign("get_object", "GET", Key=key)

    def presign_put(self, key: str) -> Presigned:
        """A create-only PUT for a client."""
        return self._presign("put_object", "PUT", {"If-None-Match": "*"}, Key=key, IfNoneMatch="*")

    def start_parts(self, key: str) -> str:
        """Begin an upload in parts."""
        with _translated(key):
            return str(self._client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"])

    def presign_part(self, key: str, upload_id: str, number: int) -> Presigned:
        """A PUT of one part for a client."""
        return self._presign("upload_part", "PUT", Key=key, UploadId=upload_id, PartNumber=number)

    def complete_parts(self, key: str, upload_id: str, etags: Sequence[str]) -> bool:
        """Make the object of all parts."""
        parts = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, 1)]
        try:
            return self._if_free(
                key,
                lambda: self._client.complete_multipart_upload(
                    Bucket=self.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
                ),
            )
        except _Refused as error:
            if self.stat(key) is not None:  # completed by an earlier try whose answer was lost
                return False
            raise RejectedContent(f"the parts of {key} do not make a file: {error}; upload it again") from error


class _Unusual(Exception):
    """A direct read had no clear answer."""


class _PastTheEnd(RejectedUnknown):
    """A range that starts after the last byte."""


class _Refused(UnavailableStorage):
    """The store refused with a 4xx of its own; kept transient, since rights and buckets can be mended."""


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
        if status == 416:
            raise _PastTheEnd(f"{key} ends before that range") from error
        kind = _Refused if 400 <= status < 500 else UnavailableStorage
        raise kind(f"the object store answered {status} {code} for {_shown(key)}: {error}") from error
    except (BotoCoreError, HTTPClientError, OSError) as error:
        raise UnavailableStorage(f"the object store did not answer for {_shown(key)}: {error}") from error


def _shown(key: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", key)


def _chunks(body: StreamingBody, key: str) -> Iterator[bytes]:
    with _translated(key):
        while chunk := body.read(CHUNK):
            yield chunk
