"""The state of one run on disk: ``DIR/engine/<run name>/``. Functions may be processes of their own; this they share.

    run.json         the run, canonical
    cancel           somebody wants it stopped; it may be there before the run is
    running.json     the execution that goes on
    state.json       how it ended, written once, atomically, by the supervisor
    log.txt          what it printed (the supervisor's own words are in supervisor.log)
    work/            what the script sees; removed at the end
    short            another name for a folder in it, which is short

A supervisor holds an exclusive lock on ``.locks/<run name>.alive`` for as long as it lives. The kernel frees it however
the supervisor ends, so that neither a stale pid nor a reused one can deceive.
"""

import dataclasses
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from functions._backends.process_tree import birth, kill_tree
from functions._backends.runs.documents import decode, encode
from functions._backends.runs.patience import CANCELLED
from functions._domain.digests import canonical
from functions._domain.errors import RejectedRequest
from functions._domain.ports import Run, RunState

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def now() -> str:
    """The time, as RFC 3339 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is seen whole or not at all, also after a power cut."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder, read-only folders below it included, and nothing that a link points to."""
    if not folder.is_dir() or folder.is_symlink():
        return
    folder.chmod(0o700)
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder)


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """One run's folder below ``DIR/engine``; it need not exist.

    Raises:
        RejectedRequest: the name cannot be a folder's.
    """

    root: Path
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise RejectedRequest(f"{self.name!r} is not a run's name: expected letters, digits, '.', '_' and '-'")

    @classmethod
    def at(cls, path: Path) -> "RunFolder":
        """The run of an existing folder."""
        return cls(path.parent, path.name)

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root / self.name

    @property
    def work(self) -> Path:
        """What the script sees."""
        return self.path / "work"

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Hold the right to start this run: one process, one thread at a time."""
        with self._lock_file("submit").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def life(self) -> Iterator[int]:
        """A descriptor that holds the supervisor's lock: who inherits it lives on in the eyes of ``is_alive``."""
        with self._lock_file("alive").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno()

    def is_alive(self) -> bool:
        """Whether a supervisor of this run lives."""
        with self._lock_file("alive").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def _lock_file(self, purpose: str) -> Path:
        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return locks / f"{self.name}.{purpose}"

    def state(self) -> RunState:
        """What is known of the run; a supervisor that died without a word leaves it unknown, to be submitted again."""
        alive = self.is_alive()  # first: who ends writes the state before it dies
        ended = self._read("state.json")
        if ended is not None:
            return RunState(**ended)  # type: ignore[arg-type]
        if alive:
            going = self._read("running.json") or {}
            return RunState("running", str(going.get("execution", "")), started=str(going.get("started", "")))
        return RunState("failed", reason=CANCELLED) if self.is_cancelled() else RunState("unknown")

    def is_known(self) -> bool:
        """Whether a supervisor works on it or has ended it."""
        return self.is_alive() or (self.path / "state.json").exists()

    def _read(self, name: str) -> dict[str, object] | None:
        try:
            document: dict[str, object] = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return None
        return document

    def run(self) -> Run:
        """The run, as submitted."""
        return decode(json.loads((self.path / "run.json").read_bytes()))

    def prepare(self, run: Run) -> None:
        """Make the folder anew: remains of an execution that died are removed, a wish to cancel is kept."""
        self._end_remains()
        self.path.mkdir(parents=True, exist_ok=True)
        self.remove_work()
        for entry in self.path.iterdir():
            if entry.name != "cancel":
                entry.unlink()
        write_atomically(self.path / "run.json", canonical(encode(run)))

    def _end_remains(self) -> None:
        """Kill what a supervisor that was killed left behind: the kernel ends the script, but not what that started."""
        going = self._read("running.json") or {}
        pid, born = int(str(going.get("pid", 0))), going.get("born")
        if pid and birth(pid) in ("", born):
            kill_tree(pid)

    def note_running(self, execution: str, started: str, pid: int = 0) -> None:
        """Say which execution goes on, and as which process."""
        document = {"execution": execution, "started": started, "pid": pid, "born": birth(pid) if pid else ""}
        write_atomically(self.path / "running.json", canonical(document))

    def note_ended(self, state: RunState) -> None:
        """Say how it ended."""
        write_atomically(self.path / "state.json", canonical(dataclasses.asdict(state)))

    def cancel(self) -> None:
        """Wish it stopped."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "cancel").touch()

    def is_cancelled(self) -> bool:
        """Whether somebody wishes it stopped."""
        return (self.path / "cancel").exists()

    def remove_work(self) -> None:
        """Remove what the script saw, once nobody needs it."""
        with suppress(OSError):
            short = Path((self.path / "short").read_text())
            short.unlink()
            short.parent.rmdir()
        with suppress(OSError):
            remove_tree(self.work)

    def shorten(self, folder: Path) -> Path:
        """A short name for a folder: a socket's path has at most 104 characters, and workers put sockets in TMPDIR."""
        short = Path(tempfile.mkdtemp(prefix="pg-"), "t")
        write_atomically(self.path / "short", str(short).encode())
        short.symlink_to(folder)
        return short
