"""A CNI runtime that hands out addresses and remembers who has them, with the rules of ``cni_runtime.runtime``."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from cni_runtime.conf.types import ConfDir, NetworkList
from cni_runtime.errors import CniError
from cni_runtime.result import Interface, IPConfig, Result, encode_result
from cni_runtime.runtime import Added, Attachment, RollbackError, Step
from crishim.testing.failures import Failures

_Before = Callable[[int, str], Awaitable[None]]


class Gate:
    """Holds back whoever comes until it is opened."""

    def __init__(self) -> None:
        self._arrivals = asyncio.Semaphore(0)
        self._opened = asyncio.Event()

    async def passage(self) -> None:
        """Announce oneself and wait."""
        self._arrivals.release()
        await self._opened.wait()

    async def arrivals(self, number: int) -> None:
        """Wait until ``number`` more have come."""
        for _ in range(number):
            await self._arrivals.acquire()

    def open(self) -> None:
        """Let everybody through."""
        self._opened.set()


class FakeCni:
    """``attached`` holds the address of each interface that was added and not deleted; ``deleted`` every DEL.

    ``gate``, when set, holds back every ADD, and ``delete_gate`` every DEL. ``begun`` is what a failed rollback tells.
    """

    def __init__(self) -> None:
        self.failures = Failures()
        self.attached: dict[tuple[str, str, str], str] = {}
        self.deleted: list[tuple[NetworkList, Attachment]] = []
        self.adds = 0
        self.gate: Gate | None = None
        self.delete_gate: Gate | None = None
        self.begun: int | None = None
        self._hosts = itertools.count(2)

    async def add(self, network: NetworkList, attachment: Attachment, *, before: _Before) -> Added:
        """Give the interface an address."""
        self.adds += 1
        for index, plugin in enumerate(network.plugins):
            await before(index, plugin.type)
        # As with real plugins, an ADD that fails may leave something behind.
        address = f"10.88.0.{next(self._hosts)}"
        self.attached[network.name, attachment.container_id, attachment.ifname] = address
        if self.gate:
            await self.gate.passage()
        try:
            self.failures.strike("add")
        except CniError as error:
            await self._roll_back(network, attachment, error)
            raise
        result = Result(
            interfaces=(Interface(name=attachment.ifname, sandbox=attachment.netns or ""),),
            ips=(IPConfig(address=f"{address}/16", interface=0),),
        )
        steps = tuple(Step(plugin.type, "ADD", 0.001) for plugin in network.plugins)
        return Added(result, encode_result(result, network.cni_version), steps)

    async def _roll_back(self, network: NetworkList, attachment: Attachment, cause: CniError) -> None:
        async def unseen(index: int, plugin: str) -> None:
            pass

        try:
            await self.delete(network, attachment, before=unseen, begun=len(network.plugins))
        except CniError as error:
            raise RollbackError("ADD and its undoing", [cause, error], begun=self.begun) from cause

    async def delete(
        self, network: NetworkList, attachment: Attachment, *, before: _Before, begun: int
    ) -> tuple[Step, ...]:
        """Take the address back; one that is not there is fine."""
        for index, plugin in reversed(list(enumerate(network.plugins[:begun]))):
            await before(index, plugin.type)
        if self.delete_gate:
            await self.delete_gate.passage()
        self.failures.strike("delete")
        self.failures.strike(f"delete {attachment.ifname}")
        self.attached.pop((network.name, attachment.container_id, attachment.ifname), None)
        self.deleted.append((network, attachment))
        return ()

    async def delete_cached(self, container_id: str) -> None:
        """Take back every address of a container."""
        for key in [key for key in self.attached if key[1] == container_id]:
            del self.attached[key]

    async def status(self, network: NetworkList) -> None:
        """Ready unless told otherwise."""
        self.failures.strike("status")


class FixedDirectory:
    """A configuration directory whose content a test sets."""

    def __init__(self, snapshot: ConfDir) -> None:
        self.snapshot = snapshot
