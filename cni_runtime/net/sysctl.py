"""Sysctls of the network namespace that the calling thread is in.

Keys have slashes, since interface names may have dots: ``net/ipv4/conf/eth0.10/arp_notify``.
"""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/proc/sys")


def read(key: str) -> str:
    """The value. Raises OSError (FileNotFoundError: the kernel has no such key)."""
    return (_ROOT / key).read_text().strip()


def write(key: str, value: str) -> None:
    """Set the value; when it is so already nothing is written, so a read-only /proc/sys does not matter. OSError."""
    path = _ROOT / key
    if path.read_text().strip() != value:
        path.write_text(value)
