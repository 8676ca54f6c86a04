"""The HTTP side of a function: routes from the declaration, bearer tokens, validation, RFC 9457 errors.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Response

from functions._domain import errors
from functions._domain.calls import Call, Redirect
from functions._domain.digests import digest_of
from functions._domain.intake import Principal
from functions._domain.paths import token_key
from functions._domain.ports import Ports, Storage
from functions._domain.records import parse

if TYPE_CHECKING:
    from flask import Request

    from functions.declaration import Function, Route

log = logging.getLogger(__name__)

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
"""The one table from errors to HTTP."""

TITLES = {
    400: "Not understood",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Unknown",
    405: "Method not allowed",
    413: "Too large",
    422: "Refused",
    500: "Internal error",
    503: "Unavailable for now",
}
BODY_LIMIT = 8 << 20
RANKS = {"anyone": 0, "reader": 1, "publisher": 2, "operator": 3}
TOKEN_SCHEMA = "polyglot/token/v1"  # noqa: S105 - a schema's name
TOKEN_SECONDS = 10.0


def status_of(error: errors.PolyglotError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(status: int, detail: str, **headers: str) -> Response:
    """An error as ``application/problem+json``."""
    body = {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "detail": detail}
    return Response(json.dumps(body), status, {**headers, "Content-Type": "application/problem+json"})


def answer(function: Function, request: Request, ports: Ports) -> Response:
    """Answer one HTTP request of a function's routes."""
    try:
        return _answer(function, request, ports)
    except errors.RejectedUnauthenticated as error:
        return problem(401, str(error), **{"WWW-Authenticate": "Bearer"})
    except errors.Rejected as error:
        return problem(status_of(error), str(error))
    except errors.Unavailable as error:
        return problem(503, str(error), **{"Retry-After": "1"})
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return problem(500, "an error of the platform itself; its log has the details")


def _answer(function: Function, request: Request, ports: Ports) -> Response:
    if request.path == "/v1/openapi.json":
        return _document(request)
    matching = [(route, found) for route in function.routes if (found := _pattern(route.path).fullmatch(request.path))]
    if not matching:
        raise errors.RejectedUnknown(f"there is nothing at {request.path}: GET /v1/openapi.json lists every path")
    fitting = [one for one in matching if one[0].method == request.method.replace("HEAD", "GET")]
    if not fitting:
        return _not_allowed(request, *(route.method for route, _ in matching))
    route, match = fitting[0]
    call = _call(route, match.groupdict(), request, ports.storage)
    return _encoded(route, _load(route.handler)(call, ports))


def _document(request: Request) -> Response:
    from functions._runtime.openapi import document

    if request.method not in ("GET", "HEAD"):
        return _not_allowed(request, "GET")
    return Response(json.dumps(document()), 200, {"Content-Type": "application/json"})


def _not_allowed(request: Request, *methods: str) -> Response:
    allowed = ", ".join(methods).replace("GET", "GET, HEAD")
    return problem(405, f"{request.path} takes {allowed}, not {request.method}", Allow=allowed)


def _call(route: Route, values: Mapping[str, str], request: Request, storage: Storage) -> Call:
    principal = authenticate(request.headers.get("Authorization", ""), route, storage)
    return Call(
        principal=principal,
        id=_identifier(values["id"]) if "id" in values else UUID(int=0),
        path=values.get("path") or "",
        query={name: request.args[name] for name, _ in route.query if name in request.args},
        body=_body(route, request) if route.body else None,
        key=_idempotency_key(request),
    )


def _identifier(text: str) -> UUID:
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise errors.RejectedRequest(f"{text!r} is not a UUID: write it as polyglot list shows it")
    return found


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,200}", key):
        raise errors.RejectedRequest("Idempotency-Key must be 1 to 200 visible ASCII characters")
    return key


def _body(route: Route, request: Request) -> Any:
    from pydantic import ValidationError

    from functions._domain.requests import readable

    if (request.content_length or 0) > BODY_LIMIT:
        raise errors.RejectedTooLarge(f"the body is larger than {BODY_LIMIT} bytes: send fewer files a page")
    data = request.get_data()
    if len(data) > BODY_LIMIT:
        raise errors.RejectedTooLarge(f"the body is larger than {BODY_LIMIT} bytes: send fewer files a page")
    try:
        return _load(str(route.body)).model_validate_json(data or b"{}")
    except ValidationError as error:
        raise errors.RejectedRequest(readable(error)) from error


def authenticate(header: str, route: Route, storage: Storage) -> Principal:
    """Who asks, from the bearer token.

    Raises:
        RejectedUnauthenticated: no token, or one that is not known.
        RejectedForbidden: the token's role does not allow this route.
    """
    if route.access == "anyone":
        return Principal("anyone", frozenset())
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.RejectedUnauthenticated("send Authorization: Bearer <token>")
    principal = _principal(storage, digest_of(token.strip().encode()))
    if principal is None:
        raise errors.RejectedUnauthenticated("this token is not known here: is POLYGLOT_TOKEN that of this platform?")
    if max((RANKS.get(role, 0) for role in principal.roles), default=0) < RANKS[route.access]:
        held = ", ".join(sorted(principal.roles))
        raise errors.RejectedForbidden(f"{route.method} {route.path} needs role {route.access}; this token has {held}")
    return principal


class _Known:
    """Tokens seen a moment ago, so that a thousand pages are not a thousand look-ups."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], tuple[float, Principal]] = {}

    def get(self, storage: Storage, digest: str) -> Principal | None:
        kept = self._found.get((id(storage), digest))
        if kept and time.monotonic() - kept[0] < TOKEN_SECONDS:
            return kept[1]
        data = storage.read(token_key(digest))
        if data is None:
            return None
        principal = _named(data, token_key(digest))
        if len(self._found) > 1000:
            self._found.clear()
        if principal is not None:
            self._found[id(storage), digest] = time.monotonic(), principal
        return principal


def _named(data: bytes, key: str) -> Principal | None:
    """Whose token it is; None, and a line in the log, where its document says nothing that can be read."""
    try:
        token = parse(data, key, TOKEN_SCHEMA)
        return Principal(str(token["subject"]), frozenset(map(str, token["roles"])))
    except (errors.Rejected, KeyError, TypeError) as error:
        log.warning("%s is no token's document: %r", key, error)
        return None


@cache
def _known() -> _Known:
    return _Known()


def _principal(storage: Storage, digest: str) -> Principal | None:
    return _known().get(storage, digest)


def _encoded(route: Route, result: Any) -> Response:
    if isinstance(result, Redirect):
        return Response("", route.status, {"Location": result.location})
    headers = {"Content-Type": "application/json"}
    if route.status == 202:
        headers["Location"] = f"/v1/requests/{result.id}"
    return Response(result.model_dump_json(), route.status, headers)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template).replace(r"/\{path\}", r"/(?P<path>.*)").replace(r"\{id\}", r"(?P<id>[^/]+)")
    return re.compile(escaped, re.DOTALL)


@cache
def _load(dotted: str) -> Any:
    from functions._runtime.entry import load

    return load(dotted)
