"""A small pool of threads that ends at once: after the first failure, or Ctrl-C, nothing that waits is begun.

``concurrent.futures`` joins its threads when the interpreter ends, so Ctrl-C would wait for every body on its way.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """Runs calls on ``count`` daemon threads, with at most ``room`` of them begun or waiting.

    >>> with Workers(2, room=4) as workers:
    ...     workers.submit(pow, 2, 5).result()
    32
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

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = error is not None
        for _ in self._threads:
            self._calls.put(None)
        if error is None:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (job := self._calls.get()) is not None:
            future, call, args = job
            try:
                if self._stopped or self._failure is not None:
                    future.cancel()
                else:
                    future.set_result(call(*args))
            except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
                self._failure = self._failure or error
                future.set_exception(error)
            finally:
                del job, future, call, args  # a body must not live until the next call comes
                self._room.release()
