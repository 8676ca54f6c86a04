"""Runs a command with less than its starter may do: the shim between us and code or bytes of others.

    python -I -m functions._backends.isolation [options] -- COMMAND [ARG ...]

It limits itself, then becomes the command (``exec``: same pid, same pipes, same environment), so whoever starts it
needs nothing but ``subprocess``. Options, each of which may be left out:

    --no-network        a network namespace without interfaces (https://man7.org/linux/man-pages/man7/namespaces.7.html)
    --writable DIR      all files are read-only except below DIR (may be repeated); /dev/shm is a private one, and
                        TMPDIR should be a folder below DIR, under a short name (sockets take at most 104 characters)
    --read-only DIR     but this folder below a writable one is read-only (may be repeated)
    --hide DIR          this folder looks empty, but for the writable folders below it (may be repeated)
    --file-size BYTES   no file may grow larger
    --open-files N      no more open files (default 4096)
    --watch-parent      die when the parent dies (Linux)
    --report FD         write what is really in force to this descriptor, as JSON, and close it before the exec
    --probe             write that to stdout and run nothing

In force everywhere: no core dumps, no new privileges, no capabilities. What the kernel does not allow is left out and
never faked: the report says ``"network": "host"`` then. Namespaces are made as root, or in a user namespace of one's
own; every combination is tried in a forked child first, since a process cannot take half of one back.

The starter's side is here too: ``available`` asks what would be in force, ``functions._backends.process_tree`` counts
and kills what the command started. The exit status is the command's own; 127 where it cannot be executed.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from functions._backends import namespaces

OPEN_FILES = 4096

SHIM = (sys.executable, "-I", "-m", "functions._backends.isolation")
"""How the shim is started; options, ``--`` and the command follow."""


@dataclass(frozen=True)
class Wanted:
    """What the options ask for; ``own_users`` says by which of the two ways the namespaces are made."""

    no_network: bool = False
    writable: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    own_users: bool = False

    @property
    def own_files(self) -> bool:
        """Whether a mount namespace is needed."""
        return bool(self.writable or self.hide or self.read_only)

    def without_files(self) -> "Wanted":
        """The same, with the host's files as they are."""
        return replace(self, writable=(), read_only=(), hide=())


def available(*options: str) -> dict[str, object]:
    """What would really be in force with these options on this machine, found out by trying.

    Returns:
        ``network`` (``none`` or ``host``), ``files`` (``own`` or ``host``), ``users`` (``own`` or ``host``),
        ``capabilities`` (``none`` or ``kept``), ``new_privileges`` (``refused`` or ``possible``), ``parent``
        (``watched`` or ``not watched``), and the ``limits``.
    """
    answer = subprocess.run([*SHIM, *(options or ("--no-network",)), "--probe"], capture_output=True, check=False)
    facts: dict[str, object] = json.loads(answer.stdout) if answer.returncode == 0 else {"network": "host"}
    return facts


def _plans(wanted: Wanted) -> Iterator[Wanted]:
    """The combinations worth trying, the best first; the last one needs no namespace at all."""
    choices = [wanted, wanted.without_files()] if wanted.own_files else [wanted]
    if wanted.own_files and wanted.no_network:
        choices.append(replace(wanted, no_network=False))
    for choice in choices:
        if choice.no_network or choice.own_files:
            if os.geteuid() == 0:
                yield choice
            yield replace(choice, own_users=True)
    yield Wanted()


def _enter(plan: Wanted) -> dict[str, object]:
    """Make the namespaces of a plan, then give up every right to leave them."""
    if plan.no_network or plan.own_files:
        namespaces.unshare(users=plan.own_users, network=plan.no_network, mounts=plan.own_files)
    if plan.own_files:
        namespaces.mount_own_files(plan.writable, plan.read_only, plan.hide)
    return {
        "network": "none" if plan.no_network else "host",
        "files": "own" if plan.own_files else "host",
        "users": "own" if plan.own_users else "host",
        "capabilities": "none" if namespaces.drop_capabilities() else "kept",
        "new_privileges": "refused" if namespaces.refuse_new_privileges() else "possible",
    }


def _works(plan: Wanted) -> bool:
    """Whether a plan can be entered here: tried in a child, and thrown away with it."""
    child = os.fork()
    if child == 0:
        try:
            _enter(plan)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever it is, it must not leave the child
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _limit(file_size: int | None, open_files: int) -> dict[str, int]:
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: open_files}
    if file_size is not None:
        wanted[resource.RLIMIT_FSIZE] = file_size
    for kind, limit in wanted.items():
        ceiling = resource.getrlimit(kind)[1]
        value = limit if ceiling == resource.RLIM_INFINITY else min(limit, ceiling)
        resource.setrlimit(kind, (value, value))
    with suppress(OSError):  # when memory runs out, the kernel shall choose this one
        Path("/proc/self/oom_score_adj").write_text("500")
    return {"core": 0, "open_files": open_files, **({} if file_size is None else {"file_size": file_size})}


def isolate(options: argparse.Namespace) -> dict[str, object]:
    """Put the options in force for this process, for ever; returns what really is."""
    parent = os.getppid()
    limits = _limit(options.file_size, options.open_files)
    wanted = Wanted(options.no_network, tuple(options.writable), tuple(options.read_only), tuple(options.hide))
    folder = Path.cwd()
    facts = _enter(next(plan for plan in _plans(wanted) if plan == Wanted() or _works(plan)))
    if facts["files"] == "own":
        os.chdir(folder)  # the old one still lies in the host's files
    # Last, since a change of rights makes the kernel forget it.
    watched = options.watch_parent and namespaces.die_with_parent()
    if watched and os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)
    return {**facts, "parent": "watched" if watched else "not watched", "limits": limits}


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="functions._backends.isolation", allow_abbrev=False)
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--watch-parent", action="store_true")
    parser.add_argument("--probe", action="store_true")
    for name in ("--writable", "--read-only", "--hide"):
        parser.add_argument(name, action="append", default=[], type=os.path.realpath)
    parser.add_argument("--file-size", type=int)
    parser.add_argument("--open-files", type=int, default=OPEN_FILES)
    parser.add_argument("--report", type=int)
    parser.add_argument("command", nargs="*")
    return parser


def _become(command: Sequence[str], environment: Mapping[str, str]) -> int:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two, and what is ignored stays so
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), environment)  # noqa: S606 - the purpose of this file
    except OSError as error:
        sys.stderr.write(f"{command[0]!r} cannot be executed: {error.strerror}\n")
        return 127


def main(arguments: Sequence[str]) -> int:
    """Isolate this process and become the command."""
    options = _options().parse_args(arguments)
    if not options.command and not options.probe:
        _options().error("expected a command after --")
    facts = json.dumps(isolate(options))
    if options.probe:
        sys.stdout.write(facts)
        return 0
    if options.report is not None:
        with os.fdopen(options.report, "w") as report:
            report.write(facts)
    return _become(options.command, os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
