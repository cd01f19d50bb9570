"""Decide whether a pod configuration can be run at all, before anything is touched. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from crishim.core.errors import refusal
from crishim.drivers.cgroups import CgroupDriver, check_cgroup_parent
from crishim.model.pod import NamespaceMode, NamespaceOptions, PodConfig, PortMapping
from crishim.sandbox.sysctls import check_sysctls
from crishim.sandbox.user_namespace import check_user_namespace

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_HOSTNAME_LIMIT = 64  # sethostname(2): __NEW_UTS_LEN


def check_config(config: PodConfig, cgroup_driver: CgroupDriver) -> None:
    """Raise InvalidArgumentError naming the field that cannot be honoured, what was found and expected."""
    check_cgroup_parent(config.cgroup_parent, cgroup_driver)
    _check_hostname(config.hostname)
    _check_namespaces(config.namespaces)
    for number, mapping in enumerate(config.port_mappings):
        _check_port_mapping(f"config.port_mappings[{number}]", mapping)
    options = config.namespaces
    check_sysctls(
        config.sysctls,
        host_network=options.network is NamespaceMode.NODE,
        host_ipc=options.ipc is NamespaceMode.NODE,
    )


def check_handler(requested: str, configured: Collection[str]) -> None:
    """Raise InvalidArgumentError for a runtime handler that is not configured; empty means the default one."""
    if requested and requested not in configured:
        raise refusal("runtime_handler", f"one of {', '.join(sorted(configured))}", requested)


def _check_hostname(hostname: str) -> None:
    if hostname and (len(hostname) > _HOSTNAME_LIMIT or not _HOSTNAME.fullmatch(hostname)):
        raise refusal("config.hostname", f"at most {_HOSTNAME_LIMIT} letters, digits, - and .", hostname)


def _check_namespaces(options: NamespaceOptions) -> None:
    field = "config.linux.security_context.namespace_options"
    for name, mode in (("network", options.network), ("ipc", options.ipc)):
        if mode not in (NamespaceMode.POD, NamespaceMode.NODE):
            raise refusal(f"{field}.{name}", "POD or NODE", mode.name)
    if options.pid is NamespaceMode.TARGET:
        raise refusal(f"{field}.pid", "POD, CONTAINER or NODE for a sandbox", options.pid.name)
    check_user_namespace(options)


def _check_port_mapping(field: str, mapping: PortMapping) -> None:
    if not 0 < mapping.container_port <= 65535:
        raise refusal(f"{field}.container_port", "1 to 65535", mapping.container_port)
    if not 0 <= mapping.host_port <= 65535:
        raise refusal(f"{field}.host_port", "0 to 65535", mapping.host_port)
    try:
        if mapping.host_ip:
            ipaddress.ip_address(mapping.host_ip)
    except ValueError:
        raise refusal(f"{field}.host_ip", "an IP address", mapping.host_ip) from None
