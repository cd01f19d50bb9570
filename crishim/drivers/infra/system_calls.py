"""The system calls an infra process may make: those that start it, and those it waits with.

It is in no control group of the pod's, so a container that may trace it (CAP_SYS_PTRACE) must not get anything into it
that its own control group denies it. Above all no descriptor, such as that of a device: so nothing can be opened here,
nothing received, and nothing that takes memory of the kernel's can be made.

The filter is a classic BPF program on ``struct seccomp_data``, see seccomp(2) and <linux/bpf_common.h>.
"""

from __future__ import annotations

import errno
import functools
import platform
import struct
import sys

from crishim.drivers import credentials

# The names are those of <asm/unistd.h>. The thread that starts the process has the filter in its last moments, too.
_WHILE_IT_STARTS = (
    "clone clone3 vfork rt_sigaction rt_sigprocmask setsid setpgid setresuid setresgid getuid getgid geteuid getegid "
    "dup dup2 dup3 fcntl close close_range chdir execve exit exit_group "
    "mmap mprotect munmap mremap madvise brk arch_prctl set_tid_address set_robust_list rseq prlimit64 getrandom uname "
    "readlink readlinkat prctl"
)
_WHILE_IT_WAITS = (
    "signalfd signalfd4 read poll ppoll pause rt_sigtimedwait rt_sigsuspend rt_sigreturn sigaltstack restart_syscall "
    "wait4 waitid kill tgkill getpid getppid gettid write writev fstat newfstatat statx futex sched_yield "
    "nanosleep clock_nanosleep clock_gettime"
)
_WHILE_THE_THREAD_ENDS = "pidfd_open sendto"
ALLOWED = frozenset(f"{_WHILE_IT_STARTS} {_WHILE_IT_WAITS} {_WHILE_THE_THREAD_ENDS}".split())

# fmt: off
_X86_64 = {
    "arch_prctl": 158, "brk": 12, "chdir": 80, "clock_gettime": 228, "clock_nanosleep": 230, "clone": 56,
    "clone3": 435, "close": 3, "close_range": 436, "dup": 32, "dup2": 33, "dup3": 292, "execve": 59, "exit": 60,
    "exit_group": 231, "fcntl": 72, "fstat": 5, "futex": 202, "getegid": 108, "geteuid": 107, "getgid": 104,
    "getpid": 39, "getppid": 110, "getrandom": 318, "gettid": 186, "getuid": 102, "kill": 62, "madvise": 28,
    "mmap": 9, "mprotect": 10, "mremap": 25, "munmap": 11, "nanosleep": 35, "newfstatat": 262, "pause": 34,
    "pidfd_open": 434, "poll": 7, "ppoll": 271, "prctl": 157, "prlimit64": 302, "read": 0, "readlink": 89,
    "readlinkat": 267, "restart_syscall": 219, "rseq": 334, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "rt_sigsuspend": 130, "rt_sigtimedwait": 128, "sched_yield": 24, "sendto": 44,
    "set_robust_list": 273, "set_tid_address": 218, "setpgid": 109, "setresgid": 119, "setresuid": 117, "setsid": 112,
    "sigaltstack": 131, "signalfd": 282, "signalfd4": 289, "statx": 332, "tgkill": 234, "uname": 63, "vfork": 58,
    "wait4": 61, "waitid": 247, "write": 1, "writev": 20,
}
# Of the architectures that have <asm-generic/unistd.h>, which lacks the older of two calls that do the same.
_GENERIC = {
    "brk": 214, "chdir": 49, "clock_gettime": 113, "clock_nanosleep": 115, "clone": 220, "clone3": 435, "close": 57,
    "close_range": 436, "dup": 23, "dup3": 24, "execve": 221, "exit": 93, "exit_group": 94, "fcntl": 25, "fstat": 80,
    "futex": 98, "getegid": 177, "geteuid": 175, "getgid": 176, "getpid": 172, "getppid": 173, "getrandom": 278,
    "gettid": 178, "getuid": 174, "kill": 129, "madvise": 233, "mmap": 222, "mprotect": 226, "mremap": 216,
    "munmap": 215, "nanosleep": 101, "newfstatat": 79, "pidfd_open": 434, "ppoll": 73, "prctl": 167, "prlimit64": 261,
    "read": 63, "readlinkat": 78, "restart_syscall": 128, "rseq": 293, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "rt_sigsuspend": 133, "rt_sigtimedwait": 137, "sched_yield": 124, "sendto": 206,
    "set_robust_list": 99, "set_tid_address": 96, "setpgid": 154, "setresgid": 149, "setresuid": 147, "setsid": 157,
    "sigaltstack": 132, "signalfd4": 74, "statx": 291, "tgkill": 131, "uname": 160, "wait4": 260, "waitid": 95,
    "write": 64, "writev": 66,
}
# fmt: on

# By architecture: AUDIT_ARCH_* of <linux/audit.h>, and the numbers.
_ARCHITECTURES = {
    "x86_64": (0xC000003E, _X86_64),
    "aarch64": (0xC00000B7, _GENERIC),
    "riscv64": (0xC00000F3, _GENERIC),
}

SUPPORTED = frozenset(_ARCHITECTURES)
"""The architectures, as uname(2) names them, that there is a filter for."""

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOSYS


@functools.cache
def program(machine: str) -> bytes:
    """The filter of an architecture. What it refuses, calls of another architecture too, fails with ENOSYS."""
    architecture, numbers = _ARCHITECTURES[machine]
    calls = sorted(numbers.values())
    body = [_instruction(_EQUAL, number, len(calls) - position) for position, number in enumerate(calls)]
    return b"".join(
        (
            _instruction(_LOAD, _ARCHITECTURE_AT),
            _instruction(_EQUAL, architecture, 1),
            _instruction(_RETURN, _REFUSE),
            _instruction(_LOAD, _NUMBER_AT),
            *body,
            _instruction(_RETURN, _REFUSE),
            _instruction(_RETURN, _ALLOW),
        )
    )


def confine() -> None:
    """Put the filter on the calling thread and all it starts. Raises OSError."""
    machine = platform.machine()
    if machine not in SUPPORTED or sys.maxsize < 1 << 32:
        raise OSError(errno.ENOSYS, "there is no filter of system calls for this architecture", machine)
    credentials.filter_system_calls(program(machine))


def _instruction(code: int, operand: int, when_true: int = 0) -> bytes:
    """When ``operand`` equals what was loaded, skip ``when_true`` instructions."""
    return struct.pack("=HBBI", code, when_true, 0, operand)
