"""Runs translators as children with limits: the side of ``ports.Translator`` that touches the machine.

A translator loads bytes of others into a large framework, so it gets a session of its own, no network where the kernel
allows that, files that it can only read but for its target, an empty environment, and bounds on memory and time. It
dies with the thread that waits for it. How it ended is told in the words of ``functions._domain.errors``:

    report.json, status 0          the report, with the isolation that was really in force
    refusal.json, status 3         RejectedContent, in the translator's words
    a limit of ours                RejectedContent: the same model would meet it again
    an exception, a crash          RejectedContent, with the last line it wrote
    ended by somebody else         Unavailable: another try may succeed
"""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from functions._backends import isolation
from functions._backends.process_tree import kill_tree, memory_of_tree
from functions._domain.digests import canonical
from functions._domain.errors import RejectedContent, Unavailable

GIB = 2**30
_REFUSED = 3
_OWN_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS)
_POLL_SECONDS = 0.05
_REPORT_BOUND = 16 * 2**20
_FACTS_BOUND = 65536


@dataclass(frozen=True)
class Limits:
    """What one translation may use: resident bytes of all its processes, seconds, bytes of one file, threads."""

    memory: int = 4 * GIB
    seconds: float = 540
    file_size: int = 16 * GIB
    threads: int = 2


@dataclass(frozen=True)
class _End:
    """How a child ended: its status as ``subprocess`` gives it, the limit it met, its last words, its isolation."""

    status: int
    limit: str
    words: str
    isolation: Mapping[str, object]


class ChildTranslator:
    """Implements ``ports.Translator``. ``hidden`` are folders that translators must not see, such as role keys."""

    def __init__(self, limits: Limits | None = None, hidden: Sequence[Path] = ()) -> None:
        self._limits = limits or Limits()
        self._hidden = tuple(hidden)

    def translate(self, framework: str, source: Path, target: Path, options: Mapping[str, object]) -> dict[str, object]:
        """Export the model in ``source`` to ONNX below ``target`` and measure it; returns the report.

        Raises:
            RejectedContent: the model cannot be translated, with the reason and what to do.
            Unavailable: the translator was ended from outside, or is not installed here.
        """
        module = _module_of(framework)
        target.mkdir(parents=True, exist_ok=True)
        for stale in ("report.json", "refusal.json"):
            (target / stale).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="translate-") as scratch:
            asked = Path(scratch) / "options.json"
            asked.write_bytes(canonical(dict(options)))
            python = [sys.executable, "-I", "-m", module, str(source.resolve()), str(target.resolve()), str(asked)]
            end = self._watched(python, Path(scratch), target.resolve())
        _raise_unless_done(end, self._limits, target)
        return _report(target, end)

    def _watched(self, python: Sequence[str], scratch: Path, target: Path) -> _End:
        facts, told = os.pipe()
        try:
            with (scratch / "words").open("wb") as words:
                child = subprocess.Popen(
                    [*self._shim(scratch, target, told), "--", *python],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    env=_environment(scratch, self._limits.threads),
                    cwd=scratch,
                    pass_fds=(told,),
                    start_new_session=True,
                )
            os.close(told)
            told = -1
            limit = self._wait(child)
            return _End(child.wait(), limit, _last_words(scratch / "words"), _facts(facts))
        finally:
            for number in (facts, told):
                if number >= 0:
                    os.close(number)

    def _shim(self, scratch: Path, target: Path, report: int) -> list[str]:
        options = [
            "--no-network",
            "--watch-parent",
            "--report",
            str(report),
            "--file-size",
            str(self._limits.file_size),
        ]
        writable = [word for folder in (scratch, target) for word in ("--writable", str(folder))]
        hidden = [word for folder in self._hidden for word in ("--hide", str(folder))]
        return [*isolation.SHIM, *options, *writable, *hidden]

    def _wait(self, child: subprocess.Popen[bytes]) -> str:
        """Until the child ends or meets a limit, which is then named; whatever it started ends with it."""
        started = time.monotonic()
        try:
            while child.poll() is None:
                if time.monotonic() - started > self._limits.seconds:
                    return f"the limit of {self._limits.seconds:g} seconds"
                if memory_of_tree(child.pid, enough=self._limits.memory) > self._limits.memory:
                    return f"the limit of {self._limits.memory / GIB:.3g} GiB of memory"
                time.sleep(_POLL_SECONDS)
            return ""
        finally:
            kill_tree(child.pid)


def _module_of(framework: str) -> str:
    name = f"functions._translators.{framework}"
    if not re.fullmatch(r"[a-z][a-z0-9]*", framework) or importlib.util.find_spec(name) is None:
        raise RejectedContent(
            f"there is no translator for {framework!r} models: export the model to ONNX and import that"
        )
    return name


def _environment(scratch: Path, threads: int) -> dict[str, str]:
    """Nothing of ours: credentials travel in environments."""
    return {
        "PATH": os.defpath,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": str(threads),
        "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
    }


def _last_words(path: Path) -> str:
    with path.open("rb") as words:
        words.seek(max(0, path.stat().st_size - 4096))
        lines = words.read().decode(errors="replace").strip().splitlines()
    return " ".join(lines[-1].split())[:500] if lines else "it wrote nothing"


def _facts(descriptor: int) -> Mapping[str, object]:
    """What the shim said of itself before it became the translator; it has closed its end, so this does not wait."""
    text = os.read(descriptor, _FACTS_BOUND)
    return dict(json.loads(text)) if text else {}


def _raise_unless_done(end: _End, limits: Limits, target: Path) -> None:
    refusal = target / "refusal.json"
    if end.limit:
        raise RejectedContent(f"translating this model met {end.limit}: use a smaller model, or have the limit raised")
    if end.status == _REFUSED and refusal.is_file() and refusal.stat().st_size < _REPORT_BOUND:
        raise RejectedContent(str(json.loads(refusal.read_bytes())["reason"]))
    if end.status == -signal.SIGXFSZ:
        size = f"{limits.file_size / GIB:.3g} GiB"
        raise RejectedContent(f"translating this model met the limit of {size} for one file: use a smaller model")
    if end.status < 0 and -end.status not in _OWN_CRASHES:
        raise Unavailable(f"the translator was ended by {signal.Signals(-end.status).name}, not by us; try again")
    if end.status == 127 or "ModuleNotFoundError" in end.words:
        raise Unavailable(f"the translator cannot run here: {end.words}; install what its extra names")
    if end.status:
        raise RejectedContent(
            f"the translator failed on this model: {_crash(end)}; save the model again, or simplify it"
        )


def _crash(end: _End) -> str:
    return signal.Signals(-end.status).name if end.status < 0 else end.words


def _report(target: Path, end: _End) -> dict[str, object]:
    path = target / "report.json"
    if not path.is_file() or path.stat().st_size > _REPORT_BOUND or not (target / "model.onnx").is_file():
        raise RejectedContent("the translator left no model and report: this is a fault of the translator")
    report: dict[str, object] = {**json.loads(path.read_bytes()), "isolation": end.isolation}
    path.write_bytes(canonical(report))
    return report
