"""bandwidth on a real kernel: the rate is measured, and the limits are the reference executable's."""

from __future__ import annotations

from typing import Any

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import PluginError
from cni_runtime.plugins.bandwidth.config import ifb_name
from cni_runtime.testing.host import Host
from tests.netns.plugins.chains import BRIDGE, Chain, either_way, needs_reference
from tests.netns.plugins.differential import unmeant
from tests.netns.plugins.traffic import rate

pytestmark = pytest.mark.anyio

MEGABIT = 1_000_000
INGRESS = {"ingressRate": 40 * MEGABIT, "ingressBurst": MEGABIT}
EGRESS = {"egressRate": 40 * MEGABIT, "egressBurst": MEGABIT}
BOTH = {"type": "bandwidth", **INGRESS, **EGRESS}
IFB = ifb_name("net", "c")
PEER = "10.1.0.1"


@pytest.mark.parametrize(
    ("limits", "slow"),
    [(INGRESS, {"in"}), (EGRESS, {"out"}), ({}, set[str]())],
    ids=["ingress", "egress", "neither"],
)
async def test_the_rate_is_what_was_asked_for(host_netns: Host, limits: dict[str, int], slow: set[str]) -> None:
    chain = Chain(host_netns, BRIDGE, {"type": "bandwidth", **limits})
    added = await chain.add()
    pod = added["ips"][0]["address"].partition("/")[0]
    rates = {"in": rate(None, chain.netns, pod), "out": rate(chain.netns, None, PEER)}
    for direction, measured in rates.items():
        if direction in slow:
            assert 30 * MEGABIT < measured < 50 * MEGABIT, rates
        else:
            assert measured > 100 * MEGABIT, rates


async def test_limits_of_the_runtime(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, {"type": "bandwidth", "runtimeConfig": {"bandwidth": EGRESS}})
    added = await chain.add()
    assert added["interfaces"][-1]["name"] == IFB
    assert host_netns.ip("link", "show", IFB)[0]["address"] == added["interfaces"][-1]["mac"]
    assert host_netns.can_reach(PEER, netns=chain.netns)
    await chain.delete()
    await chain.delete()
    assert IFB not in host_netns.links()


async def test_a_failure_leaves_nothing(host_netns: Host) -> None:
    host_netns.run("ip", "link", "add", IFB, "type", "bridge")
    chain = Chain(host_netns, BRIDGE, BOTH)
    with pytest.raises(PluginError, match=f"add ifb {IFB}: File exists"):
        await chain.add()
    qdiscs = host_netns.run("tc", "qdisc", "show", "dev", chain.host_end())
    assert "tbf" not in qdiscs
    assert "ingress" not in qdiscs
    await chain.delete()
    assert IFB in host_netns.links()  # it is somebody else's


async def test_an_interface_that_is_no_veth(host_netns: Host) -> None:
    chain = Chain(host_netns, BOTH)
    chain.result = {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0"}]}
    with pytest.raises(PluginError, match=r"eth0 in .* is not one end of a veth pair"):
        await chain.add()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("tc qdisc del dev {veth} root", "has no limit"),
        ("tc qdisc replace dev {veth} root handle 1: tbf rate 1mbit burst 10kb latency 25ms", "has the limit"),
        ("tc qdisc del dev {veth} ingress", "does not go through"),
        ("ip link del {ifb}", f"there is no ifb {IFB}"),
    ],
)
async def test_check_finds_what_has_changed(host_netns: Host, command: str, problem: str) -> None:
    chain = Chain(host_netns, BRIDGE, BOTH)
    await chain.add()
    await chain.check()
    host_netns.run(*command.format(veth=chain.host_end(), ifb=IFB).split())
    with pytest.raises(PluginError, match=problem):
        await chain.check()


async def test_gc_takes_what_no_attachment_has(host_netns: Host) -> None:
    chain = Chain(host_netns, BRIDGE, BOTH)
    await chain.add()
    for network, containers, left in (("other", [], {IFB}), ("net", ["c"], {IFB}), ("net", ["d"], set[str]())):
        valid = [{"containerID": container, "ifname": "eth0"} for container in containers]
        await chain.call(Verb.GC, {**chain.plugins[-1], "name": network, "cni.dev/valid-attachments": valid})
        assert host_netns.links() & {IFB} == left


@needs_reference
@either_way
@pytest.mark.parametrize("burst", [MEGABIT, 2**32 - 1])
async def test_across(host_netns: Host, adder: str, deleter: str, burst: int) -> None:
    limits = {"type": "bandwidth", **INGRESS, **EGRESS, "egressBurst": burst, "egressRate": MEGABIT}
    chain = Chain(host_netns, BRIDGE, limits)
    await chain.add(last=adder)
    assert IFB in host_netns.links()
    await chain.check(deleter)
    await chain.delete(deleter)
    assert IFB not in host_netns.links()


@needs_reference
@pytest.mark.parametrize("limits", [BOTH, {"ingressRate": 8 * 2**33, "ingressBurst": 2**32}])
def test_same_state_as_the_reference(limits: dict[str, Any]) -> None:
    common = {"cniVersion": "1.0.0", "name": "net"}
    chain = [{**common, **BRIDGE}, {**common, **limits, "type": "bandwidth"}]
    assert unmeant(chain, meant=[r"host (link|address) bwp[0-9a-f]+\.ifalias"]) == []
