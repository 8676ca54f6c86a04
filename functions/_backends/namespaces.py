"""The Linux calls behind ``isolation``: namespaces, mounts, capabilities; elsewhere each says that it did nothing.

Python 3.11 has none of them, so they go through ctypes. Sources: unshare(2), user_namespaces(7), mount(2),
mount_setattr(2), capset(2), prctl(2) of https://man7.org/linux/man-pages/.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 0x1000, 0x4000, 0x40000, 0x2, 0x4
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 0x1
_CAPABILITY_VERSION_3 = 0x20080522


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _must(name: str, *arguments: object) -> None:
    if getattr(_libc(), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _prctl(*arguments: int) -> bool:
    if sys.platform != "linux":
        return False
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:5]]
    return bool(_libc().prctl(*padded) == 0)


def unshare(*, users: bool, network: bool, mounts: bool) -> None:
    """Move this process into new namespaces; in a new user namespace it stays who it is.

    Raises:
        OSError: the kernel does not allow it, or is none of Linux.
    """
    if sys.platform != "linux":
        raise OSError("namespaces are Linux's")
    user, group = os.geteuid(), os.getegid()
    flags = _CLONE_NEWUSER * users | _CLONE_NEWNET * network | _CLONE_NEWNS * mounts
    _must("unshare", flags)
    if users:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _must("mount", encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])


def _set_read_only(folder: str, *, read_only: bool, below: bool = False) -> None:
    attributes = _MountAttributes(
        attr_set=_MOUNT_ATTR_RDONLY * read_only, attr_clr=_MOUNT_ATTR_RDONLY * (not read_only)
    )
    _must(
        "syscall", ctypes.c_long(_SYS_MOUNT_SETATTR), ctypes.c_int(_AT_FDCWD), os.fsencode(folder),
        ctypes.c_uint(_AT_RECURSIVE * below), ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes)),
    )  # fmt: skip


def mount_own_files(writable: Sequence[str], read_only: Sequence[str], hidden: Sequence[str]) -> None:
    """In a new mount namespace: all files read-only but below ``writable``, and the ``hidden`` folders empty.

    Raises:
        OSError: the kernel does not allow it (mount_setattr is of Linux 5.12).
    """
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    kept = [(folder, os.open(folder, os.O_PATH | os.O_DIRECTORY)) for folder in writable]  # before they are hidden
    for folder in hidden:
        _mount("tmpfs", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=64k")
    for folder, descriptor in kept:
        Path(folder).mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{descriptor}", folder, None, _MS_BIND | _MS_REC)
        os.close(descriptor)
    for folder in read_only:
        _mount(folder, folder, None, _MS_BIND | _MS_REC)
    private = ["/dev/shm"] if writable and Path("/dev/shm").is_dir() else []  # noqa: S108 - semaphores live there
    for folder in private:
        _mount("tmpfs", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777")
    if writable:
        _set_read_only("/", read_only=True, below=True)
    for folder in (*writable, *private):
        _set_read_only(folder, read_only=False)
    for folder in read_only:
        _set_read_only(folder, read_only=True)


def drop_capabilities() -> bool:
    """Give up all capabilities, for this process and what it executes; whether none is left."""
    if sys.platform != "linux":
        return os.geteuid() != 0
    for number in range(64):
        _prctl(_PR_CAPBSET_DROP, number)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    return bool(_libc().capset(header, (ctypes.c_uint32 * 6)()) == 0)


def refuse_new_privileges() -> bool:
    """Make set-user-id programs ordinary ones; whether that is in force."""
    return _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> bool:
    """Be killed when the parent's thread that started this process ends; whether that is in force."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> bool:
    """Become the parent of all descendants whose own parent dies, so that none is lost; whether that is in force."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)
