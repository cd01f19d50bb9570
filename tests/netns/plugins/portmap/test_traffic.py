"""portmap on a real kernel: who reaches a pod through a port of the host, and as whom the pod sees him."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from cni_runtime.cache import CachedAttachment, ResultCache
from cni_runtime.call import Verb
from cni_runtime.errors import ErrorCode, PluginError
from cni_runtime.net.keeping import restore_tables
from cni_runtime.net.libnftables import open_nft
from cni_runtime.net.netfilter import Netfilter
from cni_runtime.plugins.portmap.guard import GUARD
from tests.netns.plugins.conftest import Config, Pods
from tests.netns.plugins.portmap.conftest import (
    BOTH,
    BRIDGED,
    HOST4,
    HOST6,
    OUTSIDE4,
    OUTSIDE6,
    PORTMAP,
    PTP,
    ROUTE_LOCALNET,
    TABLE,
    Ports,
    port,
    seen_by,
)
from tests.netns.plugins.traffic import ask, serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("network", [BRIDGED, PTP], ids=["bridge", "ptp"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_everybody_reaches_the_pod(ports: Ports, outside: Path, network: Config, protocol: str) -> None:
    await ports.add("a", *BOTH, network=network)
    await ports.add("b", network=network)
    for address in ("127.0.0.1", HOST4, "::1", HOST6):
        assert ask(protocol, address, 8080).startswith("a "), f"the host to {address}"
    for client in (outside, ports.pods.netns["a"], ports.pods.netns["b"]):
        for address in (HOST4, HOST6):
            assert ask(protocol, address, 8080, client).startswith("a "), f"{client.name} to {address}"


async def test_the_pod_sees_who_it_is_from_outside(ports: Ports, outside: Path) -> None:
    await ports.add("a", *BOTH)
    for protocol in ("tcp", "udp"):
        assert seen_by(ask(protocol, HOST4, 8080, outside)) == OUTSIDE4
        assert seen_by(ask(protocol, HOST6, 8080, outside)) == OUTSIDE6
    assert seen_by(ask("tcp", HOST4, 8080)) == HOST4


async def test_traffic_that_is_for_no_port_of_the_host_keeps_its_source(ports: Ports, outside: Path) -> None:
    answer = await ports.add("a", *BOTH)
    other = await ports.add("b")
    pod = ports.pods.address(answer)
    assert seen_by(ask("tcp", pod, 80, ports.pods.netns["b"])) == ports.pods.address(other)
    ports.pods.host.run("ip", "route", "add", "10.1.0.0/24", "via", HOST4, netns=outside)
    assert seen_by(ask("tcp", pod, 80, outside)) == OUTSIDE4
    assert not ask("tcp", pod, 8080, outside)


@pytest.mark.skipif(not Path("/proc/sys/net/bridge").exists(), reason="br_netfilter is not loaded")
@pytest.mark.parametrize("filtered", ["0", "1"])
async def test_loopback_works_whether_bridges_are_filtered_or_not(ports: Ports, filtered: str) -> None:
    await ports.add("a", *BOTH)
    for tool in ("iptables", "ip6tables"):
        ports.pods.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{tool}={filtered}")
    for protocol in ("tcp", "udp"):
        assert seen_by(ask(protocol, "127.0.0.1", 8080)) == "10.1.0.1"
        assert seen_by(ask(protocol, "::1", 8080)) == "fd00:1::1"


async def test_what_conditions_leave_out_still_reaches_the_hosts_own_loopback(ports: Ports) -> None:
    await ports.add("a", *BOTH, conditionsV6=["ip6", "daddr", HOST6])
    with serving("host", Path("/proc/self/ns/net"), 8080):
        for protocol in ("tcp", "udp"):
            assert ask(protocol, "::1", 8080).startswith("host "), protocol
            assert ask(protocol, HOST6, 8080).startswith("a "), protocol


async def test_two_adds_at_once_cannot_have_the_same_port(ports: Ports) -> None:
    for pod in ("a", "b", "c"):
        await ports.add(pod)
    refused: list[str] = []

    async def add(pod: str) -> None:
        try:
            await ports.portmap(Verb.ADD, pod, port(8080), port(9000 + ord(pod)))
        except PluginError:
            refused.append(pod)

    async with anyio.create_task_group() as tasks:
        for pod in ("a", "b", "c"):
            tasks.start_soon(add, pod)
    (winner,) = {"a", "b", "c"} - set(refused)
    assert ask("tcp", HOST4, 8080).startswith(f"{winner} ")


async def test_loopback_of_the_host_stays_closed_to_the_link(ports: Ports) -> None:
    await ports.add("a", *BOTH)
    pod, host = ports.pods.netns["a"], ports.pods.host
    assert host.run("sysctl", "-n", ROUTE_LOCALNET) == "1\n"
    with serving("host", Path("/proc/self/ns/net"), 7777):
        host.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", netns=pod)
        host.run("ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local", netns=pod, check=False)
        host.run("ip", "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local", netns=pod, check=False)
        host.run("ip", "route", "add", "127.0.0.1", "via", "10.1.0.1", "src", "10.1.0.2", netns=pod)
        assert not ask("tcp", "127.0.0.1", 7777, pod)
        await ports.portmap(Verb.DEL, "a", *BOTH)
        assert host.run("sysctl", "-n", ROUTE_LOCALNET) == "1\n"
        assert not ask("tcp", "127.0.0.1", 7777, pod)
        host.run("nft", "flush", "ruleset")
        assert ask("tcp", "127.0.0.1", 7777, pod) == "host 10.1.0.2"
        restore_tables(open_nft(), Netfilter())
        assert not ask("tcp", "127.0.0.1", 7777, pod)


async def test_the_guard_of_loopback_goes_with_its_link(ports: Ports) -> None:
    host = ports.pods.host
    answer = await ports.add("a", port(8080), network=PTP)
    await ports.portmap(Verb.DEL, "a", port(8080))
    host.run("ip", "link", "delete", ports.pods.host_end(answer))
    await ports.add("b", port(8080))
    listed = host.run("nft", "list", "set", "inet", GUARD.name, "links")
    assert 'elements = { "cni0" }' in listed


@pytest.mark.parametrize(
    ("host_ip", "reached"),
    [
        ("", {"127.0.0.1", HOST4, "10.1.0.1", "::1", HOST6}),
        ("0.0.0.0", {"127.0.0.1", HOST4, "10.1.0.1"}),
        ("::", {"::1", HOST6}),
        (HOST4, {HOST4}),
        (HOST6, {HOST6}),
        ("127.0.0.1", {"127.0.0.1"}),
        ("::1", {"::1"}),
    ],
)
async def test_host_ip_says_which_addresses_lead_to_the_pod(ports: Ports, host_ip: str, reached: set[str]) -> None:
    await ports.add("a", port(8080, host_ip=host_ip))
    assert {one for one in ("127.0.0.1", HOST4, "10.1.0.1", "::1", HOST6) if ask("tcp", one, 8080)} == reached


async def test_two_pods_share_a_port_on_two_addresses(ports: Ports, outside: Path) -> None:
    await ports.add("a", port(8080, host_ip=HOST4))
    await ports.add("b", port(8080, host_ip="10.1.0.1"))
    assert ask("tcp", HOST4, 8080, outside).startswith("a ")
    assert ask("tcp", "10.1.0.1", 8080).startswith("b ")


async def test_one_port_of_two_protocols_leads_to_two_pods(ports: Ports, outside: Path) -> None:
    await ports.add("a", port(8080))
    await ports.add("b", port(8080, "udp"))
    assert ask("tcp", HOST4, 8080, outside).startswith("a ")
    assert ask("udp", HOST4, 8080, outside).startswith("b ")


@pytest.mark.parametrize(
    ("first", "second"), [("", ""), ("", HOST4), (HOST4, "0.0.0.0"), (HOST4, HOST4), ("::", HOST6), (HOST6, "")]
)
async def test_a_port_that_another_pod_has_is_refused_with_both_names(ports: Ports, first: str, second: str) -> None:
    await ports.add("a", port(8080, host_ip=first))
    rules = ports.pods.host.run("nft", "list", "ruleset")
    with pytest.raises(PluginError, match=r"8080.*container a .*container b ") as caught:
        await ports.add("b", port(8081), port(8080, host_ip=second), network=BRIDGED)
    assert caught.value.code == ErrorCode.TRY_AGAIN_LATER
    assert ports.pods.host.run("nft", "list", "table", "inet", TABLE) in rules


async def test_a_pod_is_named_as_the_runtime_named_it(ports: Ports) -> None:
    await ports.add("a", port(8080))
    args = (("K8S_POD_NAMESPACE", "default"), ("K8S_POD_NAME", "web"))
    cached = CachedAttachment(container_id="a", config=b"", if_name="eth0", network_name="net", cni_args=args)
    ResultCache().write(cached)
    with pytest.raises(PluginError, match=r"taken by pod default/web \(container a .*, so container b "):
        await ports.add("b", port(8080))


async def test_whoever_lost_his_namespace_holds_no_port(ports: Ports, outside: Path) -> None:
    await ports.add("a", port(8080), serve=False)
    ports.pods.host.run("ip", "netns", "delete", "a")
    await ports.add("b", port(8080, host_ip=HOST4))
    assert ask("tcp", HOST4, 8080, outside).startswith("b ")


async def test_an_address_that_was_left_behind_is_no_obstacle(ports: Ports, outside: Path) -> None:
    await ports.add("a", port(8080, host_ip=HOST4))
    ports.inherit("b", "a")
    await ports.portmap(Verb.ADD, "b", port(8080, host_ip="10.1.0.1"))
    assert ask("tcp", "10.1.0.1", 8080).startswith("a ")


async def test_sctp_ports_are_forwarded_by_the_same_rules(ports: Ports) -> None:
    await ports.add("a", port(8080, "sctp"))
    listed = ports.pods.host.run("nft", "list", "map", "inet", TABLE, "any4")
    assert "sctp . 8080 : 10.1.0.2 . 80" in listed


async def test_without_snat_loopback_leads_nowhere_and_sources_stay(ports: Ports, outside: Path) -> None:
    await ports.add("a", *BOTH, snat=False)
    assert not ask("tcp", "127.0.0.1", 8080)
    assert not ask("tcp", "::1", 8080)
    assert seen_by(ask("tcp", HOST4, 8080, outside)) == OUTSIDE4
    assert ports.pods.host.run("sysctl", "-n", ROUTE_LOCALNET) == "0\n"


async def test_masq_all_hides_everybody(ports: Ports, outside: Path) -> None:
    await ports.add("a", *BOTH, masqAll=True)
    assert seen_by(ask("tcp", HOST4, 8080, outside)) == "10.1.0.1"
    assert seen_by(ask("udp", HOST6, 8080, outside)) == "fd00:1::1"


@pytest.mark.parametrize("conditions", [["ip", "saddr", "!=", OUTSIDE4], ["!", "-s", OUTSIDE4]])
async def test_conditions_narrow_down_who_is_forwarded(ports: Ports, outside: Path, conditions: list[str]) -> None:
    await ports.add("a", *BOTH, conditionsV4=conditions)
    await ports.add("b", port(8081))
    assert not ask("tcp", HOST4, 8080, outside)
    assert ask("tcp", HOST4, 8080).startswith("a ")
    assert ask("tcp", HOST6, 8080, outside).startswith("a ")
    assert ask("tcp", HOST4, 8081, outside).startswith("b ")
    await ports.portmap(Verb.DEL, "a", *BOTH)
    assert not ask("tcp", HOST4, 8080)


async def test_a_flow_of_udp_turns_to_the_new_pod_at_once(ports: Ports, outside: Path) -> None:
    host = ports.pods.host
    await ports.add("a", port(8080, "udp"))
    with serving("host", Path("/proc/self/ns/net"), 9090):
        flow = ("conntrack", "-L", "-p", "udp", "--dport")
        assert ask("udp", HOST4, 8080, outside).startswith("a ")
        assert ask("udp", HOST4, 9090, outside) == f"host {OUTSIDE4}"
        assert "10.1.0.2" in host.run(*flow, "8080")
        await ports.portmap(Verb.DEL, "a", port(8080, "udp"))
        assert host.run(*flow, "8080") == ""
        await ports.add("b", port(9090, "udp"))
        assert host.run(*flow, "9090") == ""
        assert ask("udp", HOST4, 9090, outside).startswith("b ")


async def test_a_flow_that_only_passes_through_is_kept(ports: Ports, outside: Path) -> None:
    netns = ports.pods.host.add_netns("far")
    ports.pods.netns["far"] = netns
    answer = await ports.add("far")
    ports.pods.host.run("ip", "route", "add", "10.1.0.0/24", "via", HOST4, netns=outside)
    assert ask("udp", ports.pods.address(answer), 80, outside)
    await ports.add("a", port(80, "udp"))
    assert "10.1.0.2" in ports.pods.host.run("conntrack", "-L", "-p", "udp", "--dport", "80")


async def test_nothing_is_left_after_del(ports: Ports) -> None:
    host = ports.pods.host
    before = host.rules()
    await ports.add("a", *BOTH, network={**BRIDGED, "ipMasq": False})
    await ports.add("b", port(8081), network={**BRIDGED, "ipMasq": False})
    for pod, own in (("a", BOTH), ("b", [port(8081)]), ("a", BOTH)):
        await ports.portmap(Verb.DEL, pod, *own)
    assert not [rule for rule in host.rules() - before if GUARD.name not in rule]
    assert not ask("tcp", HOST4, 8080)


async def test_a_pod_without_ports_leaves_the_packet_filter_alone(ports: Ports) -> None:
    network = {**BRIDGED, "ipMasq": False}
    await ports.add("a", network=network)
    await ports.portmap(Verb.CHECK, "a")
    await ports.portmap(Verb.DEL, "a")
    assert ports.pods.host.rules() == set()


@pytest.mark.parametrize("damage", [("flush", "ruleset"), ("flush", "table", "inet", TABLE)], ids=" ".join)
async def test_check_makes_again_what_was_flushed(
    ports: Ports, damage: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    await ports.add("a", *BOTH)
    await ports.add("b", port(8081))
    ports.pods.host.run("nft", *damage)
    assert not ask("tcp", HOST4, 8080)
    with caplog.at_level(logging.WARNING):
        await ports.portmap(Verb.CHECK, "b", port(8081))
    assert "made again" in caplog.text
    assert ask("tcp", HOST4, 8080).startswith("a ")
    assert ask("tcp", HOST4, 8081).startswith("b ")


async def test_the_next_add_makes_again_what_was_flushed(ports: Ports) -> None:
    await ports.add("a", *BOTH)
    ports.pods.host.run("nft", "flush", "ruleset")
    await ports.add("b", port(8081))
    assert ask("tcp", HOST4, 8080).startswith("a ")


async def test_check_refuses_what_was_never_added(ports: Ports) -> None:
    await ports.add("a")
    with pytest.raises(PluginError, match=r"container a .* are not forwarded"):
        await ports.portmap(Verb.CHECK, "a", *BOTH)


async def test_gc_keeps_only_valid_attachments_of_its_network(ports: Ports) -> None:
    await ports.add("a", *BOTH)
    await ports.add("b", port(8081))
    await ports.add("c", port(8082), name="other")
    valid = [{"containerID": "b", "ifname": "eth0"}]
    await ports.pods.call(Verb.GC, "a", {**PORTMAP, "cni.dev/valid-attachments": valid})
    assert [ask("tcp", HOST4, number).partition(" ")[0] for number in (8080, 8081, 8082)] == ["", "b", "c"]


async def test_status_tells_of_a_forward_policy_that_drops(pods: Pods) -> None:
    async def status() -> None:
        await pods.call(Verb.STATUS, "none", PORTMAP)

    await status()
    pods.host.run("iptables", "-P", "FORWARD", "DROP")
    pods.host.run("iptables", "-A", "FORWARD", "-i", "docker0", "-j", "ACCEPT")
    pods.host.run("iptables", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
    with pytest.raises(PluginError, match="policy of chain FORWARD of iptables is drop") as caught:
        await status()
    assert caught.value.code == ErrorCode.LIMITED_CONNECTIVITY
    pods.host.run("iptables", "-N", "PODS")
    pods.host.run("iptables", "-A", "PODS", "-s", "10.1.0.0/16", "-j", "ACCEPT")
    pods.host.run("iptables", "-A", "FORWARD", "-j", "PODS")
    await status()
