"""Work that several callers share, work done side by side, and blocking work that can be cancelled.

``Joined`` is unlike ``core.tasks.InFlight``, which finishes what it has begun: a pull that nobody waits for any more is
cancelled.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from cni_runtime.tasks import finish
from crishim.drivers.threads import run_alone

T = TypeVar("T")


@dataclass
class _Work:
    task: asyncio.Task[Any]
    callers: int = 0


class Joined:
    """Runs work by key, once for all who want it at the same time."""

    def __init__(self) -> None:
        self._works: dict[str, _Work] = {}

    async def run(self, key: str, factory: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of ``factory()`` or of what runs already for ``key``. An exception goes to every caller.

        When the last caller is cancelled, so is the work, and the caller is let go once it has ended.
        """
        work = self._works.get(key)
        if work is None or work.task.done():
            work = self._works[key] = _Work(asyncio.create_task(factory(), name=key))
            work.task.add_done_callback(lambda _: self._forget(key, work))
        work.callers += 1
        try:
            result: T = await asyncio.shield(work.task)
            return result
        except asyncio.CancelledError:
            if work.callers == 1 and not work.task.done():
                self._forget(key, work)
                work.task.cancel()
                await _ended(work.task)
            raise
        finally:
            work.callers -= 1

    def _forget(self, key: str, work: _Work | None) -> None:
        if self._works.get(key) is work:
            del self._works[key]


async def side_by_side(works: Iterable[tuple[str, Coroutine[Any, Any, None]]]) -> None:
    """Run named works at the same time. The first error cancels the others and is raised once they have ended."""
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await _ended(*tasks)
    for task in done:
        task.result()


async def cancellable(work: Callable[[threading.Event], T]) -> T:
    """Run blocking ``work`` in a thread of its own; a cancellation sets its event and waits for it to end."""
    cancel = threading.Event()
    running = asyncio.create_task(run_alone(work, cancel), name="thread")
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancel.set()
        await _ended(running)
        raise


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Wait until tasks have cleaned up; what they raise has been told already or has nobody to go to."""
    if tasks:
        await finish(asyncio.wait(tasks))
    for task in tasks:
        if not task.cancelled():
            task.exception()
