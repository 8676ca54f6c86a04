"""A small pool of threads that ends at once: after the first failure, or Ctrl-C, nothing that waits is begun.

``concurrent.futures`` joins its threads when the interpreter ends, so Ctrl-C would wait for every body on its way.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

from functions._cli.failures import Failed

T = TypeVar("T")

GRACE = 1.0
"""Seconds that calls have to tidy up after a failure."""


class Workers:
    """Runs calls on ``count`` daemon threads, with at most ``room`` of them begun or waiting.

    >>> with Workers(2, room=4) as workers:
    ...     workers.settle([workers.submit(print, "hello")])
    hello
    """

    def __init__(self, count: int, room: int) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = (
            queue.SimpleQueue()
        )
        self._room = threading.Semaphore(room)
        self._failure: BaseException | None = None
        self._stopped = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[..., T], *args: Any) -> "Future[T]":
        """Begin a call when there is room for it. Raises what an earlier call raised."""
        self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise self._failure
        future: Future[T] = Future()
        self._calls.put((future, call, args))
        return future

    def settle(self, futures: "Iterable[Future[Any]]") -> None:
        """Wait for calls. Raises what failed first, not what was given up because of it."""
        for future in futures:
            if (error := future.exception()) is not None:
                raise self._failure or error

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = error is not None
        for _ in self._threads:
            self._calls.put(None)
        deadline = time.monotonic() + GRACE
        for thread in self._threads:
            thread.join(None if error is None else max(0.0, deadline - time.monotonic()))

    @property
    def stopping(self) -> bool:
        """Whether what is being done is of no use any more; a long call looks now and then."""
        return self._stopped or self._failure is not None

    def _work(self) -> None:
        while (job := self._calls.get()) is not None:
            future, call, args = job
            try:
                if self.stopping:
                    future.set_exception(self._failure or Failed("stopped"))
                else:
                    future.set_result(call(*args))
            except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
                self._failure = self._failure or error
                future.set_exception(error)
            finally:
                del job, future, call, args  # a body must not live until the next call comes
                self._room.release()
