"""``ProcessEngine``: the port. It keeps nothing in memory; each call reads the run's folder, so any process may ask."""

import ipaddress
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from functions._backends import tracecontext
from functions._backends.process.folder import RunFolder
from functions._backends.process.log import last_lines
from functions._backends.runs.machine import graphics
from functions._domain.digests import is_digest
from functions._domain.errors import RejectedConflict, UnavailableEngine
from functions._domain.ports import Run, RunState

GIB = 1 << 30
SUPERVISOR = (sys.executable, "-I", "-m", "functions._backends.process")


class ProcessEngine:
    """Trains with child processes of this machine.

    Args:
        folder: the platform's data folder; runs are kept below ``engine/``, and scripts find all of it empty where the
            kernel allows.
        settings: what a supervisor needs: those of ``S3Storage.from_settings``, ``POLYGLOT_BROKER_URL`` (where it
            announces the end), ``POLYGLOT_TENANT``, and ``POLYGLOT_PLATFORM_PID``, the process that trainings do not
            outlive (this one where not given). They go to it through a pipe, never on a command line.
        disk: the most bytes that a training may write.
        supervisor: the command that supervises; tests put another storage in.
    """

    kind: Literal["process", "argo"] = "process"

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        disk: int = 10 * GIB,
        supervisor: Sequence[str] = SUPERVISOR,
    ) -> None:
        self._folder, self._root, self._disk = folder.resolve(), folder.resolve() / "engine", disk
        self._settings = {"POLYGLOT_PLATFORM_PID": str(os.getpid()), **settings}
        self._supervisor = tuple(supervisor)

    def submit(self, run: Run) -> None:
        """Start a run, or nothing where one of this name is known.

        Raises:
            RejectedConflict: it can never run here; the message says where it can.
            UnavailableEngine: no process can be started now.
        """
        folder = RunFolder(self._root, run.name)
        with folder.submitting():
            if folder.is_known():
                return
            self._check(run)
            folder.prepare(run)
            self._start(folder)

    def _check(self, run: Run) -> None:
        if not is_digest(run.image):
            raise RejectedConflict(
                f"{run.image} is a container image, and the process trainer runs image folders only: push the folder "
                "(polyglot image push DIR) and register the model with its digest, or use a platform with Argo"
            )
        if run.gpu > len(graphics()):
            raise RejectedConflict(
                f"the model asks for {run.gpu} GPU(s) and this machine has {len(graphics())}: register it with "
                "--gpu 0, or use a platform with GPU nodes"
            )
        host = urlsplit(self._settings.get("POLYGLOT_BROKER_URL", "")).hostname
        if host and not _is_loopback(host):
            raise RejectedConflict(
                f"the process trainer runs scripts as yourself, so the platform must listen on loopback only, and it "
                f"listens on {host}: start it on 127.0.0.1, or train with Argo"
            )

    def _start(self, folder: RunFolder) -> None:
        settings = {**self._settings, "POLYGLOT_DISK": str(self._disk), "POLYGLOT_DATA": str(self._folder)}
        settings[tracecontext.VARIABLE] = tracecontext.current_traceparent()
        with folder.life() as life, (folder.path / "supervisor.log").open("wb") as notes:
            try:
                supervisor = subprocess.Popen(
                    [*self._supervisor, str(folder.path)], stdin=subprocess.PIPE, stdout=notes, stderr=notes,
                    pass_fds=[life], start_new_session=True, cwd=folder.path,
                    env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                )  # fmt: skip
                threading.Thread(target=supervisor.wait, daemon=True, name=f"reap {folder.name}").start()
                _hand_over(supervisor, settings)
            except OSError as error:
                raise UnavailableEngine(f"the training's supervisor did not start: {error}") from error

    def state(self, name: str) -> RunState:
        """What is known of a run."""
        return RunFolder(self._root, name).state()

    def log(self, name: str, tail: int | None = 200) -> str:
        """The last lines that the run has printed so far."""
        return last_lines(RunFolder(self._root, name).path, sys.maxsize if tail is None else tail)

    def cancel(self, name: str) -> None:
        """Stop a run within half a second, or keep it from ever starting."""
        RunFolder(self._root, name).cancel()

    def release(self, name: str, reason: str = "") -> None:
        """Nothing: an ended run has no process left, and its folder holds what it printed and how it ended."""


def _hand_over(supervisor: "subprocess.Popen[bytes]", settings: Mapping[str, str]) -> None:
    assert supervisor.stdin is not None
    with supervisor.stdin as pipe:
        pipe.write(json.dumps(dict(settings)).encode())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
