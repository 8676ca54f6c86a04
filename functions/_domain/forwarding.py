"""Forwarding: one webhook of a store serves all buckets; which tenant's Broker is told of a write to which bucket.

>>> destinations("acme-models=acme@http://broker/acme/polyglot")[0].tenant
'acme'
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from functions._domain.errors import Unavailable
from functions._domain.events import Event, announce
from functions._domain.intake import inbox_subject
from functions._domain.notices import Written, notified_inboxes
from functions._domain.ports import Recipient

log = logging.getLogger(__name__)

MOST = 100
"""Inbox folders that one notification can point at; stores send one record, and the sweep finds the rest."""

_LINE = re.compile(r"(?P<bucket>[^=@\s]+)=(?P<tenant>[A-Za-z0-9][A-Za-z0-9._-]{0,62})@(?P<broker_url>\S+)")


@dataclass(frozen=True)
class Destination:
    """A bucket, whose it is, and where that tenant's events are announced."""

    bucket: str
    tenant: str
    broker_url: str


def destinations(text: str) -> tuple[Destination, ...]:
    """The setting ``POLYGLOT_FORWARD``: one ``bucket=tenant@broker-url`` a line, or separated by commas.

    Raises:
        ValueError: a line of another form, or a bucket named twice.
    """
    found: dict[str, Destination] = {}
    for line in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} is not bucket=tenant@broker-url")
        if match["bucket"] in found:
            raise ValueError(f"the bucket {match['bucket']!r} is named twice")
        found[match["bucket"]] = Destination(**match.groupdict())
    return tuple(found.values())


def forward(notices: Sequence[Written], recipients: Mapping[str, Recipient], cause: str) -> None:
    """Tell each tenant's Broker of the inbox folders that notices concern.

    A Broker that does not answer is passed over, so that it holds up no other tenant; its own sweep finds the upload.
    """
    silent: set[str] = set()
    for bucket, event in hints(notices, recipients, cause):
        if bucket in silent:
            continue
        try:
            recipients[bucket].broker.announce(event)
        except Unavailable as error:
            silent.add(bucket)
            log.warning("an upload to %s was not forwarded: %s", bucket, error)


def hints(notices: Sequence[Written], recipients: Mapping[str, Recipient], cause: str) -> Iterator[tuple[str, Event]]:
    """The events to announce, each with its bucket; nothing of a bucket that is not mapped."""
    left = MOST
    for bucket in dict.fromkeys(one.bucket for one in notices):
        if bucket not in recipients:
            log.debug("a notification of %r is ignored: POLYGLOT_FORWARD does not name it", bucket)
            continue
        for key in notified_inboxes([one.key for one in notices if one.bucket == bucket]):
            if left == 0:
                return
            left -= 1
            subject = inbox_subject(recipients[bucket].tenant, key)
            yield bucket, announce("asset.submitted", subject, cause, {"key": key})
