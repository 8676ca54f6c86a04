"""One training, from staging to its announcement; ends when the platform does.

The order is what makes it safe to kill at any point: results are staged before ``state.json`` says that they are there,
and the event comes last. A supervisor that dies before leaves the run unknown, so that it is submitted again, and the
next one stages below an execution of its own.
"""

import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from functions._backends import tracecontext
from functions._backends.namespaces import adopt_orphans
from functions._backends.process import surroundings
from functions._backends.process.folder import RunFolder, now
from functions._backends.process.log import BoundedLog, last_lines
from functions._backends.process.training import Ended, Limits, run_script
from functions._backends.process_tree import birth, kill_tree
from functions._backends.runs import results
from functions._backends.runs.conventions import Layout, hyperparameters
from functions._backends.runs.patience import CANCELLED, Cancelled, patiently
from functions._backends.runs.staging import Stager, make_read_only
from functions._domain.digests import digest_of_stream
from functions._domain.errors import Rejected, RejectedContent, Unavailable
from functions._domain.ports import Run, RunState, Storage

EXECUTIONS = 3
"""How often a script is run that is killed by somebody else, such as a kernel short of memory."""

KILLED = 128 + 9
_LOGGER = logging.getLogger("polyglot.process")


def supervise(path: Path, settings: Mapping[str, str], storage: Storage) -> None:
    """Train the run of a folder, and leave its state there."""
    folder = RunFolder.at(path)
    adopt_orphans()
    ending = threading.Lock()
    _end_with(int(settings["POLYGLOT_PLATFORM_PID"]), folder, ending)
    supervision = _Supervision(folder, folder.run(), str(uuid4()), settings, storage, ending)
    try:
        state = supervision.train()
    except Unavailable:  # unknown is the truth then, and the sweep submits it again
        raise
    except Exception as error:
        _LOGGER.exception("run %s", folder.name)
        state = supervision.broken(error)
    finally:
        folder.remove_work()
    supervision.announce(state)


def _end_with(platform: int, folder: RunFolder, ending: threading.Lock) -> None:
    """When the platform is gone, so is the training; it counts as unknown then, and the next platform repeats it.

    Who holds ``ending`` says how the run ends, so a script that is killed here is not taken for one that failed.
    """
    born = birth(platform)

    def watch() -> None:
        while born and birth(platform) == born:
            time.sleep(0.5)
        ending.acquire()  # for good
        kill_tree(os.getpid(), itself=False)
        folder.remove_work()
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class _Supervision:
    folder: RunFolder
    run: Run
    execution: str
    settings: Mapping[str, str]
    storage: Storage
    ending: threading.Lock

    @property
    def _layout(self) -> Layout:
        return Layout(self.folder.work)

    def check(self) -> None:
        """Raises Cancelled where somebody wishes the run stopped."""
        if self.folder.is_cancelled():
            raise Cancelled(CANCELLED)

    def train(self) -> RunState:
        """All of it but the announcement; the state is on disk when this returns."""
        state, files = RunState("failed", self.execution, started=now()), {}
        self.folder.note_running(self.execution, state.started)
        log = BoundedLog(self.folder.path)
        try:
            state, ended = self._executed(state, log)
            state = replace(state, exit_code=ended.exit_code, isolation=ended.isolation)
            files = self._judged(ended)
            state = replace(state, phase="succeeded")
        except Rejected as error:  # also Cancelled: the script may or may not have run, and no model comes of it
            state = replace(state, reason=str(error))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            state = replace(state, reason="the disk of this machine is full: make room, then retry")
        finally:
            log.close()
        return self._keep(state, files)

    def _executed(self, state: RunState, log: BoundedLog) -> tuple[RunState, Ended]:
        """Stage and run; a script that somebody outside killed is run again from clean folders, a few times."""
        for execution in range(1, EXECUTIONS + 1):
            state = self._staged(state)
            ended = self._run(state, log)
            if ended.broken or ended.exit_code != KILLED or execution == EXECUTIONS:
                break
            log.write(f"[killed from outside; execution {execution + 1} of at most {EXECUTIONS}]\n".encode())
            with self.ending:  # not where it was our own end that killed it
                self.folder.remove_work()
        return state, ended

    def _staged(self, state: RunState) -> RunState:
        """Fetch and verify all that the script reads; returns the state with the facts of this machine."""
        self.check()
        self._layout.make()
        packages = self._stage()
        facts = {**surroundings.facts(self.run, packages), "image_digest": self.run.image}
        return replace(state, environment=facts, started=now())

    def _run(self, state: RunState, log: BoundedLog) -> Ended:
        return run_script(
            surroundings.command(self.run, self._layout.image),
            surroundings.environment(self.run, self._layout, self.folder.shorten(self._layout.scratch)),
            self._layout,
            self._limits(),
            log,
            self.check,
            lambda pid: self.folder.note_running(self.execution, state.started, pid),
        )

    def _judged(self, ended: Ended) -> dict[str, Path]:
        """What is to be kept. Raises RejectedContent where no model comes of it."""
        if ended.broken or ended.exit_code != 0:
            raise RejectedContent(self._why(ended))
        files = {f"model/{path}": self._layout.model / path for path in results.checked_model(self._layout)}
        metrics = results.checked_metrics(self._layout)
        return files | ({"output/metrics.json": metrics} if metrics else {})

    def _stage(self) -> dict[str, str]:
        """Fetch and verify; returns the versions of the packages that the image folder requires."""
        stager, layout = Stager(self.storage, self.check), self._layout
        stager.image(self.run.image, layout.image)
        packages = surroundings.checked_requirements(layout.image)
        for channel in self.run.channels:
            stager.channel(channel, layout.data / channel.name)
        (layout.config / "hyperparameters.json").write_text(hyperparameters(self.run))
        (layout.config / "hyperparameters.json").chmod(0o444)
        make_read_only(layout.data.parent)
        return packages

    def _limits(self) -> Limits:
        data = Path(self.settings["POLYGLOT_DATA"])
        needed = (Path(sys.prefix), Path(sys.base_prefix), Path(__file__))
        # The platform's keys and tokens lie in its data folder; an interpreter that does too must stay in sight.
        hidden = () if any(path.resolve().is_relative_to(data) for path in needed) else (data,)
        return Limits(self.run.deadline, self.run.memory, int(self.settings["POLYGLOT_DISK"]), hidden)

    def _why(self, ended: Ended) -> str:
        if ended.broken:
            return ended.broken
        said = results.said_failure(self._layout) or last_lines(self.folder.path, 20).strip() or "it printed nothing"
        killed = f" (killed by signal {ended.exit_code - 128})" if ended.exit_code > 128 else ""
        return f"the training exited with code {ended.exit_code}{killed}: {said[-4000:]}"

    def _keep(self, state: RunState, files: Mapping[str, Path]) -> RunState:
        """Stage the results, then say so: whoever reads the state finds them."""
        log = self.folder.path / "log.txt"
        with log.open("rb") as printed:
            digest, _ = digest_of_stream(iter(lambda: printed.read(1 << 20), b""))
        state = replace(state, finished=now(), environment={**state.environment, "log_digest": digest})
        kept = {**files, "log.txt": log}
        if state.phase == "failed":
            failure = self.folder.path / "failure"
            failure.write_text(results.said_failure(self._layout) or state.reason)
            kept["output/failure"] = failure
        results.stage(self.storage, self.run, self.execution, kept, lambda: None)
        self._note(state)
        return state

    def _note(self, state: RunState) -> None:
        """Write down how it ended, unless it ends with its platform."""
        with self.ending:
            self.folder.note_ended(state)

    def broken(self, error: Exception) -> RunState:
        """What is our fault ends the run too: submitted again, it would end the same way for ever."""
        reason = f"the trainer itself failed ({type(error).__name__}: {error}); supervisor.log of the run says where"
        state = RunState("failed", self.execution, reason=reason, finished=now())
        self._note(state)
        return state

    def announce(self, state: RunState) -> None:
        """Tell the broker; where it does not hear, the sweep asks the engine one day."""
        broker, tenant = self.settings.get("POLYGLOT_BROKER_URL"), self.settings.get("POLYGLOT_TENANT", "default")
        if not broker:
            return
        try:
            with tracecontext.use(tracecontext.from_environment(self.settings)):  # that of whoever submitted the run
                patiently(
                    lambda: results.post_finished(broker, tenant, self.run, self.execution, state.finished),
                    lambda: None,
                    seconds=10,
                )
        except Unavailable as error:
            _LOGGER.warning("run %s has ended and the broker did not hear of it: %s", self.run.name, error)
