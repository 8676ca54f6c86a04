"""The event side of a function: a CloudEvent in, a reply or nothing out, and the answers that a Broker understands.

``204`` empty: done. ``200`` with a CloudEvent: a reply. 4xx: never again (a ``rejected`` mark was left first).
503 and 500: again, later. Never 404, 408, 409 or 429, which a Broker would retry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Response

from functions._backends import tracecontext
from functions._backends.cloudevents import Incoming, from_http, is_event, to_http
from functions._domain import burial, errors
from functions._domain.digests import digest_of
from functions._domain.events import Event
from functions._domain.notices import Written, written
from functions._domain.ports import Ports
from functions._runtime import problems
from functions._runtime.dotted import load
from functions._runtime.http import BROKEN, problem, received
from functions._runtime.telemetry.steps import NOTICE, OTHER, TIMER
from functions.declaration import EVENT_LIMIT

if TYPE_CHECKING:
    from flask import Request

    from functions._runtime.telemetry.steps import Step
    from functions.declaration import Function

RETRIED = (404, 408, 409, 429)


Filters = Sequence[Mapping[str, str]]


def answer(function: Function, taken: Filters, request: Request, ports: Ports, step: Step) -> Response:
    """Answer one delivery. ``taken`` are the filters of the Service's Triggers, since not only a Broker can call it."""
    step.event = OTHER
    if request.method != "POST" or not (function.handler or function.notices):
        return problem(405, f"{function.name} takes events by POST", Allow="POST")
    try:
        return _delivered(function, taken, request, ports, step)
    except Exception as error:  # noqa: BLE001 - the step tells all of them
        step.fails(error)
        return _refusal(error)


def _refusal(error: Exception) -> Response:
    match error:
        case errors.Rejected():
            status = problems.status_of(error)
            return problem(400 if status in RETRIED else status, str(error))
        case errors.Unavailable():
            return problem(503, str(error))
        case _:
            return problem(500, BROKEN)


def _delivered(function: Function, taken: Filters, request: Request, ports: Ports, step: Step) -> Response:
    headers, body = dict(request.headers), received(request, EVENT_LIMIT, "an event")
    if function.notices and (function.handler is None or not is_event(headers)):
        step.event = NOTICE
        load(function.notices)(list(written(_notification(function, body))), digest_of(body), ports)
        return Response(status=204)
    incoming = from_http(headers, body)
    step.carries(incoming)
    if function.sink == "timer":
        step.event = TIMER
    elif function.sink == "dead-letter":
        step.dead_letter = incoming.attributes.get("knativeerrorcode", OTHER)
    with tracecontext.use(step.context):  # what a structured event says of its trace is known only now
        return _handled(function, taken, incoming, ports)


def _handled(function: Function, taken: Filters, incoming: Incoming, ports: Ports) -> Response:
    if function.notices and incoming.name is None:
        load(function.notices)([Written("", incoming.subject)], incoming.id, ports)
        return Response(status=204)
    event = _event(function, taken, incoming)
    try:
        reply = load(str(function.handler))(event, ports)
    except errors.Rejected as error:
        if function.sink != "dead-letter":
            burial.reject(ports, event, error)
        raise
    if reply is None:
        return Response(status=204)
    out, data = to_http(reply, f"/tenants/{ports.tenant}/functions/{function.name}")
    return Response(data, 200, out)


def _event(function: Function, taken: Filters, incoming: Incoming) -> Event:
    if function.sink == "timer":
        return Event("timer", UUID(int=0), incoming.id)
    event = incoming.event
    if function.sink != "dead-letter":  # whoever buries need not understand
        event.require_known()
    said = {**event.attributes, "type": event.type}
    if taken and not any(wanted.items() <= said.items() for wanted in taken):
        wanted = "; ".join(", ".join(f"{name} {value}" for name, value in one.items()) for one in taken)
        raise errors.RejectedRequest(f"this Service takes events with {wanted}: this one is not for it")
    return event


def _notification(function: Function, body: bytes) -> object:
    """What a store posted; a function that takes nothing else refuses what is not JSON."""
    try:
        return json.loads(body)
    except ValueError as error:
        if function.handler is None:
            raise errors.RejectedRequest(f"{function.name} takes an S3 notification as JSON: {error}") from error
        return None
