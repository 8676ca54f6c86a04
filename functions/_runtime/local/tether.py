"""A program that becomes another one after asking the kernel to kill it when its parent dies.

Run by its path with ``python -I -S``, so it may import the standard library only::

    python -I -S tether.py <pid of the parent> <program> [argument]...

On Linux this is ``PR_SET_PDEATHSIG`` of prctl(2), which outlives execve(2). The signal comes when the parent's *thread*
ends that started the child: start children from one that lives long. Elsewhere the program simply becomes the other.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tether(parent: int) -> None:
    """Die when the parent dies, even if it is already gone."""
    if not sys.platform.startswith("linux"):
        return
    # SIGKILL, because an anvil that is asked to stop first writes its state over its successor's.
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the parent ended before the child began")


if __name__ == "__main__":
    tether(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the program is the point
