"""Child processes that die with us, write to a log file, and stop politely.

>>> child = start("sleeper", ["/bin/sleep", "60"], Path("sleeper.log"), {})  # doctest: +SKIP
>>> child.stop()                                                             # doctest: +SKIP
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from functions._domain.errors import Unavailable
from functions._runtime.local import tether

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


class UnavailablePart(Unavailable):
    """A part of the embedded platform did not start, or died; the message ends with what it last printed."""


@dataclass(frozen=True)
class Child:
    """A running child; ``name`` is for messages."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def stop(self, patience: float = 3.0) -> None:
        """Ask it to end, and end it after ``patience`` seconds; does nothing where it has ended."""
        if self.alive:
            self.process.terminate()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def failure(self) -> UnavailablePart:
        """What to raise or say when it has died."""
        said = self.tail() or "(nothing)"
        return UnavailablePart(f"{self.name} ended with status {self.process.poll()}; its log {self.log} ends:\n{said}")

    def tail(self, lines: int = 12) -> str:
        """The last lines that it printed."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


def start(
    name: str, argv: Sequence[str], log: Path, environment: Mapping[str, str], sockets: Sequence[int] = ()
) -> Child:
    """Start a program whose output is appended to ``log``.

    It is killed when the *thread* that calls this ends: call it from one that lives as long as the platform.
    It gets ``environment`` and nothing else, the file descriptors ``sockets``, and a session of its own, so that a
    Ctrl-C in the terminal reaches the platform alone, which then stops its children in order.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(tether.__file__)), str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            pass_fds=tuple(sockets),
            start_new_session=True,
        )
    return Child(name, log, process)


def plain_environment() -> dict[str, str]:
    """What every program needs of our environment; no credentials."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}
