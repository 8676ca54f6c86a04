"""Work in threads: a lane does at most so many things at once, a schedule puts things off without holding a thread.

>>> lane = Lane("printer", 1, print)
>>> Schedule().after(0.01, lambda: lane.put("hello"))
"""

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


class Lane(Generic[Item]):
    """An unbounded queue and up to ``width`` threads, started when there is more to do than threads waiting."""

    def __init__(self, name: str, width: int, work: Callable[[Item], None]) -> None:
        self._name, self._width, self._work = name, width, work
        self._queue: deque[Item] = deque()
        self._changed = threading.Condition()
        self._waiting = self._threads = 0
        self._closed = False

    def put(self, item: Item) -> None:
        """Add an item; nothing happens where the lane is closed."""
        with self._changed:
            if self._closed:
                return
            self._queue.append(item)
            if self._waiting < len(self._queue) and self._threads < self._width:
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
            self._changed.notify()

    def close(self) -> None:
        """Forget what is queued; threads end after what they are doing."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._work(item)
            except Exception:
                logger.exception("%s failed on %r", self._name, item)

    def _next(self) -> Item | None:
        with self._changed:
            self._waiting += 1
            while not self._queue and not self._closed:
                self._changed.wait()
            self._waiting -= 1
            return None if self._closed else self._queue.popleft()


class Schedule:
    """Calls things later, one after another in one thread: they must be quick."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        # Two things due at the same instant are not compared, which functions cannot be.
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, name="schedule", daemon=True).start()

    def after(self, delay: float, call: Callable[[], None]) -> None:
        """Call something in ``delay`` seconds, unless closed by then."""
        with self._changed:
            heapq.heappush(self._heap, (time.monotonic() + delay, next(self._numbers), call))
            self._changed.notify()

    def close(self) -> None:
        """Forget what is due."""
        with self._changed:
            self._closed = True
            self._heap.clear()
            self._changed.notify()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:
                logger.exception("a scheduled call failed")

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(wait)
            return None
