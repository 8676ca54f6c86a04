"""One WSGI application made of all functions: which of them answers a path, from the declaration.

>>> Owners(FUNCTIONS).find("GET", "/v1/assets/7/files/a/b.bin")
'retrieve'
"""

import re
from collections.abc import Iterable, Mapping
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from functions._runtime import problems
from functions.declaration import FUNCTIONS, Function

_OPENAPI = "/v1/openapi.json"


class Owners:
    """The services that own paths, by template: ``{id}`` is one segment, ``{path}`` the rest, slashes and all."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self._routes = [
            (route.method, _pattern(route.path), function.services[0])
            for function in functions
            for route in function.routes
        ]

    def find(self, method: str, path: str) -> str | None:
        """The service that owns a path; one with a route for the method goes before one without (it says 405)."""
        matching = [(asked, service) for asked, pattern, service in self._routes if pattern.fullmatch(path)]
        exact = [service for asked, service in matching if asked == method]
        return next(iter(exact or [service for _, service in matching]), None)


def compose(
    apps: Mapping[str, WSGIApplication],
    ingress: WSGIApplication,
    functions: Iterable[Function] = FUNCTIONS,
) -> WSGIApplication:
    """The platform as one application.

    ``/v1/…`` goes to the service that owns it, ``/functions/<service>`` to that service, ``/broker`` to ``ingress``.
    """
    owners = Owners(functions)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/broker":
            return ingress(environ, start_response)
        service = _service(environ, path, owners)
        if service is None:
            return problems.answer(start_response, 404, f"there is nothing at {path}")
        if service not in apps:
            return problems.answer(start_response, 404, f"there is no function {service} here")
        return apps[service](environ, start_response)

    return application


def _service(environ: WSGIEnvironment, path: str, owners: Owners) -> str | None:
    """Which service a request is for; ``environ`` is shifted where its path names the service."""
    if path == _OPENAPI:
        return "retrieve"
    if not path.startswith("/functions/"):
        return owners.find(environ["REQUEST_METHOD"], path)
    name, _, rest = path.removeprefix("/functions/").partition("/")
    environ["SCRIPT_NAME"] = f"/functions/{name}"
    environ["PATH_INFO"] = f"/{rest}"
    return name


def _pattern(template: str) -> re.Pattern[str]:
    """A route template as a pattern; without its last ``{path}`` it still matches."""
    body = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template.replace("/{path}", "\0")))
    return re.compile(body.replace(re.escape("\0"), "(?:/.*)?"), re.DOTALL)
