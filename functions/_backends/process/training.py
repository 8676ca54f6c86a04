"""The script itself: started through the isolation shim, watched, and ended with all that it started."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from functions._backends.isolation import SHIM
from functions._backends.process.log import BoundedLog
from functions._backends.process_tree import kill_tree, memory_of_tree
from functions._backends.runs.conventions import Layout

_POLL, _LOOK = 0.05, 0.25
"""Seconds between two questions whether it has ended, and between two looks at its limits, which cost more."""


@dataclass(frozen=True)
class Limits:
    """Seconds, and bytes; ``hidden`` are folders that the script must not see."""

    deadline: int
    memory: int
    disk: int
    hidden: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How it ended: its exit code (128 + the signal's number where one killed it), and the limit that it broke."""

    exit_code: int
    broken: str
    isolation: Mapping[str, object]


def written(layout: Layout) -> int:
    """The bytes on disk in the folders that a script may write."""
    return sum(_size(folder) for folder in (layout.model, layout.output, layout.scratch, layout.image))


def _size(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118 - ten times faster
            except FileNotFoundError:  # the script is at work
                continue
    return total


def run_script(
    command: Sequence[str],
    environment: Mapping[str, str],
    layout: Layout,
    limits: Limits,
    log: BoundedLog,
    check: Callable[[], None],
    on_start: Callable[[int], None],
) -> Ended:
    """Run a command until it ends, breaks a limit, or ``check`` raises; none of its processes is left then."""
    before = written(layout)
    with _started(command, environment, layout, limits, log) as (child, isolation):
        on_start(child.pid)
        until, look, broken = time.monotonic() + limits.deadline, 0.0, ""
        while child.poll() is None and not broken:
            check()
            if time.monotonic() > look:
                broken, look = _broken(until, before, layout, limits), time.monotonic() + _LOOK
            time.sleep(_POLL)
        code = _end(child)
    if not broken and code != 0:  # a file that could not grow any more is why it failed
        broken = _disk_broken(before, layout, limits)
    facts = {"kind": "process", **isolation, "deadline": limits.deadline, "memory": limits.memory, "disk": limits.disk}
    return Ended(code if code >= 0 else 128 - code, broken, facts)


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], layout: Layout, limits: Limits, log: BoundedLog
) -> Iterator[tuple["subprocess.Popen[bytes]", dict[str, object]]]:
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [*SHIM, *_options(layout, limits, writing), "--", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=dict(environment), cwd=layout.image, pass_fds=[writing], start_new_session=True,
    )  # fmt: skip
    os.close(writing)
    pump = threading.Thread(target=_pump, args=(child, log), daemon=True)
    pump.start()
    try:
        with os.fdopen(reading) as report:
            facts = report.read()
        yield child, json.loads(facts or "{}")
    finally:
        _end(child)
        pump.join(10)


def _options(layout: Layout, limits: Limits, report: int) -> list[str]:
    folders = ["--writable", str(layout.work), "--read-only", str(layout.data.parent)]
    for folder in limits.hidden:
        folders += ["--hide", str(folder)]
    return ["--no-network", "--watch-parent", *folders, "--file-size", str(limits.disk), "--report", str(report)]


def _pump(child: "subprocess.Popen[bytes]", log: BoundedLog) -> None:
    assert child.stdout is not None
    with child.stdout as pipe:
        while data := os.read(pipe.fileno(), 1 << 16):
            log.write(data)


def _broken(until: float, before: int, layout: Layout, limits: Limits) -> str:
    """Which limit is broken, for a person; empty where none is."""
    if time.monotonic() > until:
        return (
            f"ran longer than its deadline of {limits.deadline} s: raise --deadline, or train on less (fewer epochs, "
            "fewer data), and register the model again"
        )
    used = memory_of_tree(os.getpid(), itself=False, enough=limits.memory)
    if used > limits.memory:
        return (
            f"used {used} bytes of memory, more than the {limits.memory} it asked for: raise --memory, or train in "
            "smaller batches, and register the model again"
        )
    return _disk_broken(before, layout, limits)


def _disk_broken(before: int, layout: Layout, limits: Limits) -> str:
    used = written(layout) - before
    if used < limits.disk:
        return ""
    return (
        f"wrote {used} bytes to disk, and {limits.disk} are allowed: write fewer checkpoints and temporary files, or "
        "train where there is more room"
    )


def _end(child: "subprocess.Popen[bytes]") -> int:
    """Kill what is left of a script, those that left its session included, since the supervisor adopts orphans."""
    kill_tree(os.getpid(), itself=False)
    if sys.platform != "linux":  # nobody adopts orphans there; elsewhere the pid may be another's by now
        kill_tree(child.pid)
    return child.wait()
