"""Waiting for the kernel to finish what it does by itself. All of this blocks: for worker threads."""

from __future__ import annotations

import errno
import time

from cni_runtime.net.addresses import DADFAILED, TENTATIVE
from cni_runtime.net.inspect import Link, find_link, list_addresses
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, in_namespace

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


def wait_link_up(netlink: NetlinkSocket, name: str, timeout: float = 2.5) -> Link:
    """The link ``name``, once it carries frames. ``timeout`` is in seconds.

    Raises NetlinkError when it is gone, TimeoutError when it stays down.
    """
    deadline, pause = time.monotonic() + timeout, _FIRST_PAUSE
    while True:
        link = find_link(netlink, name)
        if link is None:
            raise NetlinkError(errno.ENODEV, f"link {name} is gone")
        if link.state == "up":
            return link
        if time.monotonic() >= deadline:
            raise TimeoutError(f"link {name} is {link.state} for {timeout:g} s")
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def wait_addresses_settled(netns_fd: int, name: str, timeout: float = 5.0) -> None:
    """Wait until duplicate address detection has ended for the link ``name`` in the namespace.

    ``timeout`` is in seconds; a link without a carrier, where it has no end, is good enough then. Raises NetlinkError
    when an address is in use by another, TimeoutError when a link that is up does not end it.
    """
    in_namespace(netns_fd, lambda: _settle(name, time.monotonic() + timeout))


def _settle(name: str, deadline: float) -> None:
    with NetlinkSocket() as netlink:
        while True:
            link = find_link(netlink, name)
            addresses = list_addresses(netlink, link.index) if link else ()
            failed = [address.address for address in addresses if address.flags & DADFAILED]
            if failed:
                raise NetlinkError(errno.EADDRINUSE, f"address {failed[0]} on {name} is in use by another")
            if not any(address.flags & TENTATIVE for address in addresses):
                return
            if time.monotonic() >= deadline:
                if link and link.state != "up":
                    return
                raise TimeoutError(f"addresses on {name} are still tentative")
            time.sleep(_LONGEST_PAUSE)
