"""Which of the addresses in a CNI result are the pod's, and which one comes first. Pure."""

from __future__ import annotations

from cni_runtime.result import IPConfig, Result
from crishim.core.config.types import IPPreference


def pod_ips(result: Result, preference: IPPreference) -> tuple[str, ...]:
    """The addresses of the pod's own interfaces, without prefix length, the primary one first."""
    ips = [ip for ip in result.ips if _inside(result, ip)]
    if preference is not IPPreference.CNI:
        wanted = 4 if preference is IPPreference.IPV4 else 6
        ips.sort(key=lambda ip: ip.family != wanted)
    return tuple(ip.ip for ip in ips)


def _inside(result: Result, ip: IPConfig) -> bool:
    """Whether an address is in the pod: results of old versions do not say, and then all are."""
    if ip.interface is None or not 0 <= ip.interface < len(result.interfaces):
        return True
    return bool(result.interfaces[ip.interface].sandbox)
