"""What an HTTP handler is given, and how it redirects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from functions._domain.intake import Principal

NOBODY = UUID(int=0)


@dataclass(frozen=True)
class Call:
    """One authenticated, validated HTTP request.

    Attributes:
        principal: who asks.
        id: the ``{id}`` of the path.
        path: the ``{path}`` of the path.
        query: the query's parameters that the declaration names.
        body: the validated body, an instance of the route's model.
        key: the ``Idempotency-Key``.
    """

    principal: Principal
    id: UUID = NOBODY
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    key: str | None = None


@dataclass(frozen=True)
class Redirect:
    """An answer that sends the client elsewhere."""

    location: str
