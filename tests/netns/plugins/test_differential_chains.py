"""Chains of plugins against the reference executables, field by field and by traffic, as in ``test_differential``.

Packet filter rules are not compared as such, since ours are made otherwise; what they do to packets is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.netns.plugins.differential import REFERENCE, unmeant
from tests.netns.plugins.test_differential import BRIDGE, DEFAULT, PTP, V4, V6, host_local

Chain = list[dict[str, Any]]

COMMON = {"cniVersion": "1.0.0", "name": "net"}
NET: dict[str, Any] = {**BRIDGE, **COMMON, "isDefaultGateway": True, "hairpinMode": True, "ipMasq": True}
NET4, NET46 = {**NET, "ipam": host_local(V4)}, {**NET, "ipam": host_local(V4, V6)}
ROUTED = {**PTP, **COMMON, "ipMasq": True, "ipam": host_local(V4, V6, routes=[DEFAULT, {"dst": "::/0"}])}
PLAIN = {**NET46, "ipMasq": False}
MEGABIT = 1_000_000
MAC = "02:00:00:00:00:99"


def chained(kind: str, **options: Any) -> dict[str, Any]:
    return {**COMMON, "type": kind, **options}


def port(number: int = 8080, protocol: str = "tcp", **more: Any) -> dict[str, Any]:
    return {"hostPort": number, "containerPort": 80, "protocol": protocol, **more}


def portmap(*ports: dict[str, Any], **options: Any) -> dict[str, Any]:
    return chained("portmap", runtimeConfig={"portMappings": list(ports)}, **options)


def bandwidth(**limits: int) -> dict[str, Any]:
    return chained("bandwidth", **limits)


INGRESS = {"ingressRate": 20 * MEGABIT, "ingressBurst": MEGABIT}
EGRESS = {"egressRate": 20 * MEGABIT, "egressBurst": MEGABIT}

CHAINS: dict[str, Chain] = {
    "portmap without ports": [NET4, chained("portmap")],
    "portmap": [NET4, portmap(port())],
    "portmap IPv6": [{**NET, "ipam": host_local(V6)}, portmap(port())],
    "portmap dual stack": [NET46, portmap(port())],
    "portmap dual stack without masquerading": [PLAIN, portmap(port())],
    "portmap UDP": [NET46, portmap(port(protocol="udp"))],
    "portmap TCP and UDP and another": [NET4, portmap(port(), port(protocol="udp"), port(8081))],
    "portmap one address of the host": [NET4, portmap(port(hostIP="192.0.2.1"))],
    "portmap loopback address": [NET4, portmap(port(hostIP="127.0.0.1"))],
    "portmap any address": [NET46, portmap(port(hostIP="0.0.0.0"))],
    "portmap one IPv6 address": [NET46, portmap(port(hostIP="2001:db8::1"))],
    "portmap without snat": [NET46, portmap(port(), snat=False)],
    "portmap masquerades all": [NET46, portmap(port(), masqAll=True)],
    "portmap condition that holds": [NET4, portmap(port(), conditionsV4=["-s", "192.0.2.2"])],
    "portmap condition that fails": [NET4, portmap(port(), conditionsV4=["!", "-s", "192.0.2.2"])],
    "portmap mark": [NET4, portmap(port(), markMasqBit=5)],
    "portmap after ptp": [ROUTED, portmap(port())],
    "firewall": [NET46, chained("firewall")],
    "firewall without masquerading": [PLAIN, chained("firewall")],
    "firewall admin chain": [NET4, chained("firewall", iptablesAdminChainName="ADMIN")],
    "firewall same-bridge": [NET4, chained("firewall", ingressPolicy="same-bridge")],
    "firewall isolated": [NET4, chained("firewall", ingressPolicy="isolated")],
    "firewall after ptp": [ROUTED, chained("firewall")],
    "firewall and portmap": [NET4, portmap(port()), chained("firewall")],
    "bandwidth in": [NET4, bandwidth(**INGRESS)],
    "bandwidth out": [NET4, bandwidth(**EGRESS)],
    "bandwidth both": [NET46, bandwidth(**INGRESS, **EGRESS)],
    "bandwidth after ptp": [ROUTED, bandwidth(**INGRESS, **EGRESS)],
    "bandwidth of the runtime": [NET4, chained("bandwidth", runtimeConfig={"bandwidth": {**INGRESS, **EGRESS}})],
    "tuning sysctls": [NET4, chained("tuning", sysctl={"net.core.somaxconn": "500", "net.ipv4.ip_forward": "1"})],
    "tuning link": [NET4, chained("tuning", mtu=1400, promisc=True, allmulti=True, txQLen=77)],
    "tuning MAC": [NET4, chained("tuning", runtimeConfig={"mac": MAC})],
    "sbr": [NET46, chained("sbr")],
    "sbr table": [NET4, chained("sbr", table=77)],
    "sbr after ptp": [{**ROUTED, "ipam": host_local(V4, routes=[DEFAULT])}, chained("sbr")],
    "everything": [
        NET46,
        chained("tuning", mtu=1400, sysctl={"net.core.somaxconn": "500"}),
        bandwidth(**INGRESS),
        chained("firewall"),
        portmap(port(), port(protocol="udp")),
    ],
}

MEANT = {
    "bandwidth": (r"host (link|address) bwp[0-9a-f]+\.ifalias",),  # by which GC finds the ifb
}
# The reference plugin lets 127.0.0.1 be routed also when only IPv6 addresses are forwarded.
MEANT_FOR = {"portmap one IPv6 address": (r"host sysctl net/ipv4/conf/br0/route_localnet",)}


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference plugins are not built: hack/build-tools")
@pytest.mark.parametrize("name", CHAINS)
def test_same_state_and_traffic_as_the_reference(name: str) -> None:
    chain = CHAINS[name]
    meant = [*MEANT_FOR.get(name, ()), *(field for config in chain for field in MEANT.get(config["type"], ()))]
    assert unmeant(chain, pods=1 if MAC in str(chain) else 2, meant=meant) == []


FLANNEL_NODE = """FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.1.1/24
FLANNEL_IPV6_NETWORK=fd00:244::/48
FLANNEL_IPV6_SUBNET=fd00:244:0:1::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=%s
"""


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference plugins are not built: hack/build-tools")
@pytest.mark.parametrize("masquerading", ["true", "false"])
def test_flannel_with_ports(tmp_path: Path, masquerading: str) -> None:
    path = tmp_path / "subnet.env"
    path.write_text(FLANNEL_NODE % masquerading)
    delegate = {"bridge": "br0", "isDefaultGateway": True, "hairpinMode": True}
    flannel = chained("flannel", subnetFile=str(path), delegate=delegate)
    chain = [{**config, "cniVersion": "0.4.0"} for config in (flannel, portmap(port()))]
    assert unmeant(chain) == []
