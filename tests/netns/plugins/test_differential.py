"""The built-in plugins against the reference executables: each on a host of its own, compared field by field.

Every difference that is meant is in MEANT, and in docs/builtin-plugins.md with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from cni_runtime.call import Invoker, PluginCall, Verb
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.testing.host import Host
from cni_runtime.testing.throwaway import run_on_throwaway_host
from tests.netns.plugins.snapshot import Fields, differences, settled

REFERENCE = Path(__file__).parents[3] / ".build/bin/cni"

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
    "loopback": {"cniVersion": "1.0.0", "name": "lo", "type": "loopback"},
    "loopback version 0.3.1": {"cniVersion": "0.3.1", "name": "lo", "type": "loopback"},
}

MEANT = (
    r"file /var/lib/cni/networks/net/(\.boot_id|lock)",
    r".*address.*\.(nodad|tentative|dadfailed)",
    r"host (address|link) br0\.address",
    r"result\..*\.ips\..*\.version",
)


def attach_two(invoker: Invoker, config: Mapping[str, Any]) -> tuple[Fields, Fields]:
    """The state with two pods, and with one of them gone."""
    host = Host()
    netns = {name: host.add_netns(name) for name in ("a", "b")}

    async def run() -> tuple[Fields, Fields]:
        answers: dict[str, Any] = {}
        for name in ("a",) if "ips" in str(config) else netns:
            answers[name] = await invoker.invoke(_call(Verb.ADD, name, netns[name], config))
        attached = settled(host, netns, answers)
        for name, answer in answers.items():
            await invoker.invoke(_call(Verb.DEL, name, netns[name], {**config, "prevResult": answer}))
        if isinstance(invoker, BuiltinInvoker):
            await invoker.aclose()
        return attached, settled(host, netns, {})

    return anyio.run(run)


def _call(verb: Verb, name: str, netns: Path, config: Mapping[str, Any]) -> PluginCall:
    return PluginCall(
        verb=verb,
        type=config["type"],
        config=config,
        container_id=name,
        netns=str(netns),
        ifname="eth0",
        path=(REFERENCE,),
    )


def _on_a_host(kind: type[Invoker], config: Mapping[str, Any]) -> list[Fields]:
    answer = run_on_throwaway_host(lambda: json.dumps(attach_two(kind(), config)).encode(), timeout=60)
    states: list[Fields] = json.loads(answer)
    return states


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference plugins are not built: hack/build-tools")
@pytest.mark.parametrize("name", CONFIGS)
def test_same_state_as_the_reference(name: str) -> None:
    on_host = partial(_on_a_host, config=CONFIGS[name])
    for reference, builtin in zip(on_host(ExecutableInvoker), on_host(BuiltinInvoker), strict=True):
        found = differences(reference, builtin)
        unmeant = {key: pair for key, pair in found.items() if not any(re.fullmatch(one, key) for one in MEANT)}
        assert not unmeant, "\n".join(f"{key}: {ours} instead of {theirs}" for key, (theirs, ours) in unmeant.items())
