"""The HTTP interface as a client sees it: JSON in and out, problem documents as errors, patience where it is busy.

``POLYGLOT_URL`` may hold ``{function}``: on Knative every Service has its own host. Which function owns a route is read
from the declaration. With ``POLYGLOT_INGRESS_URL`` the client connects there and names the Service in ``Host``.

    >>> Place("http://{function}.tenant-a.example", "http://127.0.0.1:8081").request("GET", "/v1/assets")
    ('http://127.0.0.1:8081/v1/assets', 'retrieve.tenant-a.example')
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from functions._cli.failures import refusal
from functions._domain.errors import RejectedUnknown, Unavailable

if TYPE_CHECKING:
    import urllib3

BUSY = frozenset({429, 502, 503, 504})
"""Answers that mean "ask again"."""


@dataclass(frozen=True)
class Place:
    """Where the platform is: its URL, perhaps with ``{function}``, and the ingress to connect to, if another."""

    url: str
    ingress: str = ""

    def request(self, method: str, path: str) -> tuple[str, str]:
        """The URL to connect to, and the ``Host`` to send where that is another one (else an empty string)."""
        url = self.url.replace("{function}", owner(method, path)) if "{function}" in self.url else self.url
        if not self.ingress:
            return url + path, ""
        parts = urlsplit(url)
        return self.ingress + parts.path + path, parts.netloc


def owner(method: str, path: str) -> str:
    """The function whose route this is. Raises RejectedUnknown."""
    from functions.declaration import FUNCTIONS

    for function in FUNCTIONS:
        for route in function.routes:
            if route.method == method and _pattern(route.path).fullmatch(path):
                return function.name
    raise RejectedUnknown(f"no function of this version has the route {method} {path}")


def _pattern(template: str) -> re.Pattern[str]:
    # A path below an asset has slashes of its own, and may be empty: that is the inventory.
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template).replace(r"\{path\}", ".*")))


class Client:
    """One platform and one token. Safe to use from several threads.

    Args:
        place: where the platform is.
        token: the bearer token; empty where none is known.
        patience: seconds to go on asking where nobody answers, or the answer is that the platform is busy.
    """

    def __init__(self, place: Place, token: str, patience: float = 4.0) -> None:
        self.place = place
        self.patience = patience
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._pools: urllib3.PoolManager | None = None

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The answer to a GET."""
        return self._decoded(self._send("GET", path + _query(query)))

    def post(
        self, path: str, body: object = None, key: str | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        """The answer to a POST; ``key`` makes sending it again the same request (random where None)."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key or str(uuid4())}
        data = json.dumps({} if body is None else body, separators=(",", ":")).encode()
        return self._decoded(self._send("POST", path + _query(query), data, headers))

    def location(self, path: str) -> str:
        """Where a GET is redirected to; the token is not for there."""
        response = self._send("GET", path)
        target = response.headers.get("Location")
        if response.status not in (302, 303, 307) or not target:
            self._decoded(response)
            raise Unavailable(f"expected a redirect from {path}, the platform answered {response.status}")
        return target

    def _send(
        self, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> "urllib3.BaseHTTPResponse":
        deadline, pause = time.monotonic() + self.patience, 0.1
        while True:
            try:
                return self._once(method, path, data, headers or {})
            except Unavailable:
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _once(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> "urllib3.BaseHTTPResponse":
        import urllib3

        url, host = self.place.request(method, path.partition("?")[0])
        url += path[len(path.partition("?")[0]) :]
        sent = {**self._headers, **headers} | ({"Host": host} if host else {})
        try:
            target = urllib3.util.parse_url(url).request_uri
            response = self._pool(url, host).urlopen(
                method, target, body=data, headers=sent, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(
                f"{self.place.ingress or self.place.url} does not answer ({_reason(error)}); "
                "is the platform running? `polyglot up` starts one"
            ) from error
        if response.status in BUSY:
            raise Unavailable(str(refusal(response.status, _problem(response))))
        return response

    def _pool(self, url: str, host: str) -> "urllib3.HTTPConnectionPool":
        import urllib3

        if self._pools is None:
            timeout = urllib3.Timeout(connect=5, read=300)
            self._pools = urllib3.PoolManager(num_pools=16, maxsize=16, timeout=timeout)
        # Behind an ingress the certificate is the Service's, not that of the address connected to.
        named = host.partition(":")[0]
        kwargs = {"server_hostname": named, "assert_hostname": named} if host and url.startswith("https:") else None
        return self._pools.connection_from_url(url, pool_kwargs=kwargs)

    def _decoded(self, response: "urllib3.BaseHTTPResponse") -> Any:
        if response.status >= 400:
            raise refusal(response.status, _problem(response))
        try:
            return json.loads(response.data)
        except ValueError as error:
            raise Unavailable(
                f"{self.place.url} answered {response.status} without JSON: is it a platform's address?"
            ) from error


def _query(query: Mapping[str, str] | None) -> str:
    return "?" + urlencode(query) if query else ""


def _problem(response: "urllib3.BaseHTTPResponse") -> Mapping[str, object]:
    try:
        document = json.loads(response.data)
    except ValueError:
        return {"detail": response.data[:300].decode(errors="replace").strip()}
    return document if isinstance(document, dict) else {}


def _reason(error: Exception) -> str:
    text = str(error)
    return "connection refused" if "refused" in text else text.rpartition(": ")[2] or type(error).__name__
