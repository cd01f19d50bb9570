"""loopback, bridge and ptp with host-local and static against the reference executables, field by field.

Every difference that is meant is in ``differential.MEANT``, and in docs/builtin-plugins.md with its reason.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.netns.plugins.differential import REFERENCE, unmeant

V4, V6 = "10.1.0.0/24", "fd00:1::/64"


def host_local(*subnets: str, **more: Any) -> dict[str, Any]:
    return {"type": "host-local", "ranges": [[{"subnet": subnet}] for subnet in subnets], **more}


BRIDGE = {"cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0"}
PTP = {"cniVersion": "1.1.0", "name": "net", "type": "ptp"}
DEFAULT = {"dst": "0.0.0.0/0"}

CONFIGS: dict[str, dict[str, Any]] = {
    "bridge layer 2": BRIDGE,
    "bridge addresses only": {**BRIDGE, "ipam": host_local(V4)},
    "bridge gateway": {**BRIDGE, "isGateway": True, "ipam": host_local(V4)},
    "bridge gateway with route": {**BRIDGE, "isGateway": True, "ipam": host_local(V4, routes=[DEFAULT])},
    "bridge default gateway": {**BRIDGE, "isDefaultGateway": True, "ipam": host_local(V4)},
    "bridge IPv6": {**BRIDGE, "isDefaultGateway": True, "ipam": host_local(V6)},
    "bridge dual stack": {**BRIDGE, "isDefaultGateway": True, "ipam": host_local(V4, V6)},
    "bridge duplicate address detection": {**BRIDGE, "isGateway": True, "enabledad": True, "ipam": host_local(V6)},
    "bridge MTU": {**BRIDGE, "isGateway": True, "mtu": 1400, "ipam": host_local(V4)},
    "bridge hairpin": {**BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": host_local(V4)},
    "bridge promiscuous": {**BRIDGE, "isGateway": True, "promiscMode": True, "ipam": host_local(V4)},
    "bridge isolated": {**BRIDGE, "isGateway": True, "portIsolation": True, "ipam": host_local(V4)},
    "bridge interface left down": {**BRIDGE, "disableContainerInterface": True},
    "bridge DNS": {**BRIDGE, "dns": {"nameservers": ["10.0.0.1"], "search": ["a", "b"]}, "ipam": host_local(V4)},
    "bridge routes": {
        **BRIDGE,
        "isGateway": True,
        "ipam": host_local(
            V4,
            routes=[{"dst": "192.0.2.0/24", "gw": "10.1.0.9"}, {"dst": "198.51.100.0/24", "priority": 7, "table": 99}],
        ),
    },
    "bridge scope": {
        **BRIDGE,
        "ipam": {
            "type": "static",
            "addresses": [{"address": "10.1.0.5/24"}],
            "routes": [{"dst": "192.0.2.0/24", "scope": 253}],
        },
    },
    "bridge version 0.3.1": {**BRIDGE, "cniVersion": "0.3.1", "isGateway": True, "ipam": host_local(V4, V6)},
    "bridge version 0.2.0": {**BRIDGE, "cniVersion": "0.2.0", "isGateway": True, "ipam": host_local(V4)},
    "bridge range": {
        **BRIDGE,
        "ipam": {"type": "host-local", "subnet": V4, "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.12"},
    },
    "bridge gateway of the range": {
        **BRIDGE,
        "isGateway": True,
        "ipam": {"type": "host-local", "subnet": V4, "gateway": "10.1.0.254"},
    },
    "bridge range set": {
        **BRIDGE,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": V4, "rangeEnd": "10.1.0.2"}, {"subnet": "10.2.0.0/24"}]]},
    },
    "bridge requested address": {**BRIDGE, "runtimeConfig": {"ips": ["10.1.0.77"]}, "ipam": host_local(V4)},
    "bridge ranges of the runtime": {
        **BRIDGE,
        "runtimeConfig": {"ipRanges": [[{"subnet": "10.3.0.0/24"}]]},
        "ipam": {"type": "host-local", "subnet": V4},
    },
    "bridge MAC": {**BRIDGE, "runtimeConfig": {"mac": "02:00:00:00:00:01"}, "ipam": host_local(V4)},
    "bridge static": {
        **BRIDGE,
        "ipam": {
            "type": "static",
            "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}, {"address": "fd00::5/64"}],
            "routes": [DEFAULT],
            "dns": {"nameservers": ["10.0.0.1"]},
        },
    },
    "ptp": {**PTP, "ipam": host_local(V4)},
    "ptp with route": {**PTP, "ipam": host_local(V4, routes=[DEFAULT])},
    "ptp IPv6": {**PTP, "ipam": host_local(V6, routes=[{"dst": "::/0"}])},
    "ptp dual stack": {**PTP, "ipam": host_local(V4, V6, routes=[DEFAULT, {"dst": "::/0"}])},
    "ptp MTU": {**PTP, "mtu": 1400, "ipam": host_local(V4)},
    "bridge masquerade": {**BRIDGE, "isDefaultGateway": True, "ipMasq": True, "ipam": host_local(V4, V6)},
    "bridge masquerade by nftables": {
        **BRIDGE,
        "isDefaultGateway": True,
        "ipMasq": True,
        "ipMasqBackend": "nftables",
        "ipam": host_local(V4),
    },
    "bridge forced address": {**BRIDGE, "isGateway": True, "forceAddress": True, "ipam": host_local(V4)},
    "bridge MAC check": {**BRIDGE, "isDefaultGateway": True, "macspoofchk": True, "ipam": host_local(V4)},
    "bridge two addresses of a family": {**BRIDGE, "ipam": host_local(V4, "10.2.0.0/24")},
    "bridge args": {
        **BRIDGE,
        "args": {"cni": {"mac": "02:00:00:00:00:02", "ips": ["10.1.0.8"]}},
        "ipam": host_local(V4),
    },
    "bridge version 1.0.0": {**BRIDGE, "cniVersion": "1.0.0", "isDefaultGateway": True, "ipam": host_local(V4)},
    "bridge version 0.4.0": {**BRIDGE, "cniVersion": "0.4.0", "isDefaultGateway": True, "ipam": host_local(V4)},
    "ptp masquerade": {**PTP, "ipMasq": True, "ipam": host_local(V4, V6, routes=[DEFAULT, {"dst": "::/0"}])},
    "ptp static": {
        **PTP,
        "ipam": {
            "type": "static",
            "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}],
            "routes": [DEFAULT],
        },
    },
    "ptp version 0.3.1": {**PTP, "cniVersion": "0.3.1", "ipam": host_local(V4)},
    "loopback": {"cniVersion": "1.0.0", "name": "lo", "type": "loopback"},
    "loopback version 0.3.1": {"cniVersion": "0.3.1", "name": "lo", "type": "loopback"},
}


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference plugins are not built: hack/build-tools")
@pytest.mark.parametrize("name", CONFIGS)
def test_same_state_as_the_reference(name: str) -> None:
    config = CONFIGS[name]
    alone = any(word in str(config) for word in ("ips", "static"))  # addresses for one pod only
    assert unmeant([config], pods=1 if alone else 2) == []
