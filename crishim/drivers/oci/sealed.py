"""Copies of OCI runtimes in memory that nobody can change.

crun and runc run as such a copy of themselves, lest a container write to their file through /proc/PID/exe. They make
it anew for every command, and start a second time from it, which takes as long as the rest of many a command; unless
they are started from one.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

_COPY_THEMSELVES = ("crun", "runc")
_MFD_EXEC = 0x10  # <linux/memfd.h>; before Linux 6.3 there is no such flag, and every such file can be executed
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_SELINUX = Path("/sys/fs/selinux/enforce")  # its rules go by the program's file

_Version = tuple[int, int, int, int]
_copies: dict[tuple[Path, _Version], Path] = {}


def sealed(program: Path) -> Path:
    """The path of a copy of ``program`` that is as good to run, as long as this process lives; or ``program``.

    A program that has been replaced is copied again. Its first copy stays: something may just be about to run it.
    """
    if program.name not in _COPY_THEMSELVES:
        return program
    try:
        status = program.stat()
        key = program, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if key not in _copies:
            _copies[key] = program if _SELINUX.exists() else _copy(program)
        return _copies[key]
    except OSError:  # also where the node allows no program in memory
        return program


def _copy(program: Path) -> Path:
    content = program.read_bytes()
    if not content.startswith(b"\x7fELF"):
        return program  # a script, which the kernel hands to an interpreter by its path
    writing = _new_file(program.name)
    try:
        with os.fdopen(writing, "wb", closefd=False) as file:
            file.write(content)
        os.fchmod(writing, 0o755)
        fcntl.fcntl(writing, fcntl.F_ADD_SEALS, _SEALS)
        reading = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writing)  # what is open for writing cannot be executed
    return Path(f"/proc/{os.getpid()}/fd/{reading}")


def _new_file(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create(name, flags)
