"""What is recorded of the machine that a training ran on, for its provenance statement."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from functions._backends.runs.conventions import repeatable, seed
from functions._domain.ports import Run


def graphics() -> list[str]:
    """The GPUs of this machine with their drivers, as ``nvidia-smi`` names them; empty where there are none."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        listing = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [row.strip() for row in listing.stdout.splitlines() if row.strip()] if listing.returncode == 0 else []


def facts(run: Run) -> dict[str, object]:
    """The processor with its flags, the GPUs, the kernel, and the settings that the run was given."""
    model, flags = _processor()
    return {
        "cpu": {"model": model, "flags": flags, "machine": platform.machine(), "present": os.cpu_count() or 0},
        "processors": run.cpu,
        "threads": run.cpu,
        "gpus": graphics()[: run.gpu],
        "platform": platform.platform(),
        "seeds": {"PYTHONHASHSEED": 0, "POLYGLOT_SEED": seed(run)},
        "settings": repeatable(run),
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
