"""The data folder of an embedded platform: one platform at a time, and the file that tells a shell where it is.

>>> with locked(Path("polyglot-data")): ...  # doctest: +SKIP
"""

import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from functions._domain.errors import Unavailable

ENV = "env"
_LOCK = "lock"


class UnavailableFolder(Unavailable):
    """Another platform runs on the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the kernel lets go of it when we die. Raises UnavailableFolder, naming the other's pid."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            raise UnavailableFolder(
                f"{folder} is in use by another `polyglot up`, process {pid}: stop that one, or give another --data"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def write_env(folder: Path, settings: Mapping[str, str]) -> Path:
    """Write the file that a shell can source; it is there whole or not at all, and holds a token, so mode 0600."""
    path, draft = folder / ENV, folder / f"{ENV}.draft"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def remove_env(folder: Path) -> None:
    """Remove the file; a stale one would send clients to a platform that is gone."""
    (folder / ENV).unlink(missing_ok=True)
