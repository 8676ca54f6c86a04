"""``polyglot up --processes``: every Service as a process of its own, started on demand and stopped when idle.

    >>> apps = Processes(Path("functions/_runtime/main.py"), environment, Path("data/logs"))  # doctest: +SKIP
    >>> apps["retrieve"]  # a WSGI application that passes requests on                          # doctest: +SKIP
    >>> apps.close()                                                                            # doctest: +SKIP

As on a cluster, each process has its own environment, so a key is only where it belongs, and a first request pays for
the start. A request whose process dies under it is answered 503, which a Broker repeats.
"""

import http.client
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from functions._runtime import problems
from functions._runtime.local import child, loopback
from functions.declaration import FUNCTIONS, by_name

_CHUNK = 64 * 1024
_HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization"}
    | {"te", "trailer", "transfer-encoding", "upgrade"}
)


class Processes(Mapping[str, WSGIApplication]):
    """The Services of the declaration as WSGI applications, each of which starts its process when it is called."""

    def __init__(
        self,
        source: Path,
        environment: Callable[[str], Mapping[str, str]],
        logs: Path,
        idle: float = 30.0,
        services: Iterable[str] | None = None,
    ) -> None:
        """``source`` is the file functions-framework loads; ``environment`` gives what each Service may see.

        A process ends when it had no request for ``idle`` seconds. ``services`` are all of the declaration's unless
        given.
        """
        # A child dies with the thread that started it; those of the HTTP server come and go.
        self._nursery = ThreadPoolExecutor(1, "nursery")
        names = services or [service for function in FUNCTIONS for service in function.services]
        self._services = {name: Service(name, source, environment, logs, self._start) for name in names}
        self._idle = idle
        self._closing = threading.Event()
        self._janitor = threading.Thread(target=self._tidy, name="idle processes", daemon=True)
        self._janitor.start()

    def __getitem__(self, service: str) -> "Service":
        return self._services[service]

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)

    def close(self) -> None:
        """Stop every process; requests from now on are answered 503."""
        self._closing.set()
        self._janitor.join()
        stopping = [threading.Thread(target=each.stop, args=(True,)) for each in self._services.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        self._nursery.shutdown()

    def _start(self, begin: Callable[[], "_Running"]) -> "_Running":
        return self._nursery.submit(begin).result()

    def _tidy(self) -> None:
        while not self._closing.wait(min(1.0, self._idle / 4)):
            for service in self._services.values():
                service.stop_if_idle(self._idle)


@dataclass(frozen=True)
class _Running:
    child: child.Child
    url: str


class Service:
    """A WSGI application that passes a request on to its process, started where none runs."""

    def __init__(
        self,
        name: str,
        source: Path,
        environment: Callable[[str], Mapping[str, str]],
        logs: Path,
        start: Callable[[Callable[[], _Running]], _Running],
    ) -> None:
        self.name = name
        self._source, self._environment, self._logs, self._start = source, environment, logs, start
        self._function = by_name(name)
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._requests = 0
        self._used = 0.0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process's id, where one runs."""
        running = self._running
        return running.child.pid if running and running.child.alive else None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        running, connection = self._connect()
        if running is None:
            return problems.answer(start_response, 503, f"{self.name} is stopping")
        done = ExitStack()
        done.callback(self._leave)
        done.callback(connection.close)
        try:
            response = _pass_on(connection, environ)
            first = response.read(_CHUNK)
            if response.length and len(first) < _CHUNK:
                raise http.client.IncompleteRead(first, response.length)
        except (OSError, http.client.HTTPException) as error:
            done.close()
            detail = f"the process of {self.name} ended or did not answer ({error!r}); its log is {running.child.log}"
            return problems.answer(start_response, 503, detail)
        start_response(
            f"{response.status} {response.reason}",
            [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP],
        )
        return _Body(first, response, done)

    def stop_if_idle(self, idle: float) -> None:
        """Stop the process where its last request ended more than ``idle`` seconds ago."""
        if self._running and not self._requests and time.monotonic() - self._used > idle:
            self.stop()

    def stop(self, for_good: bool = False) -> None:
        """Stop the process, unless it has a request; ``for_good`` even then, and start none any more."""
        with self._lock:
            self._closed = self._closed or for_good
            if self._running is None or (self._requests and not for_good):
                return
            running, self._running = self._running, None
        running.child.stop()

    def _connect(self) -> tuple[_Running | None, http.client.HTTPConnection]:
        """A process that takes the request; a process just dying refuses it, and the next one is asked."""
        while True:
            running = self._enter()
            address = urlsplit(running.url).netloc if running else ""
            connection = http.client.HTTPConnection(address, timeout=self._function.timeout)
            if running is None:
                return None, connection
            try:
                connection.connect()
                return running, connection
            except OSError:
                self._leave()
                running.child.stop()

    def _enter(self) -> _Running | None:
        with self._lock:
            if self._closed:
                return None
            if self._running is None or not self._running.child.alive:
                self._running = self._start(self._begin)
            self._requests += 1
            return self._running

    def _leave(self) -> None:
        with self._lock:
            self._requests -= 1
            self._used = time.monotonic()

    def _begin(self) -> _Running:
        """Start the process on a socket that listens already: the first request waits in it, nobody polls."""
        with loopback.listen() as listening:
            program = [sys.executable, "-I", "-m", "functions._runtime.local.service_process", self.name]
            started = child.start(
                self.name,
                [*program, str(self._source), str(listening.fileno()), str(self._function.concurrency)],
                self._logs / f"{self.name}.log",
                {**child.plain_environment(), **self._environment(self.name)},
                [listening.fileno()],
            )
            return _Running(started, loopback.address(listening))


class _Body:
    """The rest of an answer, piece by piece. An end too early raises, so the client sees that it was cut."""

    def __init__(self, first: bytes, response: http.client.HTTPResponse, done: ExitStack) -> None:
        self._next, self._response, self._done = first, response, done
        if response.isclosed():
            done.close()

    def __iter__(self) -> Iterator[bytes]:
        while self._next:
            yield self._next
            self._next = b"" if self._response.isclosed() else self._response.read(_CHUNK)
        if self._response.length:
            raise http.client.IncompleteRead(b"", self._response.length)

    def close(self) -> None:
        """Called by the server when it is done, whatever happened."""
        self._done.close()


def _pass_on(connection: http.client.HTTPConnection, environ: WSGIEnvironment) -> http.client.HTTPResponse:
    """Send a request as it came, apart from what concerns one connection only."""
    query = environ.get("QUERY_STRING")
    path = quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/:@!$&'()*+,;=~")
    connection.putrequest(
        environ["REQUEST_METHOD"], f"{path}?{query}" if query else path, skip_host=True, skip_accept_encoding=True
    )
    for name, value in environ.items():
        field = name.removeprefix("HTTP_").replace("_", "-").title()
        passed_on = name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
        if passed_on and field.lower() not in _HOP_BY_HOP:
            connection.putheader(field, value)
    connection.endheaders(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    return connection.getresponse()
