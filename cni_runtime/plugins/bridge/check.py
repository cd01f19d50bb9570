"""CHECK: is the attachment as ADD left it? Comparing is pure; only an MTU that drifted is repaired."""

from __future__ import annotations

from collections.abc import Callable

from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net.effects import ChangeLink
from cni_runtime.net.inspect import HostLinks, NetnsView
from cni_runtime.net.plan import Plan, Where
from cni_runtime.plugins.bridge.config import BridgeConfig
from cni_runtime.plugins.pod_link import check_pod_link
from cni_runtime.result import Interface, Result

_Fits = Callable[[Interface], bool]


def check_attachment(
    config: BridgeConfig, result: Result, view: NetnsView, ifname: str, host: HostLinks | None
) -> HostLinks:
    """What was found on the host, if all is as ``result`` says; raises CniError that says what is not."""
    pod = _named(result, ifname, lambda interface: interface.sandbox == view.path)
    link = view.link(ifname)
    if link is None or link.kind != "veth":
        raise CniError(f"there is no veth {ifname} in {view.path}")
    if pod.mac and pod.mac != link.mac:
        raise CniError(f"interface {ifname} has MAC {link.mac}, expected {pod.mac}")
    if host is None or host.bridge is None or host.bridge.name != config.bridge:
        raise CniError(f"interface {ifname} does not lead into bridge {config.bridge}")
    _check_host(config, result, host)
    if config.ipam.type:
        check_pod_link(view, ifname, result)
    return host


def mtu_repair(config: BridgeConfig, host: HostLinks) -> Plan:
    """The effect that gives the host's end the MTU asked for, where it is another one.

    The pod's end is left alone: a tuning that comes after in the chain may have set its MTU.
    """
    if not config.mtu or host.veth.mtu == config.mtu:
        return ()
    return (ChangeLink(Where.HOST, host.veth.name, mtu=config.mtu),)


def _check_host(config: BridgeConfig, result: Result, host: HostLinks) -> None:
    assert host.bridge is not None
    if host.bridge.promiscuous != config.promisc_mode:
        raise CniError(f"promiscuous mode of bridge {config.bridge} is {host.bridge.promiscuous}")
    for link in (host.bridge, host.veth):
        expected = _named(result, link.name, lambda interface: not interface.sandbox)
        if expected.mac and expected.mac != link.mac:
            raise CniError(f"interface {link.name} has MAC {link.mac}, expected {expected.mac}")


def _named(result: Result, name: str, fits: _Fits) -> Interface:
    found = next((one for one in result.interfaces if one.name == name and fits(one)), None)
    if found is None:
        raise ConfigError(f"prevResult does not have the interface {name} where it is")
    return found
