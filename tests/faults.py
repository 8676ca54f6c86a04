"""Faults for tests: a platform whose every write can be its last, and what must be true after it came back.

A test serves the bucket and the ledger node itself, puts a ``Proxy`` before each, and starts ``polyglot up`` on them.
The proxies share a ``Fuse``: the first time that it sees a write, the platform is killed, in turn just before the write
reaches the store and just after, so that each write of a chain is the last of one life. Hundreds of lives would take
long, so ``Nursery`` forks them from an interpreter that has imported everything.
"""

import hashlib
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import rlp

from functions._runtime.local import tether
from functions.declaration import FUNCTIONS
from tests.customers import Died
from tests.platforms import POLYGLOT

ROOT = Path(__file__).parents[1]
WARM = ("functions._runtime.embedded", "functions._runtime.local.platform", "functions._runtime.http",
        "functions._runtime.events", "functions._runtime.openapi", "functions._backends.ethereum_admin",
        "functions._backends.s3", "functions._backends.broker", "functions._backends.process",
        "functions._backends.translator", "functions._backends.typed_data", "functions_framework", "boto3",
        "securesystemslib.dsse", "rlp", "urllib3")  # fmt: skip
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


class Life(Protocol):
    """One run of ``polyglot up``."""

    data: Path
    pid: int
    log: Path

    def status(self) -> int | None:
        """Its exit status (negative: the signal that ended it), or None while it lives."""


@dataclass
class Process:
    """``polyglot up`` as a process of its own."""

    data: Path
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def status(self) -> int | None:
        return self.process.poll()


@contextmanager
def up(data: Path, *options: str, **environment: str) -> Iterator[Process]:
    """``polyglot up`` on a free port; killed at the end where the test did not stop it."""
    log = data.with_name(f"{data.name}.log")
    (data / "env").unlink(missing_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*POLYGLOT, "up", "--data", str(data), "--port", "0", *options], cwd=ROOT, stdout=output, stderr=output,
            env={**os.environ, "TMPDIR": str(scratch(data)), **environment}, start_new_session=True,
        )  # fmt: skip
    try:
        yield Process(data, process, log)
    finally:
        process.kill()
        process.wait()


def scratch(data: Path) -> Path:
    """Where a platform's temporary files go, so that whatever works on them can be told by its command line."""
    folder = data.with_name(f"{data.name}.tmp")
    folder.mkdir(exist_ok=True, parents=True)
    return folder


def ready(life: Life, seconds: float = 60) -> dict[str, str]:
    """Wait for ``DIR/env``; its settings. Raises Died."""
    end = time.monotonic() + seconds
    while not (life.data / "env").exists():
        status = life.status()
        if status is not None:
            raise Died(status)
        assert time.monotonic() < end, f"not ready after {seconds} s:\n{life.log.read_text()}"
        time.sleep(0.01)
    rows = shlex.split((life.data / "env").read_text(), comments=False)
    return dict(row.split("=", 1) for row in rows if row != "export")


def ended(life: Life, seconds: float = 10) -> int:
    """Wait until it has ended; its exit status."""
    end = time.monotonic() + seconds
    while (status := life.status()) is None:
        assert time.monotonic() < end, f"still alive after {seconds} s:\n{life.log.read_text()}"
        time.sleep(0.01)
    return status


def processes(*words: str) -> dict[int, str]:
    """The living processes whose command lines, or where Linux tells them environments, hold all these words."""
    listed = subprocess.run(["ps", "-axww", "-o", "pid=,stat=,command="], capture_output=True, text=True, check=True)
    found = {}
    for row in listed.stdout.splitlines():
        pid, state, command = (*row.split(maxsplit=2), "")[:3]  # who is being born or dying may have no command
        lives = "Z" not in state or _has_threads(pid)
        if lives and int(pid) != os.getpid() and all(word in command + _environ(pid) for word in words):
            found[int(pid)] = command
    return found


def _has_threads(pid: str) -> bool:
    """Whether a process whose first thread has ended has others, which hold its files and ports."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


def _environ(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def of_platform(data: Path) -> dict[int, str]:
    """What works for a platform on a folder, itself included; the folder's name is part of its scratch folder's."""
    return processes(str(data))


def gone(data: Path, seconds: float = 5) -> bool:
    """Whether nothing works for a platform any more, within some seconds."""
    end = time.monotonic() + seconds
    while of_platform(data):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def awaited(life: Life, *words: str, seconds: float = 60) -> int:
    """Wait for a process of a platform whose command line holds these words; its pid."""
    end = time.monotonic() + seconds
    while not (
        found := [pid for pid, command in of_platform(life.data).items() if all(one in command for one in words)]
    ):
        assert life.status() is None, life.log.read_text()
        assert time.monotonic() < end, f"no process with {words} after {seconds} s:\n{life.log.read_text()}"
        time.sleep(0.02)
    return min(found)


def kill(pid: int) -> None:
    """End a process there and then."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Nursery:
    """An interpreter that has imported everything, and forks a ``polyglot up`` on demand."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults"], cwd=ROOT, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._lock = threading.Lock()

    def ask(self, **question: object) -> Any:
        """One question, one answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(question) + "\n")
            return json.loads(self._process.stdout.readline())

    def up(self, data: Path, **environment: str) -> "Forked":
        """A new life on a folder."""
        (data / "env").unlink(missing_ok=True)
        log = data.with_name(f"{data.name}.log")
        argv = ["up", "--data", str(data), "--port", "0"]
        environment = {"TMPDIR": str(scratch(data)), **environment}
        return Forked(data, self.ask(argv=argv, environment=environment, log=str(log)), log, self)

    def close(self) -> None:
        """End it, and with it whatever it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@dataclass
class Forked:
    """A ``polyglot up`` out of the nursery."""

    data: Path
    pid: int
    log: Path
    nursery: Nursery

    def status(self) -> int | None:
        found: int | None = self.nursery.ask(poll=self.pid)
        return found


def nurse() -> None:
    """The program behind ``Nursery``: one line of JSON in, one out, until its input ends."""
    for name in (*WARM, *(f"functions.{function.name}.handler" for function in FUNCTIONS)):
        import_module(name)
    ended_with: dict[int, int] = {}
    parent = os.getpid()
    for row in sys.stdin:
        asked = json.loads(row)
        if "poll" in asked:
            pid = asked["poll"]
            if pid not in ended_with and (waited := os.waitpid(pid, os.WNOHANG))[0]:
                ended_with[pid] = os.waitstatus_to_exitcode(waited[1])
            answer = ended_with.get(pid)
        else:
            answer = os.fork() or _grow_up(parent, **asked)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _grow_up(parent: int, argv: list[str], environment: Mapping[str, str], log: str) -> int:
    status = 70
    try:
        os.setsid()
        tether.tether(parent)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
        os.environ.update(environment)
        from functions.__main__ import main

        status = main(argv)
    finally:
        os._exit(status)


@dataclass
class Fuse:
    """Kills the armed platform at each write that it sees for the first time.

    Writes are told apart by what they write, apart from the random names of executions, whose steps are done again
    from their beginning. ``kills`` tells them in order. From a kill until the next life nothing arrives any more, so
    that what outlives the platform for a moment, a training's supervisor, does not do its work unseen.
    """

    kills: list[str] = field(default_factory=list)
    _victim: int | None = None
    _is_blown: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, pid: int | None) -> None:
        """Whom to kill next; nobody where None."""
        with self._lock:
            self._victim, self._is_blown = pid, False

    @contextmanager
    def around(self, write: str | None) -> Iterator[bool]:
        """Pass a request on inside; False where it must not arrive."""
        with self._lock:
            may, victim = not self._is_blown, self._victim
            is_last = may and write is not None and victim is not None and write not in self.kills
            if is_last:
                self.kills.append(str(write))
                self._is_blown = True
                may = len(self.kills) % 2 == 0
        if is_last and not may:
            os.kill(victim or 0, signal.SIGKILL)
        yield may
        if is_last and may:
            os.kill(victim or 0, signal.SIGKILL)


class Proxy:
    """Passes HTTP requests on to a server, through a fuse. ``name`` tells a write from its method, path and body."""

    def __init__(self, upstream: str, fuse: Fuse, name: Callable[[str, str, bytes], str | None]) -> None:
        class Handler(_Passing):
            pass

        Handler.upstream, Handler.fuse, Handler.name = urlsplit(upstream).netloc, fuse, staticmethod(name)
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is what this is for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    upstream: str
    fuse: Fuse
    name: Callable[[str, str, bytes], str | None]

    def setup(self) -> None:
        super().setup()
        self._connection = http.client.HTTPConnection(self.upstream, timeout=60)

    def finish(self) -> None:
        self._connection.close()
        with suppress(ConnectionError):
            super().finish()

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # its client died over it
            self.close_connection = True
            return
        with self.fuse.around(self.name(self.command, self.path, body)) as may:
            if not may:
                self.close_connection = True
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            self._connection.request(self.command, self.path, body, headers)
            answer = self._connection.getresponse()
            data = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        told = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", told or str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 - names of the base class


def object_write(method: str, path: str, _body: bytes) -> str | None:
    """The platform's own writes to the bucket; those of clients are presigned, and none of them removes anything."""
    parts = urlsplit(path)
    if method not in ("PUT", "POST", "DELETE") or (method != "DELETE" and "X-Amz-Signature" in parts.query):
        return None
    return f"{method} {stored(unquote(parts.path).removeprefix('/polyglot/'))}"


def stored(key: str) -> str:
    """An object's key, without the random name of its execution."""
    head, *rest = key.split("/")
    return "/".join([head, rest[0], "*", *rest[2:]]) if head == "runs" and len(rest) > 2 else key


def transaction(_method: str, _path: str, body: bytes) -> str | None:
    """A transaction by what it does; who carries it is random."""
    question = json.loads(body)
    if question["method"] != "eth_sendRawTransaction":
        return None
    fields = rlp.decode(bytes.fromhex(question["params"][0][2:]))
    return f"transaction {hashlib.sha256(fields[3] + fields[5]).hexdigest()}"


if __name__ == "__main__":
    nurse()
