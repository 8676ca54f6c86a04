"""The HTTP side of a function: routes from the declaration, validation, answers, and errors as problem documents."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Response

from functions._domain import errors
from functions._domain.calls import Call, Redirect
from functions._domain.ports import Ports, Storage
from functions._runtime import problems
from functions._runtime.dotted import load
from functions._runtime.tokens import authenticate

if TYPE_CHECKING:
    from flask import Request

    from functions.declaration import Function, Route

log = logging.getLogger(__name__)

BODY_LIMIT = 8 << 20


def problem(status: int, detail: str, **headers: str) -> Response:
    """An error as ``application/problem+json``."""
    return Response(problems.document(status, detail), status, {**headers, "Content-Type": problems.CONTENT_TYPE})


def answer(function: Function, request: Request, ports: Ports) -> Response:
    """Answer one HTTP request of a function's routes."""
    try:
        return _answer(function, request, ports)
    except errors.RejectedUnauthenticated as error:
        return problem(401, str(error), **{"WWW-Authenticate": "Bearer"})
    except errors.Rejected as error:
        return problem(problems.status_of(error), str(error))
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
    return _encoded(route, load(route.handler)(call, ports))


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
        return load(str(route.body)).model_validate_json(data or b"{}")
    except ValidationError as error:
        raise errors.RejectedRequest(readable(error)) from error


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
