from __future__ import annotations

import errno
from typing import cast

import pytest

from cni_runtime.net import codec
from cni_runtime.net.children import Child, add_child, ask_for_kind, mode_of, vlan_of
from cni_runtime.net.codec import Reply, Request
from cni_runtime.net.inspect import Link, link_of
from cni_runtime.net.rtnl import Ifla, Rtm
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket


@pytest.mark.parametrize(
    ("child", "vlan", "mode"),
    [
        (Child("vlan", "up", vlan=4094), 4094, ""),
        (Child("macvlan", "up", mode="bridge"), None, "bridge"),
        (Child("macvlan", "up", mode="passthru", broadcast_queue=99), None, "passthru"),
        (Child("ipvlan", "up", mode="l2"), None, "l2"),
        (Child("ipvlan", "up", mode="l3s"), None, "l3s"),
    ],
)
def test_what_is_asked_for_is_what_is_read(child: Child, vlan: int | None, mode: str) -> None:
    link = link_of(Reply(Rtm.NEWLINK, 0, 1, add_child("x", child, 3, netns=None).body))
    assert (link.name, link.kind, link.peer_index) == ("x", child.kind, 3)
    assert (vlan_of(link), mode_of(link)) == (vlan, mode)


def test_a_mac_an_mtu_and_a_namespace() -> None:
    request = add_child("x", Child("vlan", "up", mtu=1400, mac="02:00:00:00:00:01"), 3, netns=7)
    found = codec.attributes(request.body, 16)
    assert codec.get_u32(found, Ifla.MTU) == 1400
    assert codec.get_u32(found, Ifla.NET_NS_FD) == 7
    assert found[Ifla.ADDRESS] == b"\x02\0\0\0\0\x01"


def test_other_links_have_neither_vlan_nor_mode() -> None:
    assert (vlan_of(Link("eth0", 2, kind="veth")), mode_of(Link("eth0", 2, kind="veth"))) == (None, "")


class Refusing:
    """A socket whose kernel refuses everything."""

    def __init__(self, code: int) -> None:
        self.code = code

    def ask(self, request: Request) -> list[Reply]:
        raise NetlinkError(self.code, request.what)


@pytest.mark.parametrize(("kind", "module"), [("vlan", "8021q"), ("ipvlan", "ipvlan"), ("ifb", "ifb")])
def test_a_kind_that_the_kernel_lacks(kind: str, module: str) -> None:
    kernel = cast("NetlinkSocket", Refusing(errno.EOPNOTSUPP))
    with pytest.raises(NetlinkError, match=f"no links of type {kind}, .* the module {module} .*modprobe {module}"):
        ask_for_kind(kernel, kind, Request(Rtm.NEWLINK, b"", what="add x"))


def test_any_other_refusal_is_told_as_it_is() -> None:
    with pytest.raises(NetlinkError, match="add x"):
        ask_for_kind(cast("NetlinkSocket", Refusing(errno.EEXIST)), "vlan", Request(Rtm.NEWLINK, b"", what="add x"))
