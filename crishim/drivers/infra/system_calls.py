"""The system calls an infra process may make: those that start it, and those it waits with.

It is in no control group of the pod's, so a container that may trace it (CAP_SYS_PTRACE) must not get anything into it
that its own control group denies it. Above all no descriptor, such as that of a device: so nothing can be opened here,
nothing received, and nothing that takes memory of the kernel's can be made.

The filter is a classic BPF program on ``struct seccomp_data``, see seccomp(2) and <linux/bpf_common.h>.
"""

from __future__ import annotations

import errno
import functools
import struct

from crishim.drivers import credentials
from crishim.drivers.call_numbers import NUMBERS, this_machine

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

# AUDIT_ARCH_* of <linux/audit.h>
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}

SUPPORTED = frozenset(NUMBERS)
"""The architectures, as uname(2) names them, that there is a filter for."""

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOSYS


@functools.cache
def program(machine: str) -> bytes:
    """The filter of an architecture. What it refuses, calls of another architecture too, fails with ENOSYS."""
    numbers = NUMBERS[machine]
    calls = sorted(numbers[name] for name in ALLOWED if name in numbers)
    body = [_instruction(_EQUAL, number, len(calls) - position) for position, number in enumerate(calls)]
    return b"".join(
        (
            _instruction(_LOAD, _ARCHITECTURE_AT),
            _instruction(_EQUAL, _ARCHITECTURES[machine], 1),
            _instruction(_RETURN, _REFUSE),
            _instruction(_LOAD, _NUMBER_AT),
            *body,
            _instruction(_RETURN, _REFUSE),
            _instruction(_RETURN, _ALLOW),
        )
    )


def confine() -> None:
    """Put the filter on the calling thread and all it starts. Raises OSError."""
    credentials.filter_system_calls(program(this_machine()))


def _instruction(code: int, operand: int, when_true: int = 0) -> bytes:
    """When ``operand`` equals what was loaded, skip ``when_true`` instructions."""
    return struct.pack("=HBBI", code, when_true, 0, operand)
