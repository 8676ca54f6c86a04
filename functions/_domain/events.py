"""Events: hints that say "look at asset X". CloudEvents 1.0 attributes and nothing that must be believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from functions._domain.identity import event_id

TYPE = "io.polyglot.{}.v1"


@dataclass(frozen=True)
class Event:
    """A CloudEvent of ours, apart from its source and time, which the runtime knows.

    Attributes:
        name: the middle of its type: ``asset.registered`` of ``io.polyglot.asset.registered.v1``.
        subject: the asset it speaks of.
        id: follows from cause and step, so a repeated step repeats its event's id.
        attributes: extension attributes, for filters: ``assetkind``, ``framework``, ``claim``, ``accelerator``.
        data: hints; a ``schema`` is always there.
    """

    name: str
    subject: UUID
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return TYPE.format(self.name)


def announce(
    name: str, subject: UUID, cause: str, data: Mapping[str, object] | None = None, **attributes: str
) -> Event:
    """An event with a derived id; empty attributes are left out."""
    kept = {key: value for key, value in sorted(attributes.items()) if value}
    step = ":".join([name, *(f"{key}={value}" for key, value in kept.items())])
    body = {"schema": f"polyglot/{name}/v1", **(data or {})}
    return Event(name, subject, event_id(cause, step, subject), kept, body)
