"""Identifiers: every UUID of the platform follows from what it names, so that asking twice asks for the same.

Version 5 UUIDs of RFC 9562 (https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-5), the name being canonical JSON.
"""

from collections.abc import Mapping
from uuid import UUID, uuid5

from functions._domain.digests import canonical

NAMESPACE = UUID("6f0a3c52-5f0b-5b0e-9d8e-0f7a1c2b3d4e")


def derive(*parts: object) -> UUID:
    """A UUID that is a function of ``parts``, which must be JSON values."""
    return uuid5(NAMESPACE, canonical(list(parts)).decode())


def request_id(tenant: str, principal: str, route: str, key: str) -> UUID:
    """The identifier of an accepted request; ``key`` is its ``Idempotency-Key``, or random where none was given."""
    return derive("request", tenant, principal, route, key)


def inbox_request_id(tenant: str, key: str, digest: str) -> UUID:
    """The identifier of an ``inbox/`` upload: its ``asset.json`` at ``key`` with this digest is the request."""
    return derive(tenant, "inbox", key, digest)


def made_by(parent: UUID, step: str, parameters: Mapping[str, object]) -> UUID:
    """The identifier of an asset that a step makes from its parent with canonical parameters."""
    return derive(str(parent), step, dict(parameters))


def trained_model_id(model: UUID, attempt: int) -> UUID:
    """The trained model of a model's ``attempt``-th training."""
    return made_by(model, "train", {"attempt": attempt})


def translation_id(trained_model: UUID, opset: int | None = None) -> UUID:
    """The translation of a trained model; an opset that nobody asked for is left out of its parameters."""
    return made_by(trained_model, "translate", {} if opset is None else {"opset": opset})


def event_id(cause: str, step: str, subject: UUID) -> str:
    """The identifier of the event by which ``step``, caused by an event or request, speaks of ``subject``."""
    return str(derive("event", cause, step, str(subject)))
