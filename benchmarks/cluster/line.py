"""A connection to an ingress, as a client or a Broker has one: which Service is meant, the ``Host`` says.

>>> Line("http://192.0.2.1", "register.acme.example.org").ask("GET", "/v1/openapi.json").status  # doctest: +SKIP
200
"""

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 600.0


@dataclass(frozen=True)
class Answer:
    """What was answered, and the seconds until all of it was there, from before a connection was made."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class Line:
    """One connection, kept from request to request until it is closed; then the next request makes a new one."""

    def __init__(self, ingress: str, host: str) -> None:
        """``ingress`` is its URL, ``host`` the name of a Service there."""
        self.host = host
        self._connection = http.client.HTTPConnection(urlsplit(ingress).netloc, timeout=PATIENCE)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request. Raises RuntimeError where it is not answered well."""
        started = time.perf_counter()
        self._connection.request(method, path, body, {"Host": self.host, **(headers or {})})
        got = self._connection.getresponse()
        said = got.read()
        seconds = time.perf_counter() - started
        if not 200 <= got.status < 400:
            raise RuntimeError(f"{self.host} answered {got.status} to {method} {path}: {said[:500]!r}")
        return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, said, seconds)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()
