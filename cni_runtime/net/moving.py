"""Moving a device of the host into a pod and back. Its alias keeps the name that it has on the host.

A move is one request, in which the kernel also gives the other name: there is no namespace in between that would take
the device along if this program is killed, and the host does not see it under the pod's name.
"""

from __future__ import annotations

import errno
from functools import partial
from typing import ClassVar

from msgspec import Struct

from cni_runtime.net import codec, links
from cni_runtime.net.codec import Request
from cni_runtime.net.inspect import Link, find_link, list_links
from cni_runtime.net.plan import Place, Where
from cni_runtime.net.rtnl import Ifla
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, in_namespace, opened

_HERE = "/proc/thread-self/ns/net"


class MoveIn(Struct, frozen=True):
    """The device goes into the pod, down and under the name ``to``; its own name becomes its alias."""

    name: ClassVar[str] = "move_in"
    where: ClassVar[Where] = Where.HOST
    device: Link
    to: str

    def do(self, place: Place) -> None:
        pod = _required(place.pod)
        if in_namespace(pod, partial(_find, self.to)) is not None:
            # The kernel would find out after the move, at the name.
            raise NetlinkError(errno.EEXIST, f"there is an interface {self.to} in the pod already")
        place.netlink.ask(move(place.index(self.device.name), pod, name=self.to, alias=self.device.name))

    def undo(self, place: Place) -> None:
        if find_link(place.netlink, self.device.name) is not None:
            return
        with opened(_HERE) as host:
            in_namespace(_required(place.pod), partial(self._give_back, host))
        if self.device.admin_up:
            place.netlink.ask(links.set_up(place.index(self.device.name)))

    def _give_back(self, host: int) -> None:
        with NetlinkSocket() as pod:
            for link in list_links(pod):
                if link.name in (self.to, self.device.name) and link.mac == self.device.mac:
                    pod.ask(links.set_up(link.index, up=False))
                    pod.ask(move(link.index, host, name=self.device.name, alias=self.device.alias))


def move_out(pod: int, ifname: str, original: str = "") -> str:
    """Move the device ``ifname`` of the pod to the host under the name in its alias, down; that name.

    Empty: no such device, or one without an alias, which was not moved in. With ``original``, the name to expect, a
    device that an earlier call has renamed but not moved yet counts as well. Blocks. Raises NetlinkError when the
    host has another link of that name.
    """
    device = in_namespace(pod, partial(_moved_in, ifname, original))
    if device is None:
        return ""
    if _find(device.alias) is not None:
        raise NetlinkError(errno.EEXIST, f"{ifname} cannot go back to the host, which has another {device.alias}")
    with opened(_HERE) as host:
        in_namespace(pod, partial(_leave, device, host))
    return device.alias


def reclaim(name: str) -> bool:
    """Give the device with the alias ``name`` on the host that name again; whether there was one. Blocks. OSError.

    The kernel puts a device of the hardware back to the host under the pod's name when the pod's namespace goes.
    """
    with NetlinkSocket() as netlink:
        found = list_links(netlink)
        device = next((link for link in found if link.alias == name), None)
        if device is None or any(link.name == name for link in found):
            return False
        netlink.ask(links.set_up(device.index, up=False))
        netlink.ask(links.set_attributes(device.index, name=name))
        netlink.ask(links.set_alias(device.index, ""))
        return True


def move(index: int, netns: int, *, name: str, alias: str) -> Request:
    """Move a link into another namespace, with another name and alias; an empty alias takes it away."""
    request = links.move_to_netns(index, netns, name)
    body = request.body + codec.attribute(Ifla.IFALIAS, alias.encode())
    return request._replace(body=body, what=f"move link {index} to another namespace as {name}")


def _moved_in(ifname: str, original: str) -> Link | None:
    with NetlinkSocket() as netlink:
        found = list_links(netlink)
    named = next((link for link in found if link.name == ifname), None)
    if named is not None:
        return named if named.alias else None
    return next((link for link in found if original and link.alias == link.name == original), None)


def _leave(device: Link, host: int) -> None:
    with NetlinkSocket() as netlink:
        netlink.ask(links.set_up(device.index, up=False))
        if find_link(netlink, device.alias) is None:
            netlink.ask(links.set_attributes(device.index, name=device.alias))
        netlink.ask(move(device.index, host, name=device.alias, alias=""))


def _find(name: str) -> Link | None:
    with NetlinkSocket() as netlink:
        return find_link(netlink, name)


def _required(pod: int | None) -> int:
    if pod is None:
        raise NetlinkError(errno.EINVAL, "moving a device needs the pod's namespace")
    return pod
