"""A tenant's bucket and its own user, in versitygw: who opens this bucket and no other.

Users are made through its admin API (https://github.com/versity/versitygw/wiki/Multi-Tenant): requests signed as S3's
are, with XML in and out.
"""

import secrets
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import botocore.session
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.cluster.edge import Edge

REGION = "us-east-1"


def client(cluster: Edge, credentials: tuple[str, str] | None = None) -> Any:
    """An S3 client, of who may do everything unless told otherwise."""
    access, secret = credentials or cluster.credentials
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=cluster.s3_url,
        region_name=REGION,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def bucket_with_user(cluster: Edge, user: str, bucket: str) -> tuple[str, str]:
    """Make a bucket and its owner; returns the owner's credentials, new ones where there was such a user already."""
    secret, s3 = secrets.token_urlsafe(24), client(cluster)
    remove_user(cluster, user)
    account = f"<Account><Access>{user}</Access><Secret>{secret}</Secret><Role>user</Role></Account>"
    _ask(cluster, "/create-user", account)
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        s3.create_bucket(Bucket=bucket)
    _ask(cluster, "/change-bucket-owner?" + urlencode({"bucket": bucket, "owner": user}))
    return user, secret


def remove_user(cluster: Edge, user: str) -> None:
    """Remove a user; none there is success."""
    _ask(cluster, "/delete-user?" + urlencode({"access": user}), missing_ok=True)


def remove(cluster: Edge, user: str, bucket: str) -> None:
    """Remove a bucket with all that is in it, and its user."""
    s3 = client(cluster)
    with suppress(ClientError):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", ()):
                s3.delete_object(Bucket=bucket, Key=item["Key"])
        s3.delete_bucket(Bucket=bucket)
    remove_user(cluster, user)


def _ask(cluster: Edge, path: str, body: str = "", missing_ok: bool = False) -> None:
    status = ask(cluster, path, body)
    assert status < 300 or (missing_ok and status == 404), f"{path}: {status}"


def ask(cluster: Edge, path: str, body: str = "") -> int:
    """Ask the admin API; returns its status."""
    request = AWSRequest("PATCH", cluster.s3_url + path, data=body.encode())
    S3SigV4Auth(Credentials(*cluster.credentials), "s3", REGION).add_auth(request)
    sent = request.prepare()
    answer = urllib3.request("PATCH", sent.url, body=body.encode(), headers=dict(sent.headers), retries=False)
    return answer.status
