"""What a script of the process trainer finds when it starts, and which packages it may count on."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from functions._backends.runs import machine
from functions._backends.runs.conventions import Layout, arguments, variables
from functions._domain.errors import RejectedContent
from functions._domain.ports import Run


def command(run: Run, image: Path) -> list[str]:
    """What to execute: the run's command, hyper-parameters as ``--name value`` behind it.

    Raises:
        RejectedContent: the command is a script that the image folder does not have.
    """
    first, *rest = run.command or ("train",)
    script = "train.py" if first == "train" else first
    if not script.endswith(".py"):
        return [script, *rest, *arguments(run)]
    if not (image / script).is_file():
        raise RejectedContent(f"the image folder has no {script}: add it, or name another with --command")
    return [sys.executable, script, *rest, *arguments(run)]


def environment(run: Run, layout: Layout, temporary: Path) -> dict[str, str]:
    """The whole environment of the script: nothing of ours, no credentials. ``temporary`` is a name of ``scratch``."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "LANG": "C.UTF-8",
        "HOME": str(layout.scratch),
        "TMPDIR": str(temporary),
        "USER": "polyglot",
        "LOGNAME": "polyglot",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables(run, layout),
    }


def checked_requirements(image: Path) -> dict[str, str]:
    """The versions of all packages that ``requirements.txt`` asks for; they are checked, never installed.

    Raises:
        RejectedContent: one is missing or of another version, with all of them named and what to do.
    """
    file = image / "requirements.txt"
    rows = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    wanted = [requirement for row in rows if (requirement := _requirement(row)) is not None]
    found = {requirement.name: _version(requirement.name) for requirement in wanted}
    missing = [
        f"{requirement} (found {found[requirement.name] or 'none'})"
        for requirement in wanted
        if not found[requirement.name] or not requirement.specifier.contains(found[requirement.name], prereleases=True)
    ]
    if missing:
        raise RejectedContent(
            f"requirements.txt asks for {', '.join(missing)}: the process trainer checks packages and installs none. "
            f"Install them where the platform runs ({sys.executable} -m pip install -r requirements.txt), or change "
            "requirements.txt, then retry"
        )
    return dict(sorted(found.items()))


def _requirement(row: str) -> Requirement | None:
    """The requirement of a line; None where it is empty, says only where to find packages, or is for other machines."""
    text = row.partition(" #")[0].strip()
    if not text or text.startswith(("#", "--index-url", "--extra-index-url", "--find-links", "-i ", "-f ")):
        return None
    try:
        requirement = Requirement(text.partition(" --hash")[0].rstrip("\\ "))
    except InvalidRequirement as error:
        raise RejectedContent(
            f"requirements.txt has the line {text[:200]!r}, which is not a package with its versions: write it as "
            "NAME==VERSION"
        ) from error
    return requirement if requirement.marker is None or requirement.marker.evaluate() else None


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def facts(run: Run, packages: Mapping[str, str]) -> dict[str, object]:
    """What is recorded of the machine and of the packages that the script could use."""
    return {**machine.facts(run), "python": platform.python_version(), "packages": dict(packages)}
