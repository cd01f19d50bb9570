"""The numbers of system calls that are made, or let through, by number, under the names of <asm/unistd.h>."""

from __future__ import annotations

import errno
import platform
import sys

# fmt: off
_X86_64 = {
    "arch_prctl": 158, "brk": 12, "chdir": 80, "clock_gettime": 228, "clock_nanosleep": 230, "clone": 56, "clone3": 435,
    "close": 3, "close_range": 436, "dup": 32, "dup2": 33, "dup3": 292, "execve": 59, "exit": 60, "exit_group": 231,
    "fcntl": 72, "fstat": 5, "futex": 202, "getegid": 108, "geteuid": 107, "getgid": 104, "getpid": 39, "getppid": 110,
    "getrandom": 318, "gettid": 186, "getuid": 102, "keyctl": 250, "kill": 62, "madvise": 28, "mmap": 9, "mprotect": 10,
    "mremap": 25, "munmap": 11, "nanosleep": 35, "newfstatat": 262, "pause": 34, "pidfd_open": 434, "poll": 7,
    "ppoll": 271, "prctl": 157, "prlimit64": 302, "read": 0, "readlink": 89, "readlinkat": 267, "restart_syscall": 219,
    "rseq": 334, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "rt_sigsuspend": 130,
    "rt_sigtimedwait": 128, "sched_yield": 24, "sendto": 44, "set_robust_list": 273, "set_tid_address": 218,
    "setgroups": 116, "setpgid": 109, "setresgid": 119, "setresuid": 117, "setsid": 112, "sigaltstack": 131,
    "signalfd": 282, "signalfd4": 289, "statx": 332, "tgkill": 234, "uname": 63, "vfork": 58, "wait4": 61,
    "waitid": 247, "write": 1, "writev": 20,
}
# Of the architectures that have <asm-generic/unistd.h>, which lacks the older of two calls that do the same.
_GENERIC = {
    "brk": 214, "chdir": 49, "clock_gettime": 113, "clock_nanosleep": 115, "clone": 220, "clone3": 435, "close": 57,
    "close_range": 436, "dup": 23, "dup3": 24, "execve": 221, "exit": 93, "exit_group": 94, "fcntl": 25, "fstat": 80,
    "futex": 98, "getegid": 177, "geteuid": 175, "getgid": 176, "getpid": 172, "getppid": 173, "getrandom": 278,
    "gettid": 178, "getuid": 174, "keyctl": 219, "kill": 129, "madvise": 233, "mmap": 222, "mprotect": 226,
    "mremap": 216, "munmap": 215, "nanosleep": 101, "newfstatat": 79, "pidfd_open": 434, "ppoll": 73, "prctl": 167,
    "prlimit64": 261, "read": 63, "readlinkat": 78, "restart_syscall": 128, "rseq": 293, "rt_sigaction": 134,
    "rt_sigprocmask": 135, "rt_sigreturn": 139, "rt_sigsuspend": 133, "rt_sigtimedwait": 137, "sched_yield": 124,
    "sendto": 206, "set_robust_list": 99, "set_tid_address": 96, "setgroups": 159, "setpgid": 154, "setresgid": 149,
    "setresuid": 147, "setsid": 157, "sigaltstack": 132, "signalfd4": 74, "statx": 291, "tgkill": 131, "uname": 160,
    "wait4": 260, "waitid": 95, "write": 64, "writev": 66,
}
# fmt: on

NUMBERS = {"x86_64": _X86_64, "aarch64": _GENERIC, "riscv64": _GENERIC}
"""By architecture, as uname(2) names it, and by name."""


def this_machine() -> str:
    """The architecture that this process is of; raises OSError when its numbers are not known."""
    machine = platform.machine()
    if machine not in NUMBERS or sys.maxsize < 1 << 32:
        raise OSError(errno.ENOSYS, "the system calls of this architecture are not known", machine)
    return machine
