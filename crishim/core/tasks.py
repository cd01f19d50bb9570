"""Tasks with a name and an owner, work that several callers join, and locks by key."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from crishim.core.errors import UnavailableError

T = TypeVar("T")
U = TypeVar("U")

_log = structlog.get_logger(__name__)

Report = Callable[[str, BaseException], None]
"""Told the name of a task and the exception that ended it."""


def _log_failure(name: str, error: BaseException) -> None:
    _log.error("task failed", task=name, error=str(error), exc_info=error)


class TaskOwner:
    """Keeps the tasks of the server, so that none is lost, none fails in silence and all end with it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._failed = asyncio.Event()
        self._failure: tuple[str, BaseException] | None = None

    def spawn(
        self, name: str, coroutine: Coroutine[Any, Any, T], *, critical: bool = False, report: Report = _log_failure
    ) -> asyncio.Task[T]:
        """Start a task; when it ends with an exception, ``report`` is told.

        ``critical``: the server cannot go on without it; see ``first_failure_or``. Raises UnavailableError after
        ``aclose``; the coroutine is then never started.
        """
        if self._closed:
            coroutine.close()
            raise UnavailableError(f"{name}: the server is stopping")
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, critical=critical, report=report))
        return task

    def _ended(self, task: asyncio.Task[Any], *, critical: bool, report: Report) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        report(task.get_name(), error)
        if critical and self._failure is None:
            self._failure = task.get_name(), error
            self._failed.set()

    async def first_failure_or(self, end: Coroutine[Any, Any, object]) -> None:
        """Wait for ``end``; raises UnavailableError when a critical task fails before that."""
        ended = asyncio.create_task(end, name="end")
        failed = asyncio.create_task(self._failed.wait(), name="first failure")
        try:
            await asyncio.wait((ended, failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed.cancel()
            ended.cancel()
        if self._failure is not None:
            name, error = self._failure
            raise UnavailableError(f"task {name} failed: {error}") from error
        await ended

    async def aclose(self, seconds: float = 10.0) -> None:
        """Cancel every task and wait up to ``seconds`` for them; those that go on are logged."""
        self._closed = True
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=seconds)
        for task in pending:
            _log.error("task did not end when cancelled", task=task.get_name(), seconds=seconds)


@dataclass
class _Work:
    task: asyncio.Task[Any]
    callers: int = 0


class InFlight:
    """Lets callers that want the same work done share it."""

    def __init__(self, owner: TaskOwner) -> None:
        self._owner = owner
        self._works: dict[str, _Work] = {}

    async def run(self, key: str, factory: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of ``factory()``, or of the work that is under way for ``key``; the task is named by it.

        A caller that is cancelled leaves the work going. An exception goes to every caller, and to the log when
        none is left. Raises UnavailableError when the server stops before the work is done.
        """
        work = self._works.get(key) or self._start(key, factory)
        work.callers += 1
        try:
            result: T = await asyncio.shield(work.task)
        except asyncio.CancelledError:
            if work.task.cancelled() and not _is_cancelled():
                raise UnavailableError(f"{key}: the server is stopping") from None
            raise
        finally:
            work.callers -= 1
        return result

    def begin(self, key: str, factory: Callable[[], Coroutine[Any, Any, T]]) -> None:
        """Begin the work of ``key``, unless it is under way, for whoever runs it a little later.

        When it fails before that, it is simply run again, and only that failure is told.
        """
        if key not in self._works:
            self._start(key, factory, awaited=True)

    def _start(self, key: str, factory: Callable[[], Coroutine[Any, Any, T]], *, awaited: bool = False) -> _Work:
        def report(name: str, error: BaseException) -> None:
            if not (work.callers or awaited):
                _log_failure(name, error)

        work = _Work(self._owner.spawn(key, factory(), report=report))
        self._works[key] = work
        work.task.add_done_callback(lambda _: self._works.pop(key))
        return work


def _is_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def both(first: Awaitable[T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """The results of two things done side by side. Both have ended when it raises, what the first raised before all."""
    beside = asyncio.create_task(second)
    try:
        one = await first
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError):
            beside.cancel()
        (other,) = await asyncio.gather(beside, return_exceptions=True)
        if isinstance(other, BaseException):
            error.add_note(f"and beside it: {other!r}")
        raise
    return one, await beside


@dataclass
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class KeyedLock:
    """A lock for each key, which exists as long as someone holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, _Lock] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Hold the lock of ``key``; first come, first served."""
        entry = self._locks.setdefault(key, _Lock())
        entry.users += 1
        try:
            async with entry.lock:
                yield
        finally:
            entry.users -= 1
            if not entry.users:
                del self._locks[key]
