"""What the measurements were made on."""

import os
import platform
from pathlib import Path


def description() -> str:
    """Processors, memory, system and Python in one line."""
    return (
        f"{len(os.sched_getaffinity(0))} × {_processor()}, {_memory() / 2**30:.0f} GiB memory, "
        f"{platform.system()}, Python {platform.python_version()}"
    )


def busy() -> float:
    """The load of the last minute, in processes: what else ran, when a measurement begins."""
    return os.getloadavg()[0]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
