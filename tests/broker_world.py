"""A broker behind a real server, with subscribers that answer as a test says and remember what they got."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4
from wsgiref.types import StartResponse, WSGIEnvironment

import urllib3

from functions._backends.cloudevents import CloudEvent, read, write
from functions._runtime.local import loopback
from functions._runtime.local.broker import Broker, Delivery, Subscriber
from functions._runtime.local.server import Server

Answer = tuple[int, Mapping[str, str], bytes]
ACKNOWLEDGED: Answer = (204, {}, b"")
PATIENCE = 5.0


@dataclass(frozen=True)
class Received:
    """What a subscriber got."""

    event: CloudEvent
    headers: Mapping[str, str]
    at: float


class World:
    """A broker behind a server, with subscribers that answer as they are told and remember what they got."""

    def __init__(self, answers: Mapping[str, Callable[[Received], Answer]]) -> None:
        self.answers = answers
        self.received: dict[str, list[Received]] = {name: [] for name in answers}
        self.deliveries: list[Delivery] = []
        listening = loopback.listen()
        self.url = loopback.address(listening)
        self.broker: Broker
        self.server = Server(listening, self.application, threads=8)

    def application(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        name = environ["PATH_INFO"].removeprefix("/")
        if name == "broker":
            return self.broker.ingress(environ, start_response)
        headers = {
            key[5:].replace("_", "-").lower(): str(value) for key, value in environ.items() if key[:5] == "HTTP_"
        }
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        got = Received(read(headers, body), headers, time.monotonic())
        self.received[name].append(got)
        status, fields, answer = self.answers[name](got)
        start_response(f"{status} Whatever", [*fields.items(), ("Content-Length", str(len(answer)))])
        return [answer]

    def post(self, headers: Mapping[str, str], body: bytes, method: str = "POST") -> urllib3.BaseHTTPResponse:
        with urllib3.PoolManager() as pool:
            return pool.request(method, f"{self.url}/broker", headers=dict(headers), body=body, retries=False)

    def send(self, event: CloudEvent) -> None:
        assert self.post(*write(event)).status == 202

    def types(self, name: str) -> list[str]:
        return [got.event["type"] for got in self.received[name]]

    def settle(self) -> None:
        assert self.broker.drain(PATIENCE)


Triggers = Mapping[str, Mapping[str, str]]


@contextmanager
def world(
    triggers: Triggers,
    sink: Callable[[Received], Answer] | None = None,
    concurrency: int = 2,
    timeout: float = PATIENCE,
    retry: int = 2,
    backoff: float = 0.01,
    **answers: Callable[[Received], Answer],
) -> Iterator[World]:
    made = World({**answers, **({"sink": sink} if sink else {})})
    made.broker = Broker(
        [Subscriber(name, f"{made.url}/{name}", filters, concurrency, timeout) for name, filters in triggers.items()],
        Subscriber("sink", f"{made.url}/sink") if sink else None,
        retry=retry,
        backoff=backoff,
        tap=made.deliveries.append,
    )
    try:
        yield made
    finally:
        made.broker.close()
        made.server.stop()


def acknowledge(_got: Received) -> Answer:
    return ACKNOWLEDGED


def always(status: int, body: bytes = b"", **headers: str) -> Callable[[Received], Answer]:
    return lambda _got: (status, headers, body)


def event(type_: str = "a", data: bytes | None = b'{"n": 1}', **attributes: str) -> CloudEvent:
    given = {"type": type_, "source": "/tests", "id": str(uuid4()), "datacontenttype": "application/json"}
    return CloudEvent({**given, **attributes}, data)


def failing_first(times: int, status: int) -> Callable[[Received], Answer]:
    answers = iter([status] * times)
    return lambda _got: (next(answers, 204), {}, b"")


def replying(status: int) -> Callable[[Received], Answer]:
    def reply(_got: Received) -> Answer:
        headers, body = write(event("b"))
        return status, headers, body

    return reply
