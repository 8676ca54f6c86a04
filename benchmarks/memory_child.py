"""One process whose memory is measured: imports what it needs, notes its peak, does the work, notes its peak again.

    python -m benchmarks.memory_child function SERVICE EVENT     one event through a function's handler and real ports
    python -m benchmarks.memory_child command ARGUMENT …         a polyglot command

The last line on standard output is JSON: both peaks in bytes, and the seconds of the work. Peaks are ``VmHWM``, the
most that was resident since the program was loaded; ``ru_maxrss`` would count the parent's memory before ``exec`` too.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4


def peak() -> int:
    """The most memory that this program has had resident, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not tell VmHWM")


def main() -> None:
    """Do what the arguments say."""
    what, *rest = sys.argv[1:]
    work = _function(*rest) if what == "function" else _command(rest)
    before, started = peak(), time.perf_counter()
    work()
    print(json.dumps({"before": before, "after": peak(), "seconds": time.perf_counter() - started}))


def _function(service: str, event: str) -> Callable[[], object]:
    """A handler with the ports that the function has, each of them used once, so that all is imported."""
    from functions._domain.events import Event
    from functions._domain.paths import request_key
    from functions._runtime.wiring import WiredPorts
    from functions.declaration import by_name

    function = by_name(service)
    ports = WiredPorts(function, os.environ)
    handler = importlib.import_module(f"functions.{service}.handler")
    importlib.import_module("functions._runtime.events")
    ports.storage.stat(request_key(uuid4()))
    ports.ledger.find(uuid4())
    if function.role:
        ports.signer.sign({"predicate": {}})
    document = json.loads(event)
    subject = UUID(document.pop("subject"))
    return lambda: handler.handle(Event(subject=subject, id="benchmark", **document), ports)


def _command(arguments: list[str]) -> Callable[[], object]:
    """A command, after the modules that it imports late."""
    from functions.__main__ import main as polyglot

    for name in ("upload", "receipts", "wait", "client", "store", "parts"):
        importlib.import_module(f"functions._cli.{name}")
    importlib.import_module("urllib3")
    importlib.import_module("rich.progress")
    importlib.import_module("functions._domain.requests")

    def work() -> None:
        status = polyglot(arguments)
        if status:
            sys.exit(status)

    return work


if __name__ == "__main__":
    main()
