"""Run a function on a host of its own that is gone when the function ends.

The function runs in a forked child with new network, mount, PID, UTS and IPC namespaces:

    caller ── A: makes the namespaces, waits ── B: pid 1, mounts, reaps orphans ── C: runs the function

Only ``lo`` exists, and it is up. /run is empty; writes to /etc and /var/lib are seen by nobody else, and what the
machine has of CNI there is hidden; /proc and /sys show the new namespaces. When C ends, B ends, and with pid 1 the
kernel ends every process that is left, then drops mounts, devices and rules. Not separate: the rest of the file
system, cgroups, users.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_BIND, _MS_MOVE, _MS_REC, _MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_MNT_DETACH = 2
_PRIVATE_COPIES = ("/etc", "/var/lib")
_SECURITY = {"/sys/kernel/security": "securityfs", "/sys/fs/selinux": "selinuxfs"}
_HIDDEN = ("/etc/cni", "/var/lib/cni")  # in the private copies

_libc = ctypes.CDLL(None, use_errno=True)


class ThrowawayHostError(Exception):
    """The host could not be made, or the function ended without an answer or not in time."""


def run_on_throwaway_host(function: Callable[[], bytes], *, timeout: float | None = None) -> bytes:
    """Run ``function`` in a child on a new host and return what it returned; needs root.

    ``timeout`` in seconds, None: wait without end. Raises ThrowawayHostError with the child's traceback or the
    way it ended. The caller's memory is copied, so the function sees all its objects, but changes only copies.
    """
    reading, writing = os.pipe()
    pid = _fork()
    if pid == 0:
        os.close(reading)
        _child(writing, lambda: _make_namespaces(writing, function))
    os.close(writing)
    try:
        answer = _read_all(reading, timeout)
    except BaseException:
        os.kill(pid, signal.SIGTERM)
        raise
    finally:
        os.close(reading)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise ThrowawayHostError(answer.decode(errors="replace") or f"the child ended with status {status}")
    return answer


def _make_namespaces(writing: int, function: Callable[[], bytes]) -> int:
    _die_with_parent()
    _call("unshare", _CLONE_NEWNET | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWUTS | _CLONE_NEWIPC)
    pid = _fork()
    if pid == 0:
        _child(writing, lambda: _be_init(writing, function))
    os.close(writing)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    # The wait for pid 1 of a PID namespace ends when every process in it is gone
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _be_init(writing: int, function: Callable[[], bytes]) -> int:
    _die_with_parent()
    _mount_private_tree()
    _loopback_up()
    pid = _fork()
    if pid == 0:
        _child(writing, lambda: _answer(writing, function()))
    os.close(writing)
    while True:
        ended, status = os.wait()
        if ended == pid:
            # A shell's convention: an exit status cannot be negative
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _answer(writing: int, answer: bytes) -> int:
    with os.fdopen(writing, "wb", closefd=False) as stream:
        stream.write(answer)
    return 0


def _child(writing: int, body: Callable[[], int]) -> NoReturn:
    """Run ``body`` and end this process with its status, never returning into the caller's frames."""
    status = 1
    try:
        status = body()
    except BaseException:
        _answer(writing, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns when other threads exist. The child uses none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _read_all(fd: int, timeout: float | None) -> bytes:
    end = None if timeout is None else time.monotonic() + timeout
    chunks: list[bytes] = []
    while True:
        left = None if end is None else max(0.0, end - time.monotonic())
        if not select.select([fd], [], [], left)[0]:
            raise ThrowawayHostError(f"no answer within {timeout} s; everything on the throw-away host was killed")
        chunk = os.read(fd, 1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def _mount_private_tree() -> None:
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    _mount("proc", "/proc", "proc")
    _detach("/run")
    _mount("tmpfs", "/run", "tmpfs", data="mode=755")
    for number, place in enumerate(_PRIVATE_COPIES):
        upper, work = Path(f"/run/.copy/{number}/upper"), Path(f"/run/.copy/{number}/work")
        upper.mkdir(parents=True)
        work.mkdir()
        _mount("overlay", place, "overlay", data=f"lowerdir={place},upperdir={upper},workdir={work}")
    for place in _HIDDEN:
        shutil.rmtree(place, ignore_errors=True)
    _mount_sys()


def _detach(place: str) -> None:
    """Take away what is mounted at and below ``place``, which would still be listed as mounted if only covered."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4])
        if point.is_relative_to(place):
            _libc.umount2(bytes(point), _MNT_DETACH)  # fails for what has gone with the mount it was on


def _mount_sys() -> None:
    """A fresh /sys shows the devices of this network namespace; the cgroup mounts below it are carried over."""
    keep = Path("/run/.cgroup")
    keep.mkdir()
    _mount("/sys/fs/cgroup", str(keep), "", _MS_BIND | _MS_REC)
    shown = [place for place in _SECURITY if os.path.ismount(place)]
    _mount("sysfs", "/sys", "sysfs")
    for place in shown:
        _mount(_SECURITY[place], place, _SECURITY[place])
    _mount(str(keep), "/sys/fs/cgroup", "", _MS_MOVE)
    keep.rmdir()


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(handle, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _die_with_parent() -> None:
    _call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), flags, data.encode())


def _call(name: str, *args: int | bytes) -> None:
    converted = [ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args]
    if getattr(_libc, name)(*converted) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{name}{args}: {os.strerror(errno)}")
