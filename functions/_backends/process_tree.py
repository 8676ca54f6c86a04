"""What a process started: which processes, how much memory, and their end. Linux reads /proc, others ask ``ps``.

A tree is a process, its descendants, and the other members of the session that it leads.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    session: int
    memory: int
    """Resident bytes."""


def _processes() -> list[_Process]:
    """All living processes; the dead whom nobody has buried yet are left out."""
    return list(_from_proc() if sys.platform == "linux" else _from_ps())


def _from_proc() -> Iterator[_Process]:
    page = os.sysconf("SC_PAGE_SIZE")
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed, several times a second
        if entry.isdigit() and (fields := _stat(int(entry))) and fields[0] not in "ZX":
            yield _Process(int(entry), int(fields[1]), int(fields[3]), int(fields[21]) * page)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (which may hold anything), or nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].decode().split()
    except OSError:
        return []


def _from_ps() -> Iterator[_Process]:
    for row in _ps("-axo", "pid=,ppid=,pgid=,stat=,rss=").splitlines():
        pid, parent, group, state, memory = row.split()
        if "Z" not in state:
            yield _Process(int(pid), int(parent), int(group), int(memory) * 1024)


def _members(pid: int, itself: bool) -> list[_Process]:
    living = _processes()
    children: dict[int, list[_Process]] = {}
    for process in living:
        children.setdefault(process.parent, []).append(process)
    found = {process.pid: process for process in living if process.pid == pid or process.session == pid}
    waiting = [pid, *found]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                waiting.append(child.pid)
    return [process for process in found.values() if itself or process.pid != pid]


def tree(pid: int, *, itself: bool = True) -> tuple[int, ...]:
    """The living processes of a tree; the root is among them unless ``itself`` is false."""
    return tuple(process.pid for process in _members(pid, itself))


def memory_of_tree(pid: int, *, itself: bool = True, enough: int = 0) -> int:
    """The resident bytes of a tree.

    Memory that workers share is counted once for each of them, which is quick. Only where that sum is above
    ``enough`` is each process's proportional share asked for, which takes the kernel longer.
    """
    members = _members(pid, itself)
    total = sum(process.memory for process in members)
    return total if total <= enough else sum(_share(process) for process in members)


def _share(process: _Process) -> int:
    with suppress(OSError, ValueError, IndexError):
        for row in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if row.startswith("Pss:"):
                return int(row.split()[1]) * 1024
    return process.memory


def kill_tree(pid: int, *, itself: bool = True, seconds: float = 10) -> bool:
    """Kill a tree and wait until it is gone, or only unburied; whether that was so within ``seconds``."""
    until = time.monotonic() + seconds
    while members := tree(pid, itself=itself):
        for member in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def birth(pid: int) -> str:
    """When a living process was born, in its machine's own terms; empty where there is none.

    A pid is given to another process one day; a pid with its birth is not.
    """
    if sys.platform == "linux":
        fields = _stat(pid)
        return fields[19] if fields and fields[0] not in "ZX" else ""
    return _ps("-o", "lstart=", "-p", str(pid)).strip()


def _ps(*options: str) -> str:
    """What ``ps`` prints, where there is no /proc; its place differs between systems."""
    return subprocess.run(["ps", *options], capture_output=True, text=True, check=False).stdout  # noqa: S607 - see above
