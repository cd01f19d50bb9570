"""Settings of a link that can be changed and changed back: MAC, MTU, promiscuous and all-multicast mode, queue length.

Source: rtnetlink(7), include/uapi/linux/if.h.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from cni_runtime.net import codec, links
from cni_runtime.net.codec import Request
from cni_runtime.net.inspect import Link
from cni_runtime.net.plan import Place, Where
from cni_runtime.net.rtnl import LINK, Iff, Ifla, Rtm


class Settings(Struct, frozen=True, omit_defaults=True, rename={"queue_length": "txQLen"}):
    """What is said of a link; None, 0 or empty: nothing. MTU in bytes, the queue's length in packets.

    The names in JSON are those of the file in which the tuning plugin saves them.
    """

    mac: str = ""
    promisc: bool | None = None
    mtu: int = 0
    allmulti: bool | None = None
    queue_length: int | None = None


def settings_of(link: Link, like: Settings) -> Settings:
    """What the link has of the settings that ``like`` says anything of. Pure."""
    return Settings(
        mac=link.mac if like.mac else "",
        promisc=None if like.promisc is None else link.promiscuous,
        mtu=link.mtu if like.mtu else 0,
        allmulti=None if like.allmulti is None else link.all_multicast,
        queue_length=None if like.queue_length is None else link.queue_length,
    )


def set_settings(index: int, settings: Settings) -> list[Request]:
    """One request for each setting, so that one that the kernel refuses does not keep the others from being made."""
    requests: list[Request] = []
    if settings.mac:
        requests.append(links.set_attributes(index, mac=settings.mac))
    if settings.promisc is not None:
        requests.append(links.set_promiscuous(index, on=settings.promisc))
    if settings.mtu:
        requests.append(links.set_attributes(index, mtu=settings.mtu))
    if settings.allmulti is not None:
        body = LINK.pack(0, 0, index, Iff.ALLMULTI if settings.allmulti else 0, Iff.ALLMULTI)
        requests.append(Request(Rtm.NEWLINK, body, what=f"set all-multicast mode of link {index}"))
    if settings.queue_length is not None:
        body = LINK.pack(0, 0, index, 0, 0) + codec.u32(Ifla.TXQLEN, settings.queue_length)
        requests.append(Request(Rtm.NEWLINK, body, what=f"set transmit queue length of link {index}"))
    return requests


class ChangeSettings(Struct, frozen=True):
    """Settings of a link, from what they were before."""

    name: ClassVar[str] = "change_settings"
    where: Where
    link: str
    settings: Settings
    before: Settings

    def do(self, place: Place) -> None:
        place.netlink.run(set_settings(place.index(self.link), self.settings))

    def undo(self, place: Place) -> None:
        place.netlink.run(set_settings(place.index(self.link), self.before))
