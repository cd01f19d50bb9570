"""bridge with host-local on a real kernel: what it makes, carries, checks, repairs and takes away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from cni_runtime.cache import CachedAttachment, ResultCache
from cni_runtime.call import Verb
from cni_runtime.errors import PluginError
from cni_runtime.net.links import random_mac
from cni_runtime.net.plan import applied
from cni_runtime.plugins.bridge.config import BridgeConfig
from cni_runtime.plugins.bridge.plan import Names, vlan_gateway_plan
from cni_runtime.plugins.bridge.plugin import look
from cni_runtime.testing.host import Host
from tests.netns.plugins.conftest import BRIDGE, Pods

pytestmark = pytest.mark.anyio

DUAL = {**BRIDGE, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}}
RESERVATIONS = Path("/var/lib/cni/networks/net")


def has_vlan_filtering(pods: Pods) -> bool:
    pods.host.run("ip", "link", "add", "probe", "type", "bridge", "vlan_filtering", "1", check=False)
    found = "probe" in pods.host.links()
    pods.host.run("ip", "link", "del", "probe", check=False)
    return found


def require_vlan_filtering(pods: Pods) -> None:
    if not has_vlan_filtering(pods):
        pytest.skip("this kernel has no VLAN filtering in bridges")


def mac_of_bridge(pods: Pods) -> str:
    return str(pods.host.ip("link", "show", "cni0")[0]["address"])


def reserved() -> set[str]:
    return {path.name for path in RESERVATIONS.iterdir() if path.name[0].isdigit() or ":" in path.name}


async def test_a_pod_reaches_the_gateway_and_another_pod_at_once(pods: Pods) -> None:
    first, second = await pods.add("a", DUAL), await pods.add("b", DUAL)
    for target in ("10.1.0.1", "fd00:1::1", pods.address(first), pods.address(first, 1)):
        assert pods.ping("b", target), target
    assert pods.host.can_reach(pods.address(second))


async def test_the_result_is_what_the_kernel_has(pods: Pods) -> None:
    answer = await pods.add("a", DUAL)
    bridge, veth, pod = answer["interfaces"]
    macs = {link["ifname"]: link["address"] for link in pods.host.ip("link")}
    assert macs[bridge["name"]] == bridge["mac"]
    assert macs[veth["name"]] == veth["mac"]
    assert pods.host.ip("link", "show", "eth0", netns=pods.netns["a"])[0]["address"] == pod["mac"]
    assert pods.host.addresses("eth0", netns=pods.netns["a"]) == {ip["address"] for ip in answer["ips"]}
    assert pods.host.addresses("cni0") == {"10.1.0.1/24", "fd00:1::1/64"}


async def test_del_frees_address_and_silences_the_pod_at_once(pods: Pods) -> None:
    answer = await pods.add("a", BRIDGE)
    await pods.delete("a", BRIDGE)
    assert reserved() == set()
    assert not pods.ping("a", "10.1.0.1")
    assert not pods.host.can_reach(pods.address(answer))


async def test_del_without_a_namespace_silences_one_that_lives_on(pods: Pods) -> None:
    answer = await pods.add("a", BRIDGE)
    netns = pods.netns.pop("a")
    await pods.delete("a", BRIDGE, prevResult=answer)
    assert not pods.host.can_reach("10.1.0.1", netns=netns)


async def test_the_pair_goes_with_the_namespace_or_by_the_reaper(pods: Pods) -> None:
    kept, dropped = await pods.add("kept", BRIDGE), await pods.add("dropped", BRIDGE)
    await pods.delete("kept", BRIDGE)
    await pods.delete("dropped", BRIDGE)
    pods.host.run("ip", "netns", "del", "dropped")
    await anyio.sleep(2.5)
    assert not pods.host.links() & {pods.host_end(kept), pods.host_end(dropped)}


async def test_add_after_del_in_the_same_namespace(pods: Pods) -> None:
    for _ in range(3):
        await pods.add("a", BRIDGE)
        assert pods.ping("a", "10.1.0.1")
        await pods.delete("a", BRIDGE)


async def test_add_twice_fails_and_keeps_the_first(pods: Pods) -> None:
    await pods.add("a", BRIDGE)
    before = (pods.host.links(), reserved())
    with pytest.raises(PluginError, match="allocated to container a already"):
        await pods.add("a", BRIDGE)
    assert (pods.host.links(), reserved()) == before


async def test_del_twice_and_del_of_what_never_was(pods: Pods) -> None:
    await pods.add("a", BRIDGE)
    for pod in ("a", "a", "never"):
        await pods.delete(pod, BRIDGE)


async def test_del_takes_all_away_by_options_that_have_become_invalid(pods: Pods) -> None:
    config = {**BRIDGE, "ipMasq": True, "macspoofchk": True}
    await pods.add("a", config)
    ipam = {"type": "host-local", "subnet": "10.1.0.0/33", "ranges": 1}
    await pods.delete("a", {**config, "vlan": 5000, "ipMasq": "of course", "macspoofchk": "yes", "ipam": ipam})
    await pods.invoker.aclose()  # does at once what would wait
    assert (reserved(), pods.host.links()) == (set(), {"cni0"})
    assert not [rule for rule in pods.host.rules() if "masquerade" in rule or "macspoofchk" in rule]


async def test_a_failed_add_leaves_nothing(pods: Pods) -> None:
    pods.netns["a"] = pods.host.add_netns("a")
    pods.host.run("ip", "link", "add", "eth0", "type", "bridge", netns=pods.netns["a"])
    with pytest.raises(PluginError, match="File exists"):
        await pods.add("a", BRIDGE)
    assert (reserved(), pods.host.links()) == (set(), {"cni0"})


@pytest.mark.parametrize(
    ("option", "entry"),
    [
        ({"hairpinMode": True}, {"hairpin": True}),
        ({"portIsolation": True}, {"isolated": True}),
        ({}, {"hairpin": False, "isolated": False}),
    ],
)
async def test_port_options(pods: Pods, option: dict[str, Any], entry: dict[str, Any]) -> None:
    veth = pods.host_end(await pods.add("a", {**BRIDGE, **option}))
    listed = pods.host.run("bridge", "-json", "-details", "link", "show", "dev", veth)
    (port,) = json.loads(listed)
    assert {key: port[key] for key in entry} == entry


@pytest.mark.parametrize(
    ("option", "vlans"),
    [
        ({"vlan": 100}, {(100, ("PVID", "Egress Untagged"))}),
        ({"vlan": 100, "preserveDefaultVlan": True}, {(1, ("Egress Untagged",)), (100, ("PVID", "Egress Untagged"))}),
        ({"vlanTrunk": [{"minID": 5, "maxID": 6}]}, {(1, ("PVID", "Egress Untagged")), (5, ()), (6, ())}),
        ({"vlan": 9, "vlanTrunk": [{"id": 7}]}, {(9, ("PVID", "Egress Untagged")), (7, ())}),
    ],
)
async def test_vlans_of_the_port(pods: Pods, option: dict[str, Any], vlans: set[tuple[int, tuple[str, ...]]]) -> None:
    require_vlan_filtering(pods)
    veth = pods.host_end(await pods.add("a", {**BRIDGE, **option}))
    (port,) = json.loads(pods.host.run("bridge", "-json", "vlan", "show", "dev", veth))
    found = {(entry["vlan"], tuple(entry.get("flags", ()))) for entry in port["vlans"]}
    assert found == vlans


async def test_pods_in_a_vlan_reach_their_gateway_and_not_those_outside(pods: Pods) -> None:
    require_vlan_filtering(pods)
    inside = {**BRIDGE, "vlan": 100}
    answer = await pods.add("a", inside)
    await pods.add("b", inside)
    assert answer["interfaces"][3]["name"] == "cni0.100"
    assert pods.ping("b", "10.1.0.1")
    assert pods.ping("b", pods.address(answer))
    assert pods.host.addresses("cni0") == set()


def test_the_gateway_of_a_vlan_outlasts_an_add_that_fails(host_netns: Host) -> None:
    host_netns.run("ip", "link", "add", "cni0", "type", "bridge")
    config, names = (
        BridgeConfig(vlan=7, is_gateway=True),
        Names("veth0", "", "", "", "veth1", random_mac(), random_mac()),
    )
    veth, port, up = vlan_gateway_plan(config, *look(config, ("10.1.0.1/24",)), names)
    with pytest.raises(OSError, match="later"), applied((veth,), pod=None, label="test"):
        raise OSError("a later effect failed")
    assert vlan_gateway_plan(config, *look(config, ("10.1.0.1/24",)), names) == (port, up)


async def test_vlans_on_a_kernel_without_them(pods: Pods) -> None:
    if has_vlan_filtering(pods):
        pytest.skip("this kernel has VLAN filtering")
    with pytest.raises(PluginError, match="add bridge cni0 with VLAN filtering: Operation not supported"):
        await pods.add("a", {**BRIDGE, "vlan": 5})
    assert (reserved(), pods.host.links()) == (set(), set())


async def test_mac_and_mtu_and_promiscuous(pods: Pods) -> None:
    answer = await pods.add("a", {**BRIDGE, "mtu": 1400, "promiscMode": True}, mac="02:00:00:00:00:aa")
    assert answer["interfaces"][2]["mac"] == "02:00:00:00:00:aa"
    ends = (pods.host.ip("link", "show", "eth0", netns=pods.netns["a"]), pods.host.ip("link", "show", "cni0"))
    assert [end[0]["mtu"] for end in ends] == [1400, 1400]
    assert "PROMISC" in pods.host.ip("link", "show", "cni0")[0]["flags"]


async def test_routes_with_all_their_parts(pods: Pods) -> None:
    route = {"dst": "192.0.2.0/24", "gw": "10.1.0.9", "mtu": 1300, "advmss": 1200, "priority": 5, "table": 100}
    ipam = {**BRIDGE["ipam"], "routes": [route, {"dst": "198.51.100.0/24"}]}
    await pods.add("a", {**BRIDGE, "ipam": ipam})
    (found,) = pods.host.ip("route", "show", "table", "100", netns=pods.netns["a"])
    assert (found["gateway"], found["metric"], found["metrics"]) == ("10.1.0.9", 5, [{"mtu": 1300, "advmss": 1200}])
    (second,) = pods.host.ip("route", "show", "198.51.100.0/24", netns=pods.netns["a"])
    assert second["gateway"] == "10.1.0.1"


async def test_layer_2_only(pods: Pods) -> None:
    answer = await pods.add("a", {"cniVersion": "1.0.0", "name": "net", "type": "bridge"})
    assert "ips" not in answer
    assert pods.host.ip("link", "show", "eth0", netns=pods.netns["a"])[0]["operstate"] == "UP"


async def test_container_interface_left_down(pods: Pods) -> None:
    config = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "disableContainerInterface": True}
    await pods.add("a", config)
    assert "UP" not in pods.host.ip("link", "show", "eth0", netns=pods.netns["a"])[0]["flags"]


async def test_masquerade_outside_the_subnet_only_and_nothing_left(pods: Pods) -> None:
    config = {**DUAL, "ipMasq": True}
    outside = pods.host.add_netns("outside")
    pods.host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", "outside")
    for command in ("addr add 192.0.2.1/24 dev up0", "link set up0 up"):
        pods.host.run("ip", *command.split())
    for command in ("addr add 192.0.2.2/24 dev up1", "link set up1 up"):
        pods.host.run("ip", *command.split(), netns=outside)
    await pods.add("a", config)
    assert pods.ping("a", "192.0.2.2")  # which has no route back to the pod
    await pods.delete("a", config)
    await pods.invoker.aclose()  # does at once what would wait
    assert pods.host.rules() == set()


async def test_flushed_rules_come_back_with_the_next_add_and_with_check(pods: Pods) -> None:
    config = {**BRIDGE, "ipMasq": True}
    first = await pods.add("a", config)
    before = pods.host.rules()
    pods.host.run("nft", "flush", "ruleset")
    await pods.check("a", config, first)
    assert pods.host.rules() == before
    pods.host.run("nft", "flush", "ruleset")
    second = await pods.add("b", config)
    listed = pods.host.run("nft", "list", "set", "inet", "cni_runtime_masquerade_10.1.0.0-24", "pods0")
    assert all(pods.address(answer) in listed for answer in (first, second))


async def test_mac_spoofing_is_stopped(pods: Pods) -> None:
    config = {**BRIDGE, "macspoofchk": True}
    await pods.add("a", config)
    assert pods.ping("a", "10.1.0.1")
    pods.host.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:bb", netns=pods.netns["a"])
    assert not pods.ping("a", "10.1.0.1")
    await pods.delete("a", config)
    assert not any("macspoofchk" in rule or "cni-br-iface" in rule for rule in pods.host.rules())


async def test_check_finds_what_is_wrong(pods: Pods) -> None:
    answer = await pods.add("a", BRIDGE)
    await pods.check("a", BRIDGE, answer)
    pods.host.run("ip", "route", "del", "default", netns=pods.netns["a"])
    with pytest.raises(PluginError, match=r"route 0\.0\.0\.0/0 via 10\.1\.0\.1 is not in"):
        await pods.check("a", BRIDGE, answer)
    pods.host.run("ip", "addr", "flush", "dev", "eth0", netns=pods.netns["a"])
    with pytest.raises(PluginError, match=r"address 10\.1\.0\.2/24 is not on eth0"):
        await pods.check("a", BRIDGE, answer)


GATEWAY_ONLY = {**BRIDGE, "isDefaultGateway": False, "isGateway": True}
OTHER_TABLE = {**BRIDGE, "ipam": {**BRIDGE["ipam"], "routes": [{"dst": "198.51.100.0/24", "table": 99}]}}


@pytest.mark.parametrize(
    ("config", "damage", "message"),
    [
        (GATEWAY_ONLY, "link set eth0 down", r"no route to 10\.1\.0\.0/24"),
        (OTHER_TABLE, "route flush table 99", r"route 198\.51\.100\.0/24 is not in"),
    ],
    ids=["interface set down", "routes of another table"],
)
async def test_check_finds_damage(pods: Pods, config: dict[str, Any], damage: str, message: str) -> None:
    answer = await pods.add("a", config)
    await pods.check("a", config, answer)
    pods.host.run("ip", *damage.split(), netns=pods.netns["a"])
    with pytest.raises(PluginError, match=message):
        await pods.check("a", config, answer)


async def test_check_repairs_the_mtu_of_the_hosts_end(pods: Pods) -> None:
    config = {**BRIDGE, "mtu": 1400}
    answer = await pods.add("a", config)
    end = pods.host_end(answer)
    pods.host.run("ip", "link", "set", end, "mtu", "1200")
    await pods.check("a", config, answer)
    assert pods.host.ip("link", "show", end)[0]["mtu"] == 1400


async def test_a_bridge_without_live_ports_is_readdressed(pods: Pods) -> None:
    await pods.add("a", BRIDGE)
    await pods.delete("a", BRIDGE)
    moved = {**BRIDGE, "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}}
    await pods.add("b", moved)
    assert pods.host.addresses("cni0") == {"10.2.0.1/24"}


async def test_with_live_ports_the_error_names_them_unless_forced(pods: Pods) -> None:
    first = await pods.add("a", BRIDGE)
    moved = {**BRIDGE, "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}}
    with pytest.raises(PluginError, match=f"cni0 has the address 10.1.0.1/24.*{pods.host_end(first)}"):
        await pods.add("b", moved)
    await pods.add("b", {**moved, "forceAddress": True})
    assert pods.host.addresses("cni0") == {"10.2.0.1/24"}


async def test_the_bridge_keeps_its_mac(pods: Pods) -> None:
    macs = {(await pods.add(f"pod{number}", BRIDGE))["interfaces"][0]["mac"] for number in range(4)}
    assert len(macs) == 1


async def test_the_result_tells_the_mac_that_a_bridge_takes_from_its_port(pods: Pods) -> None:
    pods.host.run("ip", "link", "add", "cni0", "type", "bridge")
    before = mac_of_bridge(pods)
    answer = await pods.add("a", {**BRIDGE, "isDefaultGateway": False})
    assert before != mac_of_bridge(pods) == answer["interfaces"][0]["mac"]


async def test_eight_at_once_each_with_its_own_address(pods: Pods) -> None:
    answers: list[Any] = []

    async def one(name: str) -> None:
        answers.append(await pods.add(name, DUAL))

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, f"pod{number}")
    assert len({pods.address(answer) for answer in answers}) == 8
    assert pods.ping("pod0", "10.1.0.1")


async def test_gc_releases_what_is_not_valid(pods: Pods) -> None:
    config = {**BRIDGE, "ipMasq": True}
    kept, _ = await pods.add("kept", config), await pods.add("lost", config)
    valid = [{"containerID": "kept", "ifname": "eth0"}]
    await pods.call(Verb.GC, "", {**config, "cni.dev/valid-attachments": valid})
    assert reserved() == {pods.address(kept)}
    assert "10.1.0.3" not in pods.host.run("nft", "list", "set", "inet", "cni_runtime_masquerade_10.1.0.0-24", "pods0")


async def test_an_address_can_move_to_another_pod_at_once(pods: Pods) -> None:
    await pods.add("other", DUAL)  # or the bridge goes down in between, and what the host knows is forgotten
    for pod in ("a", "b", "c"):
        answer = await pods.add(pod, DUAL, ips=["10.1.0.9", "fd00:1::9"])
        for position in (0, 1):
            assert pods.host.can_reach(pods.address(answer, position)), (pod, position)
        await pods.delete(pod, DUAL)


async def test_the_pods_behind_live_ports_are_named_by_the_results_cache(pods: Pods) -> None:
    answer = await pods.add("a", BRIDGE)
    attachment = CachedAttachment(
        container_id="a",
        config=b"{}",
        if_name="eth0",
        network_name="net",
        cni_args=(("K8S_POD_NAME", "web-0"),),
        result=answer,
    )
    ResultCache().write(attachment)
    moved = {**BRIDGE, "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}}
    with pytest.raises(PluginError, match="and pods use it: web-0"):
        await pods.add("b", moved)


async def test_a_cancelled_add_gives_back_its_address_when_nobody_answers_for_it(pods: Pods) -> None:
    finished = 0
    for number in range(12):
        pods.netns[f"pod{number}"] = pods.host.add_netns(f"pod{number}")
        adding = asyncio.create_task(pods.add(f"pod{number}", BRIDGE))
        await anyio.sleep(number / 2000)
        adding.cancel()
        await asyncio.wait({adding})
        finished += not adding.cancelled()
    ports = [link for link in pods.host.ip("link") if link["ifname"].startswith("veth") and "UP" in link["flags"]]
    assert len(reserved()) == len(ports) == finished < 12
