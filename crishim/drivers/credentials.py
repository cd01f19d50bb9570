"""What one thread may do and who it is: all it takes to give a thread nothing.

The kernel keeps users, groups and capabilities for each thread. The C library's setuid(3) and setgroups(3), and so
those of Python, change them for every thread of the process: here the system calls are made directly, by their numbers.
Every function raises OSError, and is meant for a thread that ends soon, for there is no way back.
"""

from __future__ import annotations

import ctypes
import errno

from crishim.drivers.call_numbers import NUMBERS, this_machine
from crishim.drivers.syscalls import check, prctl, quick

# <linux/prctl.h>
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_CAPBSET_DROP = 24
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PR_SET_NO_NEW_PRIVS = 38

_KEYCTL_JOIN_SESSION_KEYRING = 1  # <linux/keyctl.h>
_CAPABILITY_VERSION_3 = 0x20080522  # <linux/capability.h>


class _FilterProgram(ctypes.Structure):
    """``struct sock_fprog`` of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restore_dumpable() -> None:
    """Let this process leave core dumps again if it did before; see PR_SET_DUMPABLE in prctl(2).

    The kernel ends that for all of a process when an effective user changes in it, be it that of a child that shares
    its memory because it has not executed its program yet.
    """
    if _was_dumpable:
        prctl(_PR_SET_DUMPABLE, 1)


def give_up_privileges() -> None:
    """Let neither this thread nor what it starts gain privileges again, or find the keys of this process's session.

    What it holds now it keeps. See PR_SET_NO_NEW_PRIVS and PR_CAPBSET_DROP in prctl(2).
    """
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    try:
        for capability in range(64):
            prctl(_PR_CAPBSET_DROP, capability)
    except OSError as error:
        if error.errno != errno.EINVAL:  # beyond the last one that the kernel knows
            raise
    leave_keys()


def leave_keys() -> None:
    """Let this thread, and what it starts, find none of the keys of this process's session; see session-keyring(7)."""
    try:
        _system_call("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, 0)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # where this process has no access to any keys either
            raise


def become(user: int) -> None:
    """Make ``user`` the real and saved user and group of this thread, which then has no capability and no other group.

    The effective ones stay until it starts a program with ``real_ids``; see ``cni_runtime.spawn``. So no process of
    that user may trace this one meanwhile.
    """
    _system_call("setgroups", 0, 0)
    for name in ("setresgid", "setresuid"):
        _system_call(name, user, -1, user)
    header, no_capabilities = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    check(quick.capset(header, no_capabilities))


def filter_system_calls(program: bytes) -> None:
    """Let a BPF program decide on every further system call of this thread, and of what it starts.

    Only after ``give_up_privileges``; see PR_SET_SECCOMP in prctl(2).
    """
    described = _FilterProgram(len(program) // 8, program)
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(described))


def _system_call(name: str, *arguments: int) -> int:
    return check(quick.syscall(*map(ctypes.c_long, (NUMBERS[this_machine()][name], *arguments))))


_was_dumpable = prctl(_PR_GET_DUMPABLE) == 1
