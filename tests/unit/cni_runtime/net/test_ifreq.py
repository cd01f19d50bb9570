"""Questions about links, asked of this machine's lo."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from cni_runtime.net.ifreq import link_index, link_mac, link_name
from cni_runtime.net.plan import Place
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket
from cni_runtime.testing.shortage import no_descriptors_left


@pytest.fixture
def netlink() -> Iterator[NetlinkSocket]:
    with NetlinkSocket() as opened:
        yield opened


def test_a_link_that_is_there(netlink: NetlinkSocket) -> None:
    index = socket.if_nametoindex("lo")
    assert (link_index(netlink, "lo"), link_name(netlink, index)) == (index, "lo")
    assert link_mac(netlink, "lo") == "00:00:00:00:00:00"


@pytest.mark.parametrize("name", ["nowhere", "lo" + 14 * "o", ""])
def test_a_link_that_is_not_there(netlink: NetlinkSocket, name: str) -> None:
    assert (link_index(netlink, name), link_mac(netlink, name)) == (None, None)


@pytest.mark.parametrize("index", [0, (1 << 31) - 1])
def test_an_index_that_is_not_there(netlink: NetlinkSocket, index: int) -> None:
    assert link_name(netlink, index) is None


def test_a_name_is_not_cut_to_that_of_another_link(netlink: NetlinkSocket) -> None:
    assert link_index(netlink, "lo\0nger") is None


def test_an_effect_on_a_link_that_is_not_there_fails_with_its_name(netlink: NetlinkSocket) -> None:
    with pytest.raises(NetlinkError, match="link nowhere is not there") as caught:
        Place(netlink, None).index("nowhere")
    assert caught.value.errno == errno.ENODEV


def test_a_link_is_found_when_there_are_no_descriptors_left(netlink: NetlinkSocket) -> None:
    with no_descriptors_left():
        assert Place(netlink, None).index("lo") == 1


def test_only_a_missing_link_is_told_to_be_missing(netlink: NetlinkSocket) -> None:
    netlink.close()
    with pytest.raises((OSError, ValueError)) as caught:
        Place(netlink, None).index("lo")
    assert "not there" not in str(caught.value)
