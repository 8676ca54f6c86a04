"""Errors as RFC 9457 problem documents (https://www.rfc-editor.org/rfc/rfc9457), and the one table from errors to HTTP.

>>> json.loads(document(404, "there is no /v2"))["title"]
'Not Found'
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from wsgiref.types import StartResponse

from functions._domain import errors

CONTENT_TYPE = "application/problem+json"

STATUS: Mapping[type[errors.PolyglotError], int] = {
    errors.RejectedRequest: 400,
    errors.RejectedUnauthenticated: 401,
    errors.RejectedForbidden: 403,
    errors.RejectedUnknown: 404,
    errors.RejectedTooLarge: 413,
    errors.RejectedConflict: 422,
    errors.RejectedContent: 422,
    errors.Unavailable: 503,
}
"""The status of each error; of a class that is not here, its parent's."""


def status_of(error: errors.PolyglotError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def document(status: int, detail: str, trace_id: str = "") -> bytes:
    """A problem document; ``about:blank`` means that the title is the status's own phrase.

    ``trace_id``, an extension member, is what the log has of it, for whoever reports an error of ours.
    """
    title = HTTPStatus(status).phrase
    members = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json.dumps({**members, **({"trace_id": trace_id} if trace_id else {})}).encode()


def answer(start_response: StartResponse, status: int, detail: str, **headers: str) -> Iterable[bytes]:
    """A WSGI answer with a problem document."""
    body = document(status, detail)
    fields = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body))), *headers.items()]
    start_response(f"{status} {HTTPStatus(status).phrase}", fields)
    return [body]
