"""Which kernel parameters a pod may set, those its own namespaces have a copy of, and which it gets unasked. Pure.

Source: the Kubernetes documentation of pod sysctls, and the OCI runtimes' rules for ``linux.sysctl``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crishim.core.errors import InvalidArgumentError
from crishim.core.sysctls import NamespaceKind, sysctl_interface, sysctl_namespace, sysctl_path
from crishim.model.pod import IDMapping

_PING_GROUPS = "net.ipv4.ping_group_range"


def check_sysctls(sysctls: Mapping[str, str], host_network: bool, host_ipc: bool) -> None:
    """Raise InvalidArgumentError that names every parameter the pod may not set, each with the reason."""
    reasons = {name: _refusal(name, host_network, host_ipc) for name in sysctls}
    refused = [f"{name!r} {reason}" for name, reason in reasons.items() if reason]
    refused += _set_twice([name for name, reason in reasons.items() if not reason])
    if refused:
        raise InvalidArgumentError(f"config.linux.sysctls: {'; '.join(refused)}")


def unprivileged_network(*, ports: bool, icmp: bool) -> dict[str, str]:
    """What lets processes without privileges bind every port, and send ping, in a network namespace.

    Source: ip-sysctl.rst and icmp(7); the names are those that containerd's options of this kind write.
    """
    sysctls = {}
    if ports:
        sysctls["net.ipv4.ip_unprivileged_port_start"] = "0"
    if icmp:
        sysctls[_PING_GROUPS] = "0 2147483647"
    return sysctls


def for_groups(defaults: Mapping[str, str], gids: Iterable[IDMapping]) -> dict[str, str]:
    """What of ``unprivileged_network`` means the same in a user namespace: it has no more groups than are mapped."""
    last = next(extent.length - 1 for extent in gids if extent.container_id == 0)
    return {name: f"0 {last}" if name == _PING_GROUPS else value for name, value in defaults.items()}


def with_defaults(asked: Mapping[str, str], defaults: Mapping[str, str], host_network: bool) -> dict[str, str]:
    """What ``asked`` and ``defaults``, parameters of a network namespace, come to; what the pod asks for wins.

    A pod in the node's network gets no defaults: they would change the node.
    """
    if host_network:
        return dict(asked)
    own = {sysctl_path(name) for name in asked}
    return {name: value for name, value in defaults.items() if sysctl_path(name) not in own} | dict(asked)


def split_by_interface(sysctls: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters to write when the namespaces are made, and those of interfaces that CNI has yet to make."""
    late = {name: value for name, value in sysctls.items() if sysctl_interface(sysctl_path(name)) not in (None, "lo")}
    return {name: value for name, value in sysctls.items() if name not in late}, late


def _refusal(name: str, host_network: bool, host_ipc: bool) -> str:
    try:
        path = sysctl_path(name)
    except InvalidArgumentError:
        return "is not the name of a kernel parameter"
    kind = sysctl_namespace(path)
    if kind is None:
        return "is not namespaced: it would change the node"
    if path == ("kernel", "hostname"):
        return "is set by the pod's hostname"
    if kind is NamespaceKind.IPC and host_ipc:
        return "would change the node: the pod uses the node's IPC namespace"
    if kind is not NamespaceKind.IPC and host_network:
        return f"would change the node: the pod uses the node's {kind} namespace"
    return ""


def _set_twice(names: list[str]) -> list[str]:
    spellings: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        spellings.setdefault(sysctl_path(name), []).append(name)
    return [f"{' and '.join(map(repr, same))} are the same parameter" for same in spellings.values() if len(same) > 1]
