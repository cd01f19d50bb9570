"""Waiting for the end of duplicate address detection."""

from __future__ import annotations

import pytest

from cni_runtime.net.sockets import NetlinkSocket, in_namespace, opened
from cni_runtime.net.wait import wait_addresses_settled, wait_link_up
from cni_runtime.testing.host import Host


def test_detection_without_a_carrier_is_not_waited_for_without_end(host_netns: Host) -> None:
    netns = host_netns.add_netns("pod")
    host_netns.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", netns=netns)
    host_netns.run("ip", "link", "set", "near", "up", netns=netns)
    host_netns.run("ip", "address", "add", "fd00:1::2/64", "dev", "near", netns=netns)
    with opened(netns) as pod:
        wait_addresses_settled(pod, "near", timeout=0.1)
        host_netns.run("ip", "link", "set", "far", "up", netns=netns)
        in_namespace(pod, _wait_until_near_is_up)
        with pytest.raises(TimeoutError, match="tentative"):
            wait_addresses_settled(pod, "near", timeout=0)
        wait_addresses_settled(pod, "near")


def _wait_until_near_is_up() -> None:
    with NetlinkSocket() as netlink:
        wait_link_up(netlink, "near")
