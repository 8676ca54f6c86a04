"""What a script finds when it starts, with SageMaker's names, and what is recorded of the machine it ran on.

The layout is that of ``/opt/ml`` (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html),
below the run's work folder, since ``/opt/ml`` is not ours to make on somebody's laptop:

    input/data/<channel>/…  input/config/hyperparameters.json  model/  output/{metrics.json,failure}
    image/ (the image folder, where the script starts)  scratch/ (HOME and TMPDIR)
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from functions._domain.errors import RejectedContent
from functions._domain.ports import Run


@dataclass(frozen=True)
class Layout:
    """The folders of one work folder."""

    work: Path

    @property
    def data(self) -> Path:
        """Channels."""
        return self.work / "input" / "data"

    @property
    def config(self) -> Path:
        """Hyper-parameters."""
        return self.work / "input" / "config"

    @property
    def image(self) -> Path:
        """The image folder, where the script starts."""
        return self.work / "image"

    @property
    def model(self) -> Path:
        """Where the script leaves its model."""
        return self.work / "model"

    @property
    def output(self) -> Path:
        """Where it leaves metrics, or why it failed."""
        return self.work / "output"

    @property
    def scratch(self) -> Path:
        """HOME and TMPDIR."""
        return self.work / "scratch"

    def make(self) -> None:
        """Make all folders."""
        for folder in (self.data, self.config, self.image, self.model, self.output, self.scratch):
            folder.mkdir(parents=True)


def seed(run: Run) -> int:
    """The seed that scripts are given: the hyper-parameter ``seed`` where it is a number, else 0."""
    wish = run.hyperparameters.get("seed", "0")
    return int(wish) if wish.isascii() and wish.isdecimal() else 0


def command(run: Run, image: Path) -> list[str]:
    """What to execute: the run's command, hyper-parameters as ``--name value`` behind it.

    Raises:
        RejectedContent: the command is a script that the image folder does not have.
    """
    first, *rest = run.command or ("train",)
    script = "train.py" if first == "train" else first
    arguments = [part for name in sorted(run.hyperparameters) for part in (f"--{name}", run.hyperparameters[name])]
    if not script.endswith(".py"):
        return [script, *rest, *arguments]
    if not (image / script).is_file():
        raise RejectedContent(f"the image folder has no {script}: add it, or name another with --command")
    return [sys.executable, script, *rest, *arguments]


def environment(run: Run, layout: Layout, temporary: Path) -> dict[str, str]:
    """The whole environment of the script: nothing of ours, no credentials. ``temporary`` is a name of ``scratch``."""
    channels = [channel.name for channel in run.channels]
    named = {f"CHANNEL_{channel}": str(layout.data / channel) for channel in channels}
    named |= {f"HP_{name}": value for name, value in run.hyperparameters.items()}
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "LANG": "C.UTF-8",
        "HOME": str(layout.scratch),
        "TMPDIR": str(temporary),
        "USER": "polyglot",
        "LOGNAME": "polyglot",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **_reproducible(run),
        "SM_CHANNELS": json.dumps(sorted(channels)),
        "SM_HPS": json.dumps(dict(run.hyperparameters), sort_keys=True),
        "SM_INPUT_DIR": str(layout.data.parent),
        "SM_INPUT_CONFIG_DIR": str(layout.config),
        "SM_MODEL_DIR": str(layout.model),
        "SM_OUTPUT_DIR": str(layout.output),
        "SM_OUTPUT_DATA_DIR": str(layout.output),
        "SM_NUM_CPUS": str(run.cpu),
        "SM_NUM_GPUS": str(run.gpu),
        **_sagemaker_names(named),
    }


def _sagemaker_names(named: Mapping[str, str]) -> dict[str, str]:
    """SageMaker's own names, which keep '-' and '.', and beside them names that a shell can read."""
    exact = {f"SM_{name.upper()}": value for name, value in named.items()}
    readable = {name.replace("-", "_").replace(".", "_"): value for name, value in exact.items()}
    return readable | exact


def _reproducible(run: Run) -> dict[str, str]:
    threads = str(run.cpu)
    return {
        "PYTHONHASHSEED": "0",
        "POLYGLOT_SEED": str(seed(run)),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "CUDA_VISIBLE_DEVICES": ",".join(str(number) for number in range(run.gpu)),
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


def graphics() -> list[str]:
    """The GPUs of this machine with their drivers, as ``nvidia-smi`` names them; empty where there are none."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        listing = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [row.strip() for row in listing.stdout.splitlines() if row.strip()] if listing.returncode == 0 else []


def facts(run: Run, packages: Mapping[str, str]) -> dict[str, object]:
    """What is recorded of the machine, for the provenance statement."""
    model, flags = _processor()
    return {
        "cpu": {"model": model, "flags": flags, "machine": platform.machine(), "present": os.cpu_count() or 0},
        "processors": run.cpu,
        "threads": run.cpu,
        "gpus": graphics()[: run.gpu],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(packages),
        "seeds": {"PYTHONHASHSEED": 0, "POLYGLOT_SEED": seed(run)},
        "settings": _reproducible(run),
    }


def _processor() -> tuple[str, Sequence[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor(), []
    rows = [row.partition(":") for row in text.partition("\n\n")[0].splitlines()]
    named = {name.strip().lower(): value.strip() for name, _, value in rows}
    flags = named.get("flags") or named.get("features") or ""
    return named.get("model name", platform.processor()), sorted(flags.split())
