"""CloudEvents 1.0 over HTTP, in and out: binary mode out, binary and structured mode in.

The bindings are https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md; the
``cloudevents`` SDK does the encoding, this module the checks and the percent-encoding of headers that it leaves out.

    >>> headers, body = to_http(Event("asset.registered", UUID(int=7), "1"), "/tenants/acme/functions/ingest")
    >>> from_http(headers, body).name
    'asset.registered'
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote
from uuid import UUID

from cloudevents.conversion import to_binary, to_structured
from cloudevents.exceptions import GenericException
from cloudevents.http import CloudEvent
from cloudevents.http import from_http as parse

from functions._backends import tracecontext
from functions._domain.errors import RejectedRequest, UnavailableNewer
from functions._domain.events import TYPE, Event, name_of
from functions._domain.schemas import newer

__all__ = ["CloudEvent", "Incoming", "from_http", "is_event", "read", "to_http", "write", "write_structured"]

_EXTENSION = re.compile(r"[a-z0-9]+")
_CONTEXT = frozenset({"specversion", "type", "source", "id", "subject", "time", "datacontenttype", "dataschema"})
# Section 3.1.3.2 of the binding: all printable ASCII passes except space, the double quote and the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


@dataclass(frozen=True)
class Incoming:
    """A CloudEvent as it came in, from us or from somebody else (Ceph's bucket notifications, for one).

    Attributes:
        name: of our own events, the middle of the type, known or not; None for a foreign type.
        subject: as it was sent, empty where there was none; of our own events always a UUID.
        attributes: extension attributes only.
        data: decoded where it was declared JSON, else bytes; None where there was none.
    """

    type: str
    source: str
    id: str
    subject: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    data: object = None
    name: str | None = None

    @property
    def event(self) -> Event:
        """The same as an event of ours.

        Raises:
            RejectedRequest: a foreign type, or data that is no JSON object.
            UnavailableNewer: the same of a type that is a later version of ours.
        """
        if self.name is None:
            raise RejectedRequest(f"expected an event type {TYPE.format('<name>')}, found {self.type!r}")
        if not isinstance(self.data, Mapping | None):
            raise _refusal(self.type, f"expected a JSON object as data, found {type(self.data).__name__}")
        # The trace is how it came, not what it says: two deliveries of one event may differ in it.
        said = {name: value for name, value in self.attributes.items() if name not in tracecontext.ATTRIBUTES}
        sent_as = "" if self.type == TYPE.format(self.name) else self.type
        return Event(self.name, UUID(self.subject), self.id, said, self.data or {}, sent_as)


def to_http(event: Event, source: str, time: datetime | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and body of an event in binary mode; ``time`` is now unless given.

    The trace that it belongs to goes along twice, as the event's own attributes and as the request's headers.
    """
    context = tracecontext.current()
    trace = context.attributes if context else {}
    attributes = {
        **event.attributes,
        **trace,
        "type": event.type,
        "source": source,
        "id": event.id,
        "subject": str(event.subject),
        "time": (time or datetime.now(UTC)).isoformat(),
        "datacontenttype": "application/json",
    }
    headers, body = write(CloudEvent(attributes, json.dumps(dict(event.data)).encode()))
    return {**headers, **trace}, body


def from_http(headers: Mapping[str, str], body: bytes) -> Incoming:
    """A request or answer that carries a CloudEvent in either mode.

    Raises:
        RejectedRequest: it is not a CloudEvent 1.0, or one of ours whose subject is not a UUID.
        UnavailableNewer: the same of a type that is a later version of ours.
    """
    event = read(headers, body)
    attributes = event.get_attributes()
    ours = name_of(attributes["type"])
    subject = attributes.get("subject", "")
    return Incoming(
        type=attributes["type"],
        source=attributes["source"],
        id=attributes["id"],
        subject=_asset(subject, attributes["type"]) if ours else subject,
        attributes={name: value for name, value in attributes.items() if name not in _CONTEXT},
        data=_decode(event.get_data(), attributes.get("datacontenttype", "")),
        name=ours,
    )


def read(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """The SDK's event with string attributes and its data as bytes, or None. Raises RejectedRequest."""
    lowered = {name.lower(): value for name, value in headers.items()}
    structured = lowered.get("content-type", "").lower().startswith("application/cloudevents")
    if not structured and "ce-specversion" not in lowered:
        raise RejectedRequest(
            "expected a CloudEvent 1.0: either a ce-specversion header (binary mode) or the content type "
            f"application/cloudevents+json (structured mode), found content type {lowered.get('content-type')!r}"
        )
    if structured:
        lowered = {"content-type": "application/cloudevents+json"}
    else:
        lowered = {name: unquote(value) if name.startswith("ce-") else value for name, value in lowered.items()}
    try:
        event = parse(lowered, body, data_unmarshaller=_bytes)
    except (GenericException, ValueError, TypeError, AttributeError) as error:
        raise RejectedRequest(f"not a CloudEvent 1.0: {error}") from error
    return _checked(event, structured)


def write(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Headers and body of the SDK's event in binary mode. Its data must be bytes or None."""
    headers, body = to_binary(event, data_marshaller=_bytes)
    encoded = {
        name: quote(str(value), safe=_PLAIN) if name.startswith("ce-") else str(value)
        for name, value in headers.items()
    }
    return encoded, body or b""


def write_structured(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Headers and body of the SDK's event in structured mode, JSON data shown as JSON."""
    headers, body = to_structured(event, data_marshaller=_json_or_bytes)
    return dict(headers), bytes(body)


def is_event(headers: Mapping[str, str]) -> bool:
    """Whether headers claim to carry a CloudEvent, in either mode."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return "ce-specversion" in lowered or lowered.get("content-type", "").lower().startswith("application/cloudevents")


def _checked(event: CloudEvent, structured: bool) -> CloudEvent:
    """The event with every attribute a string and legally named, or RejectedRequest."""
    attributes = {name: value for name, value in event.get_attributes().items() if value is not None}
    for name, value in attributes.items():
        if not _EXTENSION.fullmatch(name) or not isinstance(value, str | int):
            raise RejectedRequest(f"not a CloudEvent 1.0: attribute {name!r} has the value {value!r}")
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in attributes.items()}
    empty = [name for name in ("id", "source", "type") if not texts.get(name)]
    if texts["specversion"] != "1.0" or empty:
        raise RejectedRequest(
            f"not a CloudEvent 1.0: specversion {texts['specversion']!r}, empty: {', '.join(empty) or 'nothing'}"
        )
    if structured and event.get_data() is not None:
        # Section 3.1 of the JSON format: without a content type the data is JSON.
        texts.setdefault("datacontenttype", "application/json")
    return CloudEvent(texts, event.get_data())


def _asset(subject: str, type_: str) -> str:
    try:
        return str(UUID(subject))
    except ValueError as error:
        raise _refusal(type_, f"expected an asset's UUID as the event's subject, found {subject!r}") from error


def _refusal(type_: str, text: str) -> RejectedRequest | UnavailableNewer:
    """The error for an event of ours that has not our shape: a later version of its type may have another."""
    if type_ == TYPE.format(name_of(type_)):
        return RejectedRequest(f"{type_}: {text}")
    return newer("the event", type_)


def _decode(data: bytes | None, content_type: str) -> object:
    media = content_type.partition(";")[0].strip().lower()
    if not data or not (media.endswith(("/json", "+json"))):
        return data or None
    try:
        return json.loads(data)
    except ValueError as error:
        raise RejectedRequest(f"the event's data is declared {media} and is not: {error}") from error


def _bytes(data: str | bytes | None) -> bytes | None:
    return data.encode() if isinstance(data, str) else data


def _json_or_bytes(data: bytes | None) -> object:
    try:
        return None if data is None else json.loads(data)
    except ValueError:
        return data
