"""Notices: what an object store says was written. They are hints of where to look, whoever sent them, and no more.

AWS, MinIO, Ceph and versitygw send one JSON shape, ``Records``
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html). Whether a key in it is
encoded depends on the store: AWS, MinIO and Ceph do, versitygw does not. Both readings are taken; what a wrong one
names is not there. Sizes are not looked at: versitygw says 0 for most.

    >>> [one.key for one in written({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "a%20b"}}}]})]
    ['a%20b', 'a b']
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

_OF_OURS = (["receipt.json"], ["rejected.json"])


@dataclass(frozen=True)
class Written:
    """An object that may have been written; ``bucket`` is empty where nobody named it."""

    bucket: str
    key: str


def written(document: object) -> Iterator[Written]:
    """What a notification's ``Records`` say was created; other things, such as ``s3:TestEvent``, say nothing."""
    records = document.get("Records") if isinstance(document, Mapping) else None
    for record in records if isinstance(records, list) else ():
        try:
            bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
            happened = str(record.get("eventName", "ObjectCreated"))
        except (AttributeError, KeyError, TypeError):
            continue
        if isinstance(bucket, str) and isinstance(key, str) and "ObjectCreated" in happened:
            yield from (Written(bucket, reading) for reading in dict.fromkeys((key, unquote_plus(key))))


def notified_inboxes(keys: Sequence[str]) -> Iterator[str]:
    """The ``asset.json`` keys that notices about some objects may concern.

    What we write there ourselves concerns none: a refusal would be looked at because it was written, for ever.
    """
    seen = set()
    for key in keys:
        parts = key.split("/")
        if len(parts) >= 4 and parts[0] == "inbox" and parts[3:] not in _OF_OURS:
            found = "/".join([*parts[:3], "asset.json"])
            if found not in seen:
                seen.add(found)
                yield found
