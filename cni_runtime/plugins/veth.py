"""Attaching a pod by a veth pair, and detaching it: cut off now, deleted later (``net.quiesce`` says why)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import anyio

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.net import links
from cni_runtime.net.inspect import Link, find_link
from cni_runtime.net.quiesce import cut_off, find_cut_off
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, opened, run_in_own_thread
from cni_runtime.plugins.base import Context, previous_of
from cni_runtime.result import Interface, Result

_ATTEMPTS = 3


async def attach(
    call: PluginCall, context: Context, work: Callable[[], Result], undo: Callable[[], None] | None = None
) -> Result:
    """Do ``work``, the kernel's part of an ADD, in a thread; it draws its random names itself.

    Done again when one of the names was taken: by chance, by another ADD that made the same shared link, or in the pod
    by a pair that DEL has cut off but not deleted yet. Cancelled, it cuts off what the work has attached meanwhile,
    before the addresses are released; ``undo`` does that for what is no veth pair.
    """
    try:
        return await _attempts(context, work)
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await (run_in_own_thread(undo) if undo else detach(call, context))
        raise


async def _attempts(context: Context, work: Callable[[], Result]) -> Result:
    for _ in range(_ATTEMPTS - 1):
        try:
            return await run_in_own_thread(work)
        except NetlinkError as exc:
            if exc.errno != errno.EEXIST:
                raise
        await context.reaper.flush()
    return await run_in_own_thread(work)


async def detach(call: PluginCall, context: Context, then: Callable[[], None] | None = None) -> None:
    """Cut the pod's interface off and hand it to the reaper, if there is one. Raises OSError, and what ``then`` raises.

    ``then`` is what is to be done next and in the same thread, such as to take away packet filter rules.
    Without a namespace (it is gone, or the runtime no longer knows it) the host's end is found by prevResult:
    a process may still keep the namespace alive, and answer for the address that will be released next.
    """
    previous = previous_of(call)
    interfaces = previous.interfaces if previous else ()
    found: list[Link] = []
    try:
        await run_in_own_thread(partial(_detach, call, interfaces, found, then))
    finally:
        for veth in found:
            context.reaper.expect(veth)


async def finish_detaching(call: PluginCall, context: Context) -> None:
    """Hand the pod's interface to the reaper if a DEL that was killed has cut it off, and only then. Raises OSError."""
    veth = await run_in_own_thread(partial(_find_cut_off, call))
    if veth is not None:
        context.reaper.expect(veth)


def _find_cut_off(call: PluginCall) -> Link | None:
    if not call.netns:
        return None
    with suppress(FileNotFoundError), opened(call.netns) as netns:
        return find_cut_off(netns, call.ifname)
    return None


def _detach(
    call: PluginCall, interfaces: tuple[Interface, ...], found: list[Link], then: Callable[[], None] | None
) -> None:
    veth = _cut_off(call, interfaces)
    if veth is not None:
        found.append(veth)
    if then is not None:
        then()


def _cut_off(call: PluginCall, interfaces: tuple[Interface, ...]) -> Link | None:
    faults.reach(f"{call.type}.DEL.cut_off")
    if call.netns:
        with suppress(FileNotFoundError), opened(call.netns) as netns:
            veth = cut_off(netns, call.ifname)
            if veth is not None:
                return veth
    return _by_host_end(interfaces)


def _by_host_end(interfaces: tuple[Interface, ...]) -> Link | None:
    with NetlinkSocket() as host:
        for interface in interfaces:
            link = find_link(host, interface.name) if not interface.sandbox else None
            if link is not None and _is_pair(link, interface):
                host.ask(links.set_up(link.index, up=False))
                return link
    return None


def _is_pair(link: Link, interface: Interface) -> bool:
    """Whether this is the host's end that ADD made, and not another one of the same name."""
    return link.kind == "veth" and link.peer_nsid is not None and link.mac == interface.mac
