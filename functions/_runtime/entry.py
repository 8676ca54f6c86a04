"""The entry of every function: gives what functions-framework hands over to the HTTP or the event side."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from functions._runtime import settings, validation
from functions._runtime.telemetry import exports, logs
from functions._runtime.telemetry.steps import Steps
from functions._runtime.wiring import WiredPorts
from functions.declaration import FUNCTIONS, by_name, subscriptions

if TYPE_CHECKING:
    from flask import Request
    from flask.typing import ResponseReturnValue


def service(name: str) -> Callable[[Request], ResponseReturnValue]:
    """The functions-framework target of a Service, bound to the settings of this moment.

    Raises:
        AttributeError: no function of the declaration has such a Service.
        WrongSettings: it cannot work with its settings, each of which the message names.
    """
    if name not in {service for function in FUNCTIONS for service in (function.name, *function.services)}:
        raise AttributeError(name)
    # Nothing of ours is a plugin of pydantic, which would read every installed package's metadata to find one.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    function, values = by_name(name), settings.current()
    logs.configure(values, name)
    validation.validate(values, function)
    ports = WiredPorts(function, values)
    taken = tuple(one.filter for one in subscriptions([function]) if one.service == name)
    steps = Steps(name, function.name, values.get("POLYGLOT_TENANT", ""), exports.configured())

    def handle(request: Request) -> ResponseReturnValue:
        with steps.begin(request.method, request.path, dict(request.headers)) as step:
            if request.path.startswith("/v1/"):
                from functions._runtime import http

                return step.ends(http.answer(function, request, ports, step))
            from functions._runtime import events

            return step.ends(events.answer(function, taken, request, ports, step))

    return handle
