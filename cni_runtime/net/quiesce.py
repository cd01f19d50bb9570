"""Cutting a pod's veth off at once, and deleting it later.

Deleting a veth waits 20 ms for an RCU grace period, with the kernel's link lock held. Setting the host's end down
takes 0.2 ms and is enough: from then on no frame passes the pair in either direction, and nothing inside the pod can
bring the host's end up again, so the pod's addresses can be given to another. The pair itself goes when the pod's
namespace does, which the kernel does off everybody's path and for many at once. For a namespace that is kept, the
``Reaper`` deletes what is still there after a while, all in one request. It also does what else can be done later.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable
from functools import partial

import anyio

from cni_runtime.net import links
from cni_runtime.net.inspect import Link, find_link, get_link, host_end
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, in_namespace, run_in_own_thread

_GROUP = 0x636E6901
_log = logging.getLogger(__name__)


def cut_off(netns_fd: int, ifname: str) -> Link | None:
    """Set the host's end of the veth ``ifname`` in the namespace down, and return it. Blocks. Raises OSError.

    A link that is no veth to the host is set down itself; then, and when there is no such link, None.
    """
    inside = in_namespace(netns_fd, lambda: _inside(ifname))
    if inside is None:
        return None
    with NetlinkSocket() as host:
        veth = host_end(host, netns_fd, inside)
        if veth is not None:
            host.ask(links.set_up(veth.index, up=False))
            return veth
    in_namespace(netns_fd, lambda: _set_down(inside.index))
    return None


def find_cut_off(netns_fd: int, ifname: str) -> Link | None:
    """The host's end of the veth ``ifname`` in the namespace, if it has been cut off. Blocks. Raises OSError."""
    inside = in_namespace(netns_fd, lambda: _inside(ifname))
    if inside is None:
        return None
    with NetlinkSocket() as host:
        veth = host_end(host, netns_fd, inside)
    return veth if veth is not None and not veth.admin_up else None


def _inside(ifname: str) -> Link | None:
    with NetlinkSocket() as pod:
        return find_link(pod, ifname)


def _set_down(index: int) -> None:
    with NetlinkSocket() as pod:
        pod.ask(links.set_up(index, up=False))


def delete_cut_off(veths: Iterable[Link]) -> int:
    """Delete those of ``veths`` (host ends) that are still there and down, at once; how many they were. Blocks."""
    with NetlinkSocket() as host:
        there = [link for link in veths if _same(link, get_link(host, link.index))]
        if there:
            try:
                host.run([links.set_group(link.index, _GROUP) for link in there])
            except NetlinkError as exc:
                _log.debug("a link went by itself: %s", exc)
            try:
                host.ask(links.delete_group(_GROUP))
            except NetlinkError as exc:
                if exc.errno != errno.ENODEV:  # all of them went by themselves
                    raise
        return len(there)


def _same(before: Link, now: Link | None) -> bool:
    return now is not None and not now.admin_up and (now.name, now.mac, now.kind) == (before.name, before.mac, "veth")


class Reaper:
    """Deletes veths some time after they were cut off, if their namespace still keeps them; so too with other work.

    For one event loop.
    """

    def __init__(self, delay: float = 2.0) -> None:
        """``delay`` is in seconds: the time in which the owner of a namespace is expected to remove it."""
        self._delay = delay
        self._waiting: dict[int, Link] = {}
        self._chores: dict[str, Callable[[], None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._working = anyio.Lock()

    def expect(self, veth: Link) -> None:
        """``veth`` is cut off and should go."""
        self._waiting[veth.index] = veth
        self._start()

    def later(self, name: str, chore: Callable[[], None]) -> None:
        """Do ``chore``, which blocks and may raise OSError, in the place of one of the same name that waits."""
        self._chores[name] = chore
        self._start()

    async def flush(self) -> None:
        """Delete at once all that waits, and see what is being deleted gone; do the chores.

        Raises OSError when links could not be deleted, RuntimeError when there is no thread; what was not done still
        waits then. What fails of the chores is logged.
        """
        async with self._working:
            waiting, self._waiting = self._waiting, {}
            chores, self._chores = self._chores, {}
            if waiting or chores:
                try:
                    await run_in_own_thread(partial(_work_off, waiting, chores))
                finally:
                    self._waiting = waiting | self._waiting
                    self._chores = chores | self._chores

    async def aclose(self) -> None:
        """Work off all that waits, and end the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.flush()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush_later(), name="cni_runtime: reaper")

    async def _flush_later(self) -> None:
        while self._waiting or self._chores:
            await asyncio.sleep(self._delay)
            try:
                await self.flush()
            except (OSError, RuntimeError):
                _log.exception("could not clean up after pods that are gone")


def _work_off(veths: dict[int, Link], chores: dict[str, Callable[[], None]]) -> None:
    """What is done is taken out of both."""
    try:
        delete_cut_off(veths.values())
        veths.clear()
    finally:
        for name in list(chores):
            try:
                chores.pop(name)()
            except OSError:
                _log.exception("could not do what was left for later")
