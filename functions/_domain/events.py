"""Events: hints that say "look at asset X". CloudEvents 1.0 attributes and nothing that must be believed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from functions._domain import schemas
from functions._domain.errors import RejectedRequest
from functions._domain.identity import event_id

TYPE = "io.polyglot.{}.v1"
_OURS = re.compile(r"io\.polyglot\.(?P<name>[a-z0-9-]+(?:\.[a-z0-9-]+)*)\.v[0-9]+")


def name_of(type_: str) -> str | None:
    """The middle of an event type of ours, of this version or a newer one; None for a foreign type."""
    ours = _OURS.fullmatch(type_)
    if ours is None or not (type_ == TYPE.format(ours["name"]) or schemas.is_newer(type_, TYPE.format(ours["name"]))):
        return None
    return ours["name"]


@dataclass(frozen=True)
class Event:
    """A CloudEvent of ours, apart from its source and time, which the runtime knows.

    Attributes:
        name: the middle of its type: ``asset.registered`` of ``io.polyglot.asset.registered.v1``.
        subject: the asset it speaks of.
        id: follows from cause and step, so a repeated step repeats its event's id.
        attributes: extension attributes, for filters: ``assetkind``, ``framework``, ``claim``, ``accelerator``.
        data: hints; a ``schema`` is always there.
        sent_as: the type of an event that a newer platform sent, where it is another one.
    """

    name: str
    subject: UUID
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    sent_as: str = ""

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return self.sent_as or TYPE.format(self.name)

    def require_known(self) -> None:
        """Raises UnavailableNewer where type or data are of a later version than this platform's."""
        known, said = f"polyglot/{self.name}/v1", self.data.get("schema")
        if self.sent_as or schemas.is_newer(said, known):
            raise schemas.newer(f"the event {self.id}", str(self.sent_as or said))

    def require(self, **attributes: str) -> None:
        """Raises RejectedRequest where it says something else than is stored: who announces reads that first."""
        for name, wanted in attributes.items():
            if self.attributes.get(name) != wanted:
                said = self.attributes.get(name)
                raise RejectedRequest(f"{self.name} of {self.subject} says {name} {said!r}: it is {wanted!r}")


def announce(
    name: str, subject: UUID, cause: str, data: Mapping[str, object] | None = None, **attributes: str
) -> Event:
    """An event with a derived id; empty attributes are left out."""
    kept = {key: value for key, value in sorted(attributes.items()) if value}
    step = ":".join([name, *(f"{key}={value}" for key, value in kept.items())])
    body = {"schema": f"polyglot/{name}/v1", **(data or {})}
    return Event(name, subject, event_id(cause, step, subject), kept, body)
