"""The port ``Broker`` over HTTP: announces events to a Knative Broker's ingress, or the embedded one's.

>>> HttpBroker("http://127.0.0.1:8080/broker", "acme", "register").source
'/tenants/acme/functions/register'
"""

import urllib3
from urllib3.exceptions import HTTPError

from functions._backends.cloudevents import to_http
from functions._domain.errors import Unavailable
from functions._domain.events import Event

_PASSING = frozenset({404, 408, 409, 429, 500, 502, 503, 504})


class HttpBroker:
    """Posts each event as a binary CloudEvent; the Broker answers 202 once it has it."""

    def __init__(self, url: str, tenant: str, function: str, timeout: float = 10.0, retries: int = 3) -> None:
        """``url`` is ``POLYGLOT_BROKER_URL``; ``timeout`` in seconds, for each of 1 + ``retries`` attempts."""
        self.source = f"/tenants/{tenant}/functions/{function}"
        self._url = url
        self._retries = urllib3.Retry(
            total=retries,
            redirect=0,
            backoff_factor=0.1,
            status_forcelist=_PASSING,
            allowed_methods=None,  # An event may arrive twice, so POST may be repeated.
            raise_on_status=False,
            raise_on_redirect=False,
        )
        self._pool = urllib3.PoolManager(maxsize=8, timeout=urllib3.Timeout(timeout), retries=self._retries)

    def announce(self, event: Event) -> None:
        """Hand an event to the broker. Raises Unavailable where it does not take it."""
        headers, body = to_http(event, self.source)
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers)
        except HTTPError as error:
            raise Unavailable(f"the broker at {self._url} did not answer; {event.type} was not announced") from error
        if not 200 <= answer.status < 300:
            said = answer.data[:200].decode(errors="replace")
            raise Unavailable(f"the broker at {self._url} answered {answer.status} to {event.type}: {said}")

    def close(self) -> None:
        """Give connections back."""
        self._pool.clear()
