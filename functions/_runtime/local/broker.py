"""The embedded Broker: in memory, over real HTTP, with Knative's rules, so that code behaves here as on a cluster.

An event that is POSTed to ``ingress`` is answered 202 and delivered afterwards to every subscriber whose filter it
matches. A reply enters again with a TTL one lower. A failed attempt is repeated, 10 times, after 0.2 s, 0.4 s, 0.8 s
and so on; then, or at once where the answer was final, the event goes to the dead-letter sink, with
``knativeerrordest``, ``knativeerrorcode`` and ``knativeerrordata`` (base64 of at most 1 KiB of the answer). There is no
order, and what is queued dies with the process: events are hints, and the sweep finds what was lost.

    >>> broker = Broker(subscribers("http://127.0.0.1:8080"), dead_letter_sink("http://127.0.0.1:8080"))
    >>> broker.drain(timeout=5)
    True
"""

import base64
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from wsgiref.types import StartResponse, WSGIEnvironment

import urllib3

from functions._backends.cloudevents import CloudEvent, read
from functions._domain.errors import RejectedRequest
from functions._runtime import problems
from functions._runtime.local.delivery import Answer, deliver
from functions._runtime.local.lanes import Lane, Schedule
from functions.declaration import BACKOFF, FUNCTIONS, RETRIES, subscriptions

TTL = "knativebrokerttl"
_LONGEST = 255
_ERROR_DATA = 1024
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subscriber:
    """What a Trigger and its Service say: who gets which events, how many at once, for how long (in seconds)."""

    service: str
    url: str
    filter: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = 1
    timeout: float = 300


@dataclass(frozen=True)
class Delivery:
    """One attempt, as ``tap`` sees it. ``next`` is what becomes of the event."""

    subscriber: Subscriber
    event: CloudEvent
    attempt: int
    answer: Answer
    next: Literal["done", "again", "dead letter", "dropped"]


@dataclass(frozen=True)
class _Parcel:
    event: CloudEvent
    subscriber: Subscriber
    ttl: int
    attempt: int = 1
    dead: bool = False


class Broker:
    """Takes events and delivers them until closed."""

    def __init__(
        self,
        subscribers: Iterable[Subscriber],
        sink: Subscriber | None = None,
        retry: int = RETRIES,
        backoff: float = BACKOFF,
        tap: Callable[[Delivery], None] | None = None,
    ) -> None:
        """``retry`` more attempts after the first, the n-th after ``backoff`` * 2^(n-1) seconds."""
        self._subscribers, self._sink = tuple(subscribers), sink
        self._retry, self._backoff, self._tap = retry, backoff, tap
        everyone = [*self._subscribers, *([sink] if sink else [])]
        # Triggers of one Service share its concurrency.
        self._lanes = {each.service: Lane(each.service, each.concurrency, self._attempt) for each in everyone}
        self._pool = urllib3.PoolManager(maxsize=sum(each.concurrency for each in everyone) or 1)
        self._schedule = Schedule()
        self._idle = threading.Condition()
        self._open = 0
        self._closed = False

    def ingress(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application to POST events to: 202, 400 on what is no CloudEvent 1.0, 405 on other methods."""
        if environ["REQUEST_METHOD"] != "POST":
            return problems.answer(start_response, 405, "a Broker takes POST only", Allow="POST")
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        }
        try:
            event = read(headers, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            if not self.accept(event):
                return problems.answer(start_response, 400, f"the event's {TTL} is used up: it ran in a circle")
        except RejectedRequest as error:
            return problems.answer(start_response, 400, str(error))
        start_response("202 Accepted", [("Content-Length", "0")])
        return []

    def accept(self, event: CloudEvent) -> bool:
        """Queue an event for whom it concerns; False where its TTL is used up. Raises RejectedRequest on a bad one."""
        attributes, ttl = _without_ttl(event)
        if ttl <= 0:
            logger.warning("dropped %s %s: its TTL is used up", attributes["type"], attributes["id"])
            return False
        bare = CloudEvent(attributes, event.get_data())
        parcels = [_Parcel(bare, each, ttl) for each in self._subscribers if matches(each.filter, attributes)]
        with self._idle:
            self._open += len(parcels)
        for parcel in parcels:
            self._lanes[parcel.subscriber.service].put(parcel)
        return True

    def drain(self, timeout: float) -> bool:
        """Wait until nothing is queued, in flight or waiting to be repeated; False after ``timeout`` seconds."""
        with self._idle:
            return self._idle.wait_for(lambda: self._open == 0 or self._closed, timeout)

    def close(self) -> None:
        """Stop at once; what is queued is dropped, what is in flight is not waited for."""
        with self._idle:
            self._closed = True
            self._idle.notify_all()
        self._schedule.close()
        for lane in self._lanes.values():
            lane.close()
        self._pool.clear()

    def _attempt(self, parcel: _Parcel) -> None:
        subscriber = parcel.subscriber
        answer = deliver(self._pool, subscriber.url, parcel.event, subscriber.timeout)
        if self._closed:
            return
        if answer.reply is not None and not parcel.dead:
            # What this event becomes is counted before it is itself counted off, so `drain` sees no gap.
            self._reply(parcel, answer.reply)
        step: Literal["done", "again", "dead letter", "dropped"] = "done"
        if answer.outcome == "failed" and parcel.attempt <= self._retry:
            step = "again"
        elif answer.outcome in ("failed", "refused"):
            step = "dropped" if parcel.dead or self._sink is None else "dead letter"
        if self._tap:
            self._tap(Delivery(subscriber, parcel.event, parcel.attempt, answer, step))
        self._follow(parcel, answer, step)

    def _follow(self, parcel: _Parcel, answer: Answer, step: str) -> None:
        if step == "again":
            again = replace(parcel, attempt=parcel.attempt + 1)
            delay = self._backoff * 2 ** (parcel.attempt - 1)
            self._schedule.after(delay, lambda: self._lanes[parcel.subscriber.service].put(again))
            return
        if step == "dead letter" and self._sink:
            logger.warning("dead letter: %s", _described(parcel, answer))
            dead = _dead_letter(parcel, answer)
            self._lanes[self._sink.service].put(_Parcel(dead, self._sink, parcel.ttl, dead=True))
            return
        if step == "dropped":
            logger.error("dropped: %s", _described(parcel, answer))
        with self._idle:
            self._open -= 1
            self._idle.notify_all()

    def _reply(self, parcel: _Parcel, reply: CloudEvent) -> None:
        attributes = {**reply.get_attributes(), TTL: str(parcel.ttl)}
        self.accept(CloudEvent(attributes, reply.get_data()))


def matches(filters: Mapping[str, str], attributes: Mapping[str, str]) -> bool:
    """Whether an event has every attribute of a filter, exactly; an empty value asks for any value.

    >>> matches({"type": "a", "assetkind": "model"}, {"type": "a", "assetkind": "model", "framework": "torch"})
    True
    """
    return all(name in attributes and value in ("", attributes[name]) for name, value in filters.items())


def subscribers(base: str) -> tuple[Subscriber, ...]:
    """The declaration's Triggers, delivered to ``<base>/functions/<service>``."""
    return tuple(
        Subscriber(
            each.service, _url(base, each.service), each.filter, each.function.concurrency, each.function.timeout
        )
        for each in subscriptions()
    )


def dead_letter_sink(base: str) -> Subscriber | None:
    """The declaration's dead-letter sink."""
    for function in FUNCTIONS:
        if function.sink == "dead-letter":
            service = function.services[0]
            return Subscriber(service, _url(base, service), {}, function.concurrency, function.timeout)
    return None


def _url(base: str, service: str) -> str:
    return f"{base}/functions/{service}"


def _without_ttl(event: CloudEvent) -> tuple[dict[str, str], int]:
    """Subscribers do not see the TTL; the Broker keeps it beside the event and gives it to the reply."""
    attributes = dict(event.get_attributes())
    found = attributes.pop(TTL, None)
    try:
        return attributes, _LONGEST if found is None else int(found) - 1
    except ValueError as error:
        raise RejectedRequest(f"expected a number as {TTL}, found {found!r}") from error


def _dead_letter(parcel: _Parcel, answer: Answer) -> CloudEvent:
    attributes = {
        **parcel.event.get_attributes(),
        "knativeerrordest": parcel.subscriber.url,
        "knativeerrorcode": str(answer.status),
        "knativeerrordata": base64.b64encode(answer.body[:_ERROR_DATA]).decode(),
    }
    return CloudEvent(attributes, parcel.event.get_data())


def _described(parcel: _Parcel, answer: Answer) -> str:
    attributes = parcel.event.get_attributes()
    what = f"{attributes['type']} about {attributes.get('subject', 'nothing')}"
    said = answer.body[:200].decode(errors="replace")
    return f"{what}, to {parcel.subscriber.service}: {answer.status} after {parcel.attempt} attempts: {said}"
