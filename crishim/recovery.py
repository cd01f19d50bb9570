"""Start-up: make records, namespaces and the kernel agree again, whatever the last run left half done.

    record says          and                          then
    CREATING             -                            undo, forget
    READY                netns is still the one made  nothing: the pod goes on unharmed
    READY                another boot, or netns gone  show that, then stop: DEL without a netns; stays listed
    STOPPING             failed making / other        undo, forget / stop
    STOPPED              -                            nothing
    REMOVING             -                            remove
    (no record)          attachments or directories   end containers, DEL, then drop namespaces, mounts and files

What fails, or takes longer than ``START_SECONDS`` (a DEL may wait for a pod that this server is to run), stays as it
is, with its reason, and is tried again every ``RETRY_SECONDS``. Nothing here is fatal: a server that starts is worth
more than one that explains.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

import structlog

from crishim.core.clock import boot_id
from crishim.core.directories import entries
from crishim.core.trying import survive
from crishim.model.sandbox import Event, Sandbox, State
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.layout import Layout
from crishim.sandbox.ports import Mounts, Namespaces
from crishim.sandbox.teardown import Teardown

_log = structlog.get_logger()

START_SECONDS = 20.0
RETRY_SECONDS = 30.0
_AT_ONCE = 8

EndPlugins = Callable[[Collection[str]], Awaitable[object]]
"""Ends the plugins that outlived the last server, by sandbox id: an ADD must not finish behind its DEL."""


class Recovery:
    """Reconciles once at start-up, then keeps trying what could not be finished."""

    def __init__(
        self,
        index: SandboxIndex,
        layout: Layout,
        teardown: Teardown,
        namespaces: Namespaces,
        mounts: Mounts,
        end_plugins: EndPlugins,
    ) -> None:
        self._index, self._layout, self._teardown = index, layout, teardown
        self._namespaces, self._mounts, self._end_plugins = namespaces, mounts, end_plugins
        self._pause, self._unknown = RETRY_SECONDS, set[str]()

    async def reconcile(self, seconds: float = START_SECONDS) -> None:
        """Bring every sandbox to a state that is true; to be called before the first request is answered.

        What takes longer than ``seconds`` is left to ``retry_forever``.
        """
        unfinished = {sandbox.id for sandbox in self._index.all() if sandbox.state not in (State.READY, State.STOPPED)}
        await survive(self._end_plugins(unfinished | self._index.orphans()), "recovery.incomplete", object="plugins")
        for sandbox in self._index.all():
            await survive(self._show(sandbox), "recovery.incomplete", object=f"sandbox {sandbox.id}")
        known = {sandbox.id for sandbox in self._index.all()}
        found = entries(self._layout.volatile_sandboxes, self._layout.kept_sandboxes)
        unknown = (found | self._index.orphans()) - known
        try:
            async with asyncio.timeout(seconds):
                await self._finish_all()
                await self._drop_unknown(unknown)
        except TimeoutError:
            _log.warning("recovery.slow", seconds=seconds)
            self._pause, self._unknown = 0.0, self._unknown | unknown

    async def retry_forever(self) -> None:
        """Try pending teardowns again, for ever; kubelet asks too, but not for what it does not know."""
        while True:
            await asyncio.sleep(self._pause)
            self._pause = RETRY_SECONDS
            await self._finish_all()
            await self._drop_unknown(self._index.orphans())

    async def _show(self, sandbox: Sandbox) -> None:
        """Mark what is not ready any more, or never was, before anybody asks."""
        if sandbox.state is State.CREATING:
            self._teardown.fail(sandbox.id, reason="the server ended while the sandbox was being made")
        elif sandbox.state is State.READY and (reason := await self._lost(sandbox)):
            await self._index.advance(sandbox.id, Event.STOP, reason=reason)

    async def _finish_all(self) -> None:
        """Take up every teardown that was begun, some at a time; one that hangs holds up no other."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def finish(sandbox: Sandbox) -> None:
            async with room:
                await survive(self._finish(sandbox), "recovery.incomplete", object=f"sandbox {sandbox.id}")

        begun = [sandbox for sandbox in self._index.all() if sandbox.state in (State.STOPPING, State.REMOVING)]
        await asyncio.gather(*map(finish, begun))

    async def _finish(self, sandbox: Sandbox) -> None:
        if sandbox.state is State.REMOVING:
            await self._teardown.remove(sandbox.id)
        elif sandbox.failed:
            await self._teardown.discard(sandbox.id)
        else:
            await self._teardown.stop(sandbox.id)

    async def _lost(self, sandbox: Sandbox) -> str | None:
        """Why a sandbox that was ready is not any more, if so."""
        if sandbox.boot_id != boot_id():
            return "the node was rebooted"
        path = sandbox.namespaces.net
        if path and self._namespaces.inode(path) != sandbox.netns_inode:
            return f"its network namespace {path} is gone"
        path = sandbox.namespaces.user
        if path and self._namespaces.inode(path) is None:
            return f"its user namespace {path} is gone"
        return None

    async def _drop_unknown(self, sandbox_ids: Iterable[str]) -> None:
        """Drop these, and those of before that could not be dropped yet."""
        self._unknown |= set(sandbox_ids)
        for sandbox_id in sorted(self._unknown):
            what = f"sandbox {sandbox_id}, which has no record"
            await survive(self._drop_one_unknown(sandbox_id), "recovery.incomplete", object=what)

    async def _drop_one_unknown(self, sandbox_id: str) -> None:
        await self._teardown.detach_orphan(sandbox_id)
        await self._namespaces.remove(self._layout.all_namespaces(sandbox_id))
        paths = self._layout.paths(sandbox_id)
        for directory in (paths.volatile, paths.kept):
            await self._mounts.remove_trees(str(directory))
        self._unknown.discard(sandbox_id)
        _log.warning("recovery.unknown_sandbox_dropped", sandbox=sandbox_id)
