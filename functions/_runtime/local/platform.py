"""The embedded platform: starts every part in order, watches them, stops them.

    >>> platform = Platform(Path("polyglot-data"), hooks, port=8080, say=print)   # doctest: +SKIP
    >>> status = platform.run(ready=lambda: print(platform.addresses.url))        # doctest: +SKIP

The order: lock the folder; listen; bucket; chain; ``hooks.prepare`` (ledger, keys, first token); ``hooks.make_apps``;
broker and HTTP; ``hooks.recover`` (``reconcile --all``); the sweep; ``DIR/env``. What fails on the way stops what was
started.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, Self
from wsgiref.types import WSGIApplication

from functions._runtime.local import bucket, chain, child, folder, loopback
from functions._runtime.local.broker import Broker, Delivery, dead_letter_sink, subscribers
from functions._runtime.local.routing import compose
from functions._runtime.local.server import Server, threads_for

PART_DIED = 3
"""The exit status after a part died, so that the next `up` recovers."""

_IN_ENV = ("URL", "TOKEN", "S3_URL", "BUCKET", "RPC_URL", "LEDGER")
_SWEEP = 10.0
_GLANCE = 0.25
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Addresses:
    """Where the parts are."""

    url: str
    broker_url: str
    s3_url: str
    bucket: str
    rpc_url: str

    @property
    def settings(self) -> dict[str, str]:
        """The same as settings of functions."""
        return {
            "POLYGLOT_URL": self.url,
            "POLYGLOT_BROKER_URL": self.broker_url,
            "POLYGLOT_S3_URL": self.s3_url,
            "POLYGLOT_BUCKET": self.bucket,
            "POLYGLOT_RPC_URL": self.rpc_url,
        }


class Hooks(Protocol):
    """What the platform does not know how to do."""

    def prepare(self, addresses: Addresses) -> Mapping[str, str]:
        """Deploy the ledger, make keys and the first token; the settings of functions, the addresses among them.

        ``POLYGLOT_TOKEN`` and ``POLYGLOT_LEDGER`` must be there for ``DIR/env``.
        """

    def make_apps(self, settings: Mapping[str, str]) -> Mapping[str, WSGIApplication]:
        """A WSGI application for each Service; the mapping is closed at the end where it has ``close``."""

    def recover(self) -> None:
        """Carry on with what was left undone; everything answers by now."""

    def sweep(self) -> None:
        """Called every ten seconds."""


class Platform:
    """The parts, from ``start`` to ``stop``; a context manager of both.

    Start it from the main thread: its children die with the thread that starts them.
    """

    def __init__(
        self,
        data: Path,
        hooks: Hooks,
        port: int = 8080,
        say: Callable[[str], None] = logger.info,
        environ: Mapping[str, str] = os.environ,
        block_time: float | None = None,
        tap: Callable[[Delivery], None] | None = None,
        sweep_every: float = _SWEEP,
    ) -> None:
        """``port`` is replaced by a free one where it is taken, or 0. ``tap`` sees each delivery of the broker."""
        self.data = data.absolute()
        self.addresses: Addresses
        self.settings: Mapping[str, str]
        self.apps: Mapping[str, WSGIApplication]
        self.broker: Broker
        self._hooks, self._port, self._say, self._environ = hooks, port, say, environ
        self._block_time, self._tap, self._sweep_every = block_time, tap, sweep_every
        self._stack = ExitStack()
        self._over = threading.Event()
        self._handlers: dict[int, Any] = {}
        self._up = False
        self._status = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when everything answers and ``DIR/env`` is there.

        Raises:
            UnavailableFolder: another platform runs on the folder.
            UnavailableAnvil: the ledger node is not installed.
            UnavailablePart: a part did not come up.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def run(self, ready: Callable[[], None]) -> int:
        """Start, call ``ready`` when everything answers, wait, stop: the exit status, as of ``wait``.

        Unlike ``start`` and ``wait`` it also takes a signal while starting as a wish to stop. Main thread only.
        """
        try:
            self._take_signals()
            self.start()
            ready()
            self._over.wait()
        except KeyboardInterrupt:
            self._say("Stopped while starting.")
        finally:
            self.stop()
        return self._status

    def wait(self) -> int:
        """Block until SIGINT or SIGTERM (0) or until a part died (3): the exit status. Main thread only.

        A second signal, also while stopping, ends the process there and then, and its children with it.
        """
        self._take_signals()
        self._over.wait()
        return self._status

    def stop(self) -> None:
        """Stop every part, the last started first; within five seconds."""
        self._over.set()
        self._stack.close()
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def _take_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers.setdefault(number, signal.signal(number, self._interrupt))

    def _start(self) -> None:
        self._stack.enter_context(folder.locked(self.data))
        folder.remove_env(self.data)
        listening = self._listen()
        url = loopback.address(listening)
        self.addresses = Addresses(
            url=url,
            broker_url=f"{url}/broker",
            s3_url=self._environ.get("POLYGLOT_S3_URL") or self._start_bucket(),
            bucket=self._environ.get("POLYGLOT_BUCKET", bucket.NAME),
            rpc_url=self._environ.get("POLYGLOT_RPC_URL") or self._start_chain(),
        )
        self.settings = {**self.addresses.settings, **self._hooks.prepare(self.addresses)}
        self.apps = self._hooks.make_apps(self.settings)
        self._serve(listening, self.apps)
        self._hooks.recover()
        self._repeat("sweep", self._sweep_every, self._hooks.sweep)
        folder.write_env(self.data, {f"POLYGLOT_{name}": self.settings[f"POLYGLOT_{name}"] for name in _IN_ENV})
        self._stack.callback(folder.remove_env, self.data)
        self._up = True

    def _listen(self) -> socket.socket:
        listening = loopback.listen(self._port)
        self._stack.callback(listening.close)
        port = listening.getsockname()[1]
        if self._port not in (0, port):
            self._say(f"Port {self._port} is taken: using {port}.")
        return listening

    def _start_bucket(self) -> str:
        started = bucket.start(self.data / "bucket", self.data / "logs")
        self._stack.callback(started.stop)
        self._watch(started.child)
        return started.url

    def _start_chain(self) -> str:
        started = chain.start(self.data / "chain", self.data / "logs", self._say, self._block_time)
        self._stack.callback(started.stop)
        self._watch(started.child)
        self._repeat("keep the chain's state", self._sweep_every, started.keep)
        return started.url

    def _serve(self, listening: socket.socket, apps: Mapping[str, WSGIApplication]) -> None:
        close = getattr(apps, "close", None)
        if close is not None:
            self._stack.callback(close)
        url = self.addresses.url
        self.broker = Broker(subscribers(url), dead_letter_sink(url), tap=self._tap)
        server = Server(listening, compose(apps, self.broker.ingress), threads_for())
        self._stack.callback(server.stop)
        # Before the server: what it still answers then announces nothing to anybody.
        self._stack.callback(self.broker.close)

    def _repeat(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        """Call something every so often, in a thread of its own, whatever it raises."""

        def run() -> None:
            while not self._over.wait(seconds):
                try:
                    call()
                except Exception:
                    logger.exception("%s failed; it is tried again", name)

        threading.Thread(target=run, name=name, daemon=True).start()

    def _watch(self, part: child.Child) -> None:
        """End the platform when a part dies: half a platform would only confuse."""

        def run() -> None:
            while not self._over.wait(_GLANCE):
                if not part.alive and not self._over.is_set():
                    self._say(f"Stopping: {part.failure()}")
                    self._status = PART_DIED
                    self._over.set()

        threading.Thread(target=run, name=f"watch {part.name}", daemon=True).start()

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        if self._over.is_set():
            os._exit(128 + number)  # On Linux the kernel then kills the children; see `tether`.
        self._over.set()
        if not self._up:
            raise KeyboardInterrupt
