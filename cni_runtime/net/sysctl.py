"""Sysctls of the network namespace that the calling thread is in.

Keys have slashes, since interface names may have dots: ``net/ipv4/conf/eth0.10/arp_notify``.
"""

from __future__ import annotations

import errno
import os

from cni_runtime import faults

_ROOT = "/proc/sys/"
_LENGTH = 4096


def read(key: str) -> str:
    """The value. Raises OSError (FileNotFoundError: the kernel has no such key)."""
    handle = os.open(_ROOT + key, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, _LENGTH).decode().strip()
    finally:
        os.close(handle)


def write(key: str, value: str) -> None:
    """Set the value, if it is another one: some writes wait for the kernel's link lock. Raises OSError."""
    faults.reach("sysctl.write")
    try:
        handle = os.open(_ROOT + key, os.O_RDWR | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.EROFS and read(key) == value:
            return
        if exc.errno != errno.EACCES:
            raise
        _write_only(key, value)
        return
    try:
        if os.read(handle, _LENGTH).decode().strip() != value:
            os.pwrite(handle, value.encode(), 0)
    finally:
        os.close(handle)


def _write_only(key: str, value: str) -> None:
    """Some cannot be read: ``net/ipv4/route/flush``."""
    handle = os.open(_ROOT + key, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, value.encode())
    finally:
        os.close(handle)
