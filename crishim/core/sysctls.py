"""Names of kernel parameters: both ways to spell them, and the kind of namespace that has its own copy.

Source: sysctl(8) for the spelling; namespaces(7), ipc_namespaces(7) and the OCI runtime specification
("linux.sysctl") for what is namespaced.
"""

from __future__ import annotations

import re
from enum import StrEnum

from crishim.core.errors import InvalidArgumentError


class NamespaceKind(StrEnum):
    """The namespaces of a pod; the values are the names under ``/proc/PID/ns``."""

    NET = "net"
    IPC = "ipc"
    UTS = "uts"
    USER = "user"


# The kernel's own names hold nothing else; an interface name, which is part of some, may hold more.
_COMPONENT = re.compile(r"[A-Za-z0-9_.:@+-]+")
_IPC_OF_KERNEL = re.compile(r"shm\w*|msg\w*|sem")


def sysctl_path(name: str) -> tuple[str, ...]:
    """The path of ``name`` below ``/proc/sys``, as components.

    The first ``.`` or ``/`` in a name is its separator; the other one then stands for itself turned round:
    ``net.ipv4.conf.eth0/1.forwarding`` and ``net/ipv4/conf/eth0.1/forwarding`` are the same parameter.
    Raises InvalidArgumentError for a name that could lead anywhere else.
    """
    separator = next((character for character in name if character in "./"), ".")
    parts = name.split(separator)
    if separator == ".":
        parts = [part.replace("/", ".") for part in parts]
    if len(parts) < 2 or not all(_COMPONENT.fullmatch(part) and part not in (".", "..") for part in parts):
        raise InvalidArgumentError(f"sysctl {name!r}: not the name of a kernel parameter")
    return tuple(parts)


def sysctl_namespace(path: tuple[str, ...]) -> NamespaceKind | None:
    """The kind of namespace that has its own copy of the parameter at ``path``; None: the node has only one."""
    match path:
        case ("net", *_):
            return NamespaceKind.NET
        case ("fs", "mqueue", _):
            return NamespaceKind.IPC
        case ("kernel", last) if _IPC_OF_KERNEL.fullmatch(last):
            return NamespaceKind.IPC
        case ("kernel", "domainname" | "hostname"):
            return NamespaceKind.UTS
        case _:
            return None


def sysctl_interface(path: tuple[str, ...]) -> str | None:
    """The network interface that the parameter at ``path`` belongs to; None when it is not of one interface."""
    match path:
        case ("net", _, "conf" | "neigh", interface, _) if interface not in ("all", "default"):
            return interface
        case _:
            return None
