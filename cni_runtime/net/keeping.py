"""Makes tables of ours again when another program has flushed them, for all pods at once and without being asked.

The kernel tells every change of nftables to who subscribes. What it tells is not read: whatever it was, afterwards our
tables are looked for, which takes two requests each; so it does no harm either when messages were too many and lost.
"""

from __future__ import annotations

import logging
import socket
from functools import partial
from pathlib import Path
from typing import Final, Self

import anyio

from cni_runtime.net.libnftables import Nft, NftError, open_nft
from cni_runtime.net.netfilter import NETLINK_NETFILTER, Netfilter
from cni_runtime.net.nfrules import count_rules
from cni_runtime.net.nft import STATE, stored_tables
from cni_runtime.net.sockets import run_in_own_thread

_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES = 270, 1, 7
_BUFFER: Final = 1 << 14

log = logging.getLogger(__name__)


async def keep_tables(state: Path = STATE, *, pause: float = 0.3, again: float = 5.0) -> None:
    """Restore what is missing now and after every change, for ever.

    ``pause`` (seconds) is how long changes gather before they are looked at, and so the least time between two looks:
    a program that flushes again and again keeps nobody busy. When there is no descriptor or thread left to look, or
    the state cannot be read, that is tried ``again`` seconds later. Raises OSError when the kernel has no nftables.
    """
    nft, netfilter = open_nft(), Netfilter()
    try:
        with Changes() as changes:
            while True:
                try:
                    await run_in_own_thread(partial(restore_tables, nft, netfilter, state))
                except Exception as exc:  # no change may tell when this is over
                    log.warning("packet filter tables cannot be looked at: %s", exc)
                    await anyio.sleep(again)
                    continue
                await changes.wait()
                await anyio.sleep(pause)
                changes.forget()
    finally:
        netfilter.close()
        nft.close()


def restore_tables(nft: Nft, netfilter: Netfilter, state: Path = STATE) -> None:
    """Make the tables again that have owners but no rules in the kernel. Blocks. What fails is logged."""
    for table in stored_tables("", nft, state):
        name, family = table.table.name, table.table.family

        def rules(name: str = name, family: str = family) -> int:
            with netfilter.open() as opened:
                return count_rules(opened, family, name)

        try:
            if table.restore(rules):
                log.warning("packet filter table %s %s was gone and is made again", family, name)
        except (OSError, NftError) as exc:
            log.warning("packet filter table %s %s is gone and cannot be made again: %s", family, name, exc)


class Changes:
    """Subscribed to the changes of nftables in the namespace of the thread that makes it. Raises OSError."""

    def __init__(self) -> None:
        flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, flags, NETLINK_NETFILTER)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def wait(self) -> None:
        """Until there has been a change since ``forget``, or since this was made."""
        await anyio.wait_readable(self._socket)

    def forget(self) -> None:
        """Take the changes so far as known. Of each message one byte is read, and the kernel drops the rest."""
        while True:
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError as exc:  # the buffer was full: the kernel says so once
                log.debug("changes of nftables were lost: %s", exc)
