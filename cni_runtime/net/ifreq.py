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

_GET_INDEX: Final = 0x8933  # SIOCGIFINDEX
_GET_MAC: Final = 0x8927  # SIOCGIFHWADDR
_REQUEST = struct.Struct("=16s24x")
_INDEX = struct.Struct("=16xi")
_MAC = struct.Struct("=18x6s")  # two bytes are its type
_LONGEST_NAME = 15


def link_index(netlink: NetlinkSocket, name: str) -> int | None:
    """The index of the link of that name in the socket's namespace; None when there is none. Raises OSError."""
    answer = _ask(netlink, _GET_INDEX, name)
    return None if answer is None else int(_INDEX.unpack_from(answer)[0])


def link_mac(netlink: NetlinkSocket, name: str) -> str | None:
    """The MAC of the link of that name in the socket's namespace; None when there is none. Raises OSError."""
    answer = _ask(netlink, _GET_MAC, name)
    return None if answer is None else bytes(_MAC.unpack_from(answer)[0]).hex(":")


def _ask(netlink: NetlinkSocket, question: int, name: str) -> bytes | None:
    encoded = os.fsencode(name)
    if len(encoded) > _LONGEST_NAME or b"\0" in encoded:  # the kernel would take the first part for it
        return None
    try:
        return fcntl.ioctl(netlink, question, _REQUEST.pack(encoded))
    except OSError as exc:
        if exc.errno == errno.ENODEV:
            return None
        raise
