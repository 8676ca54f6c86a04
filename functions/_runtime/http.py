"""The HTTP side of a function: routes from the declaration, validation, answers, and errors as problem documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Response

from functions._domain import errors
from functions._domain.calls import Call, Redirect
from functions._domain.ports import Ports
from functions._runtime import problems
from functions._runtime.dotted import load
from functions._runtime.telemetry import steps
from functions._runtime.tokens import authenticate

if TYPE_CHECKING:
    from flask import Request

    from functions._runtime.telemetry.steps import Step
    from functions.declaration import Function, Route

BROKEN = "an error of the platform itself; its log has the details"


def problem(status: int, detail: str, **headers: str) -> Response:
    """An error as ``application/problem+json``; where it is ours, with the trace under which the log has it."""
    step = steps.current()
    trace = step.context.trace_id if step and status >= 500 else ""
    body = problems.document(status, detail, trace)
    return Response(body, status, {**headers, "Content-Type": problems.CONTENT_TYPE})


def answer(function: Function, request: Request, ports: Ports, step: Step) -> Response:
    """Answer one HTTP request of a function's routes."""
    try:
        return _answer(function, request, ports, step)
    except Exception as error:  # noqa: BLE001 - the step tells all of them
        step.fails(error)
        return _refusal(error)


def _refusal(error: Exception) -> Response:
    """What an error is answered with."""
    match error:
        case errors.RejectedUnauthenticated() | errors.RejectedRole():
            return problem(problems.status_of(error), str(error), **{"WWW-Authenticate": challenge(error)})
        case errors.Rejected():
            return problem(problems.status_of(error), str(error))
        case errors.Unavailable():
            return problem(503, str(error), **{"Retry-After": "1"})
        case _:
            return problem(500, BROKEN)


def challenge(error: errors.Rejected) -> str:
    """What RFC 6750 has a refusal say of the token (https://www.rfc-editor.org/rfc/rfc6750#section-3)."""
    match error:
        case errors.RejectedToken():
            return 'Bearer error="invalid_token"'
        case errors.RejectedRole():
            return f'Bearer error="insufficient_scope", scope="{error.needed}"'
        case _:
            return "Bearer"


def _answer(function: Function, request: Request, ports: Ports, step: Step) -> Response:
    if request.path == "/v1/openapi.json":
        step.route = f"GET {request.path}"
        return _document(request)
    matching = [(route, found) for route in function.routes if (found := _pattern(route.path).fullmatch(request.path))]
    if not matching:
        raise errors.RejectedUnknown(f"there is nothing at {request.path}: GET /v1/openapi.json lists every path")
    fitting = [one for one in matching if one[0].method == request.method.replace("HEAD", "GET")]
    if not fitting:
        return _not_allowed(request, *(route.method for route, _ in matching))
    route, match = fitting[0]
    step.route = f"{route.method} {route.path}"
    call = _call(route, match.groupdict(), request, ports)
    _note(step, route, call.id)
    result = load(route.handler)(call, ports)
    if route.status == 202:
        step.request, step.subject = str(result.id), str(result.asset)
    return _encoded(route, result)


def _note(step: Step, route: Route, named: UUID) -> None:
    """Tell the step what its path names, a request or an asset."""
    if route.path.startswith("/v1/requests/"):
        step.request = str(named)
    elif named.int and not route.path.startswith("/v1/tokens/"):
        step.subject = str(named)


def _document(request: Request) -> Response:
    from functions._runtime.openapi import document

    if request.method not in ("GET", "HEAD"):
        return _not_allowed(request, "GET")
    return Response(json.dumps(document()), 200, {"Content-Type": "application/json"})


def _not_allowed(request: Request, *methods: str) -> Response:
    allowed = ", ".join(sorted(methods)).replace("GET", "GET, HEAD")
    return problem(405, f"{request.path} takes {allowed}, not {request.method}", Allow=allowed)


def _call(route: Route, values: Mapping[str, str], request: Request, ports: Ports) -> Call:
    principal = authenticate(request.headers.get("Authorization", ""), route, ports)
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

    data = received(request, route.limit, f"a body of {route.method} {route.path}")
    try:
        return load(str(route.body)).model_validate_json(data or b"{}")
    except ValidationError as error:
        raise errors.RejectedRequest(readable(error)) from error


def received(request: Request, limit: int, what: str) -> bytes:
    """A request's body, of which no more than ``limit`` bytes are ever held; ``what`` it is, is for the message.

    Raises:
        RejectedTooLarge: it is larger.
    """
    data: bytes = b""
    if (request.content_length or 0) <= limit:
        data = request.stream.read(limit + 1)  # a body sent in chunks says no length
    if max(request.content_length or 0, len(data)) > limit:
        raise errors.RejectedTooLarge(f"{what} has at most {limit} bytes, and this one is larger: send less at once")
    return data


def _encoded(route: Route, result: Any) -> Response:
    if isinstance(result, Redirect):
        return Response("", route.status, {"Location": result.location})
    headers = {"Content-Type": "application/json"}
    if route.status == 202:
        headers["Location"] = f"/v1/requests/{result.id}"
    if route.status == 201:  # RFC 6749, section 5.1, of answers with tokens
        headers["Cache-Control"] = "no-store"
    return Response(result.model_dump_json(), route.status, headers)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template).replace(r"/\{path\}", r"/(?P<path>.*)").replace(r"\{id\}", r"(?P<id>[^/]+)")
    return re.compile(escaped, re.DOTALL)
