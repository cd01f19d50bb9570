"""Which of the addresses in a CNI result are the pod's, and which one comes first. Pure."""

from __future__ import annotations

import ipaddress
from enum import StrEnum

from cni_runtime.result import IPConfig, Result


class IPPreference(StrEnum):
    """The order of a pod's addresses: as the CNI result has them, or one family first (``ip_pref``)."""

    CNI = "cni"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


def pod_ips(result: Result, preference: IPPreference) -> tuple[str, ...]:
    """The addresses of the pod's own interfaces, without prefix length, the primary one first."""
    ips = [ipaddress.ip_interface(ip.address).ip for ip in result.ips if _inside(result, ip)]
    if preference is not IPPreference.CNI:
        wanted = 4 if preference is IPPreference.IPV4 else 6
        ips.sort(key=lambda ip: ip.version != wanted)
    return tuple(map(str, ips))


def _inside(result: Result, ip: IPConfig) -> bool:
    """Whether an address is in the pod: results of old versions do not say, and then all are."""
    if ip.interface is None or not 0 <= ip.interface < len(result.interfaces):
        return True
    return bool(result.interfaces[ip.interface].sandbox)
