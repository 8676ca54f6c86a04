"""The one HTTP server of the embedded platform: waitress, threaded, on loopback.

    >>> server = Server(loopback.listen(), application, threads=8)  # doctest: +SKIP
    >>> server.url                                                  # doctest: +SKIP
    'http://127.0.0.1:8080'

waitress reads a request whole before a thread sees it; an answer of up to 18 kB leaves in one packet.
"""

import logging
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from functions._runtime import problems
from functions._runtime.local import loopback
from functions.declaration import FUNCTIONS, Function

_SPARE_THREADS = 32
_PACKET = 18_000  # bytes gathered before they are sent; two packets cost a client 40 ms of delayed acknowledgement
_BODY_LIMIT = 10 * 1024 * 1024


class _Refusal(ErrorTask):  # type: ignore[misc]
    """What waitress itself refuses (a body too large, broken HTTP), as a problem document."""

    def execute(self) -> None:
        error = self.request.error
        body = problems.document(error.code, f"{error.reason}: {error.body}")
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", problems.CONTENT_TYPE))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _Refusal


class _Waitress(TcpWSGIServer):  # type: ignore[misc]
    channel_class = _Channel


class Server:
    """Serves an application from construction until ``stop``."""

    def __init__(
        self, listening: socket.socket, application: WSGIApplication, threads: int, body_limit: int = _BODY_LIMIT
    ) -> None:
        """``listening`` becomes the server's own."""
        self.url = loopback.address(listening)
        adjustments = Adjustments(
            sockets=[listening],
            threads=threads,
            max_request_body_size=body_limit,
            connection_limit=1000,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=True,
            ident="",
        )
        # As an argument it would warn; unset, a head leaves alone as soon as it is written.
        adjustments.send_bytes = _PACKET
        # A long queue is normal while many uploads are presigned; waitress warns of one request in it.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(threads)
        self._map: dict[int, object] = {}
        self._waitress = _Waitress(
            application,
            map=self._map,
            dispatcher=self._dispatcher,
            adj=adjustments,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            _sock=listening,
            bind_socket=False,
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 1.0) -> None:
        """Accept nothing more, wait ``patience`` seconds for what is being answered, and close every connection."""
        if self._stopping.is_set():
            return
        self._waitress.accepting = False
        self._dispatcher.shutdown(timeout=patience)
        self._stopping.set()
        with suppress(OSError):  # a loop that was awake already has ended, and closed what wakes it
            self._waitress.pull_trigger()
        self._thread.join()

    def wait(self) -> None:
        """Return when stopped."""
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            wasyncore.loop(timeout=5, use_poll=True, map=self._map, count=1)
        wasyncore.close_all(self._map, ignore_all=True)


def threads_for(functions: Iterable[Function] = FUNCTIONS) -> int:
    """Enough threads that every function can be as busy with events as it may, and HTTP still has some."""
    busy = sum(one.of(name).concurrency for one in functions if one.handler for name in one.services)
    return busy + _SPARE_THREADS
