"""Looking at namespaces, and entering them, on a real kernel."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_runtime.net.codec import Request
from cni_runtime.net.inspect import Link, inspect_host_links, inspect_netns, read_netns
from cni_runtime.net.links import add_bridge, add_veth, random_mac
from cni_runtime.net.quiesce import Reaper, cut_off, delete_cut_off
from cni_runtime.net.rtnl import Rtm
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, in_namespace, opened
from cni_runtime.testing.host import Host

pytestmark = pytest.mark.anyio


@pytest.fixture
def pod(host_netns: Host) -> Path:
    """A namespace with eth0, whose other end is veth1 in br0."""
    netns = host_netns.add_netns("pod")
    host_netns.run("ip", "link", "add", "br0", "type", "bridge")
    host_netns.run("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "eth0", "netns", "pod")
    for command in ("addr add 10.1.0.1/24 dev br0", "link set br0 up", "link set veth1 up master br0"):
        host_netns.run("ip", *command.split())
    for command in ("addr add 10.1.0.5/24 dev eth0", "link set eth0 up", "route add default via 10.1.0.1 mtu 1400"):
        host_netns.run("ip", *command.split(), netns=netns)
    return netns


async def test_a_namespace_as_values(pod: Path) -> None:
    view = await inspect_netns(str(pod))
    link = view.link("eth0")
    assert link is not None
    assert (link.kind, link.state, link.mtu, link.admin_up) == ("veth", "up", 1500, True)
    assert "10.1.0.5/24" in {address.address for address in view.addresses_of(link)}
    default = next(route for route in view.routes if route.destination == "0.0.0.0/0")
    assert (default.gateway, default.link, default.mtu) == ("10.1.0.1", link.index, 1400)
    assert view.inode == inode_of(pod)


async def test_the_hosts_side_of_an_interface(pod: Path) -> None:
    found = await inspect_host_links(str(pod), "eth0")
    assert found is not None
    assert found.bridge is not None
    assert (found.veth.name, found.bridge.name) == ("veth1", "br0")
    assert "10.1.0.1/24" in {address.address for address in found.addresses}


@pytest.mark.parametrize("name", ["lo", "missing"])
async def test_an_interface_that_leads_nowhere(pod: Path, name: str) -> None:
    assert await inspect_host_links(str(pod), name) is None


async def test_the_own_namespace(pod: Path) -> None:
    assert {"lo", "br0", "veth1"} <= {link.name for link in (await inspect_netns()).links}


async def test_no_namespace_there(host_netns: Host, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await inspect_netns("/run/netns/missing")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="not a network namespace"):
        await inspect_netns(str(tmp_path / "file"))


def test_the_calling_thread_stays_where_it_is(pod: Path) -> None:
    current = Path("/proc/thread-self/ns/net")
    own = inode_of(current)
    with opened(pod) as fd:
        inside = in_namespace(fd, lambda: (threading.get_ident(), inode_of(current)))
    assert inside[0] != threading.get_ident()
    assert (inside[1], inode_of(current)) == (inode_of(pod), own)


def test_a_batch_goes_on_after_a_failure_and_tells_the_first(host_netns: Host) -> None:
    requests = [add_bridge("a" * 20), add_bridge("br1"), Request(Rtm.NEWROUTE, bytes(12), what="bad route")]
    with NetlinkSocket() as netlink, pytest.raises(NetlinkError, match=r"add bridge aaaa.*range"):
        netlink.run(requests)
    assert host_netns.links() == {"br1"}


def test_more_requests_than_one_batch(host_netns: Host) -> None:
    with NetlinkSocket() as netlink:
        answers = netlink.run([add_bridge(f"br{number}") for number in range(70)])
    assert len(answers) == 70
    assert len(read_netns().links) == 71


@pytest.mark.parametrize("dropped", [True, False])
async def test_a_veth_that_was_cut_off_goes(host_netns: Host, pod: Path, dropped: bool) -> None:
    reaper = Reaper()
    with opened(pod) as fd:
        found = cut_off(fd, "eth0")
    assert found is not None
    assert not host_netns.can_reach("10.1.0.5")
    reaper.expect(found)
    if dropped:
        host_netns.run("ip", "netns", "del", "pod")
    await reaper.aclose()
    assert "veth1" not in host_netns.links()


async def test_who_wants_it_gone_waits_for_a_deletion_that_is_under_way(host_netns: Host, pod: Path) -> None:
    reaper = Reaper()
    with opened(pod) as fd:
        found = cut_off(fd, "eth0")
    assert found is not None
    reaper.expect(found)
    under_way = asyncio.create_task(reaper.flush())
    await asyncio.sleep(0)  # it has begun
    await reaper.flush()
    assert "veth1" not in host_netns.links()
    await under_way


async def test_the_reaper_leaves_alone_what_is_in_use_again(host_netns: Host, pod: Path) -> None:
    reaper = Reaper()
    with opened(pod) as fd:
        found = cut_off(fd, "eth0")
    assert found is not None
    reaper.expect(found)
    host_netns.run("ip", "link", "set", "veth1", "up")
    await reaper.aclose()
    assert "veth1" in host_netns.links()


def test_a_link_may_go_by_itself_while_it_is_to_be_deleted(host_netns: Host, pod: Path) -> None:
    with opened(pod) as fd:
        found = cut_off(fd, "eth0")
    assert found is not None

    def seen_for_the_last_time() -> Iterator[Link]:
        yield found
        host_netns.run("ip", "link", "del", "veth1")

    assert delete_cut_off(seen_for_the_last_time()) == 1


def test_many_cut_off_pairs_go_in_one_request(host_netns: Host) -> None:
    netns = host_netns.add_netns("pod")
    with opened(netns) as fd, NetlinkSocket() as netlink:
        netlink.run([add_veth(f"veth{n}", f"eth{n}", peer_netns=fd, mac=random_mac()) for n in range(20)])
        found = [cut_off(fd, f"eth{n}") for n in range(20)]
    assert delete_cut_off(veth for veth in found if veth) == 20
    assert host_netns.links() == set()


def inode_of(path: Path) -> int:
    return path.stat().st_ino
