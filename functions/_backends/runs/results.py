"""What a training left: is it fit to be kept, where it is staged, and the hint that it has ended."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

import urllib3

from functions._backends.cloudevents import to_http
from functions._backends.runs.conventions import Layout
from functions._backends.runs.patience import patiently
from functions._domain.errors import RejectedContent, Unavailable
from functions._domain.events import announce
from functions._domain.paths import checked_path, clashing_paths, run_prefix
from functions._domain.ports import Run, Storage

_METRICS_LIMIT = 1 << 20
_FAILURE_LIMIT = 4000


def checked_model(layout: Layout) -> list[str]:
    """The paths of the model's files.

    Raises:
        RejectedContent: there is none, or one that cannot be kept: a link, a device, an unsafe name.
    """
    paths = sorted(_files(layout.model, layout.model))
    if not paths:
        raise RejectedContent("wrote no model: write your model below $SM_MODEL_DIR")
    clash = clashing_paths(paths)
    if clash:
        raise RejectedContent(
            f"wrote {clash[0]!r} and {clash[1]!r} below $SM_MODEL_DIR, which some disks cannot hold both"
        )
    return paths


def _files(folder: Path, root: Path) -> Iterator[str]:
    for entry in os.scandir(folder):
        path = Path(entry.path).relative_to(root).as_posix()
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), root)
        elif entry.is_file(follow_symlinks=False):
            yield _safe(path)
        else:
            kind = "a symbolic link" if entry.is_symlink() else "a special file"
            raise RejectedContent(f"wrote {kind}, {path!r}, below $SM_MODEL_DIR: write plain files only")


def _safe(path: str) -> str:
    try:
        return checked_path(path)
    except ValueError as error:
        raise RejectedContent(f"wrote a file below $SM_MODEL_DIR that cannot be kept: {error}") from error


def said_failure(layout: Layout) -> str:
    """Why the script itself says it failed, or an empty string."""
    path = layout.output / "failure"
    if not _is_plain(path):
        return ""
    with path.open("rb") as file:
        return file.read(_FAILURE_LIMIT).decode(errors="replace").strip()


def checked_metrics(layout: Layout) -> Path | None:
    """The metrics, or None where the script wrote none.

    Raises:
        RejectedContent: too large, or no plain file.
    """
    path = layout.output / "metrics.json"
    if not os.path.lexists(path):
        return None
    if not _is_plain(path) or path.stat().st_size > _METRICS_LIMIT:
        raise RejectedContent(f"output/metrics.json must be a plain file of at most {_METRICS_LIMIT} bytes")
    return path


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def stage(storage: Storage, run: Run, execution: str, files: Mapping[str, Path], check: Callable[[], None]) -> None:
    """Upload results below ``runs/<asset>/<execution>/``, each as an object that nobody wrote before."""
    prefix = run_prefix(run.asset, execution)
    waiting = iter(files.items())

    def send(item: tuple[str, Path]) -> None:
        patiently(partial(storage.upload, prefix + item[0], item[1]), check)

    with ThreadPoolExecutor(8) as pool:
        while batch := list(islice(waiting, 512)):
            list(pool.map(send, batch))


def post_finished(broker: str, tenant: str, run: Run, execution: str, time: str) -> None:
    """Announce the end: a binary CloudEvent (https://github.com/cloudevents/spec, HTTP binding 1.0).

    Raises:
        Unavailable: the broker does not take it.
    """
    event = announce("training.finished", run.asset, f"{run.name}:{execution}", {"run": run.name})
    headers, body = to_http(event, f"/tenants/{tenant}/runs/{run.name}", datetime.fromisoformat(time))
    try:
        answer = urllib3.request("POST", broker, body=body, headers=headers, timeout=10, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"the broker does not answer: {error}") from error
    if answer.status >= 300:
        raise Unavailable(f"the broker answered {answer.status}")
