"""Questions about a link that the kernel answers at once, by ioctl.

An answer by netlink has to wait for whoever changes a link of any namespace. Source: netdevice(7).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import Final

from cni_runtime.net.sockets import NetlinkSocket

_GET_NAME: Final = 0x8910  # SIOCGIFNAME
_GET_INDEX: Final = 0x8933  # SIOCGIFINDEX
_GET_MAC: Final = 0x8927  # SIOCGIFHWADDR
_NAME = struct.Struct("=16s24x")
_INDEX = struct.Struct("=16xi20x")
_MAC = struct.Struct("=18x6s")  # two bytes are its type
_LONGEST_NAME = 15


def link_name(netlink: NetlinkSocket, index: int) -> str | None:
    """The name of the link of that index in the socket's namespace; None when there is none. Raises OSError."""
    answer = _ask(netlink, _GET_NAME, _INDEX.pack(index))
    return None if answer is None else os.fsdecode(_NAME.unpack_from(answer)[0].rstrip(b"\0"))


def link_index(netlink: NetlinkSocket, name: str) -> int | None:
    """The index of the link of that name in the socket's namespace; None when there is none. Raises OSError."""
    answer = _ask_by_name(netlink, _GET_INDEX, name)
    return None if answer is None else int(_INDEX.unpack_from(answer)[0])


def link_mac(netlink: NetlinkSocket, name: str) -> str | None:
    """The MAC of the link of that name in the socket's namespace; None when there is none. Raises OSError."""
    answer = _ask_by_name(netlink, _GET_MAC, name)
    return None if answer is None else bytes(_MAC.unpack_from(answer)[0]).hex(":")


def _ask_by_name(netlink: NetlinkSocket, question: int, name: str) -> bytes | None:
    encoded = os.fsencode(name)
    if len(encoded) > _LONGEST_NAME or b"\0" in encoded:  # the kernel would take the first part for it
        return None
    return _ask(netlink, question, _NAME.pack(encoded))


def _ask(netlink: NetlinkSocket, question: int, request: bytes) -> bytes | None:
    try:
        return fcntl.ioctl(netlink, question, request)
    except OSError as exc:
        if exc.errno == errno.ENODEV:
            return None
        raise
