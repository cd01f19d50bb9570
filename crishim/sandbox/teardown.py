"""Undo everything a sandbox may have, whatever became of its making: the one way down for every verb.

Each step is idempotent, so a teardown that failed, or was cut off, is simply run again.
"""

from __future__ import annotations

from msgspec.structs import replace

from crishim.core.faultpoints import FaultPoint, reach
from crishim.core.tasks import KeyedLock, both
from crishim.model.event import EventType
from crishim.model.sandbox import Event, State, advance
from crishim.sandbox.files import SandboxFiles
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.network import PodNetwork
from crishim.sandbox.ports import Containers, Namespaces, OnEvent


class Teardown:
    """Brings a sandbox down: first to STOPPED, then to nothing. One teardown of a sandbox at a time."""

    def __init__(
        self,
        index: SandboxIndex,
        containers: Containers,
        network: PodNetwork,
        namespaces: Namespaces,
        files: SandboxFiles,
        on_event: OnEvent,
    ) -> None:
        self._index, self._containers, self._network = index, containers, network
        self._namespaces, self._files, self._on_event = namespaces, files, on_event
        self._locks = KeyedLock()

    async def stop(self, sandbox_id: str) -> None:
        """End the containers, detach the network, drop /dev/shm and the namespaces; the sandbox is STOPPED then.

        Does nothing for a sandbox that is stopped or gone. Raises an ExceptionGroup when a DEL failed: the sandbox
        stays STOPPING, and the namespaces stay for the next attempt.
        """
        async with self._locks.hold(sandbox_id):
            await self._stop(sandbox_id)

    async def remove(self, sandbox_id: str) -> None:
        """Stop the sandbox if it still is to be stopped, remove what it still has, then forget it."""
        async with self._locks.hold(sandbox_id):
            await self._stop(sandbox_id)
            await self._remove(sandbox_id)

    async def discard(self, sandbox_id: str, *, reason: str | None = None) -> None:
        """Undo a making that failed: mark the sandbox as failed, stop it, and remove it."""
        async with self._locks.hold(sandbox_id):
            self.fail(sandbox_id, reason=reason)
            await self._stop(sandbox_id)
            await self._remove(sandbox_id)

    def fail(self, sandbox_id: str, *, reason: str | None = None) -> None:
        """Mark a sandbox that is being made as failed; any other stays as it is.

        That cannot fail itself, when the disk is full for example: such a sandbox would be hidden for ever. It is not
        written, because a new server undoes what was being made as well.
        """
        sandbox = self._index.find(sandbox_id)
        if sandbox is not None and sandbox.state is State.CREATING:
            state = advance(sandbox_id, sandbox.state, Event.FAIL)
            self._index.note(replace(sandbox, state=state, failed=True, reason=reason or sandbox.reason))

    async def detach_orphan(self, sandbox_id: str) -> None:
        """End the containers of a sandbox whose own record is lost, and run the DELs that are due.

        The records of its attachments may be lost too. Its containers stay listed, so that they are removed by whoever
        made them.
        """
        async with self._locks.hold(sandbox_id):
            await self._containers.stop_all(sandbox_id)
            await self._index.put(without=await self._network.detach(sandbox_id))
            await self._network.detach_unknown(sandbox_id)

    async def _stop(self, sandbox_id: str) -> None:
        sandbox = self._index.find(sandbox_id)
        if sandbox is None or sandbox.state in (State.STOPPED, State.REMOVING):
            return
        sandbox = await self._index.advance(sandbox_id, Event.STOP)
        reach(FaultPoint.STOP_RECORDED)
        await self._containers.stop_all(sandbox_id)
        detached, _ = await both(self._network.detach(sandbox_id), self._files.unmount(sandbox_id))
        reach(FaultPoint.STOP_DETACHED)
        await self._namespaces.remove(sandbox.namespaces)
        reach(FaultPoint.STOP_NAMESPACES)
        stopped = await self._index.advance(sandbox_id, Event.STOPPED, without=detached)
        reach(FaultPoint.STOP_STOPPED)
        self._on_event(stopped, EventType.STOPPED)

    async def _remove(self, sandbox_id: str) -> None:
        if self._index.find(sandbox_id) is None:
            return
        removing = await self._index.advance(sandbox_id, Event.REMOVE)
        reach(FaultPoint.REMOVE_RECORDED)
        await self._containers.remove_all(sandbox_id)
        await self._files.remove(sandbox_id)
        reach(FaultPoint.REMOVE_FILES)
        await self._index.drop(sandbox_id)
        reach(FaultPoint.REMOVE_DONE)
        self._on_event(removing, EventType.DELETED)
