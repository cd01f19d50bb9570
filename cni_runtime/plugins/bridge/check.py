"""CHECK: is the attachment as ADD left it? Comparing is pure; only an MTU that drifted is repaired."""

from __future__ import annotations

from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net.effects import ChangeLink
from cni_runtime.net.inspect import HostLinks, NetnsView
from cni_runtime.net.plan import Plan, Where
from cni_runtime.plugins.base import pod_interface, where_of
from cni_runtime.plugins.bridge.config import BridgeConfig
from cni_runtime.plugins.pod_link import check_pod_link
from cni_runtime.result import Interface, Result


def check_attachment(
    call: PluginCall, config: BridgeConfig, result: Result, view: NetnsView, host: HostLinks | None
) -> HostLinks:
    """What was found on the host, if all is as ``result`` says; raises CniError that says what is not."""
    pod, ifname = pod_interface(call, result), call.ifname
    link = view.link(ifname)
    if link is None or link.kind != "veth":
        raise CniError(f"there is no veth {ifname} in {view.path}")
    if pod.mac and pod.mac != link.mac:
        raise CniError(f"interface {ifname} has MAC {link.mac}, expected {pod.mac}")
    if host is None or host.bridge is None or host.bridge.name != config.bridge:
        raise CniError(f"interface {ifname} does not lead into bridge {config.bridge}")
    _check_host(call, config, result, host)
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


def _check_host(call: PluginCall, config: BridgeConfig, result: Result, host: HostLinks) -> None:
    assert host.bridge is not None
    if host.bridge.promiscuous != config.promisc_mode:
        raise CniError(f"promiscuous mode of bridge {config.bridge} is {host.bridge.promiscuous}")
    for link in (host.bridge, host.veth):
        expected = _host_interface(call, result, link.name)
        if expected.mac and expected.mac != link.mac:
            raise CniError(f"interface {link.name} has MAC {link.mac}, expected {expected.mac}")


def _host_interface(call: PluginCall, result: Result, name: str) -> Interface:
    for interface in result.interfaces:
        if interface.name == name and not interface.sandbox:
            return interface
    raise ConfigError(f"{where_of(call)}: prevResult does not have the host's interface {name}")
