"""One attempt to deliver an event, and what Knative makes of the answer.

The rules are those of https://github.com/knative/specs/blob/main/specs/eventing/data-plane.md and of Knative's
multi-tenant Broker: a 2xx answer with a body that is no CloudEvent is a failure, answered for with 502.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import urllib3
from urllib3.exceptions import HTTPError

from functions._backends.cloudevents import CloudEvent, is_event, read, write
from functions._domain.errors import RejectedRequest

Outcome = Literal["acknowledged", "replied", "failed", "refused"]
_PASSING = frozenset({404, 408, 409, 429})


@dataclass(frozen=True)
class Answer:
    """What came of an attempt.

    Attributes:
        outcome: ``failed`` may be tried again, ``refused`` not.
        status: the HTTP status; 500 where nobody answered and 502 for a body that is no event, as Knative has them.
        body: the beginning of what was answered, or what went wrong.
    """

    outcome: Outcome
    status: int
    body: bytes = b""
    reply: CloudEvent | None = None


def deliver(pool: urllib3.PoolManager, url: str, event: CloudEvent, timeout: float) -> Answer:
    """POST an event in binary mode and judge the answer; ``timeout`` in seconds."""
    headers, body = write(event)
    try:
        response = pool.request(
            "POST",
            url,
            body=body,
            headers={**headers, "Prefer": "reply"},
            timeout=urllib3.Timeout(connect=5, read=timeout),
            retries=False,
            redirect=False,
        )
    except (HTTPError, OSError) as error:
        return Answer("failed", 500, f"dispatch error: {error}".encode())
    return judge(response.status, response.headers, response.data)


def judge(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """What an HTTP answer to an event means.

    >>> judge(204, {}, b"").outcome, judge(503, {}, b"").outcome, judge(422, {}, b"").outcome
    ('acknowledged', 'failed', 'refused')
    """
    if status in _PASSING or status >= 500:
        return Answer("failed", status, body)
    if not 200 <= status < 300:
        return Answer("refused", status, body)
    if not is_event(headers):
        if body:
            return Answer("failed", 502, b"received a non-empty response not recognized as CloudEvent: " + body)
        return Answer("acknowledged", status)
    if status != 200:  # The specification routes no reply that came with 202.
        return Answer("acknowledged", status)
    try:
        return Answer("replied", status, reply=read(headers, body))
    except RejectedRequest as error:
        return Answer("failed", 502, str(error).encode())
