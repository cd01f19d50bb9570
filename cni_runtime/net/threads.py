"""Threads that wait for the next job for a while.

A thread that already waits gets its turn from the kernel at once; a new one stands behind all that run, which on a
busy machine takes milliseconds, several times in an ADD. There are as many threads as there are jobs at one time.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from cni_runtime.outcome import Outcome, come

T = TypeVar("T")
Job = Callable[[], Callable[[], None]]
"""Does the work and returns what is to be called when the thread can take the next job. Neither raises."""

_IDLE_SECONDS: Final = 10.0
_local = threading.local()


class _Worker:
    """One thread. It is started with its first job."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job] = SimpleQueue()

    def run(self) -> None:
        """Do jobs until none has come for a while."""
        while self._do_one():
            pass

    def _do_one(self) -> bool:
        job = self._next()
        if job is None:
            return False
        done = job()
        stays = not getattr(_local, "left", False)
        if stays:
            _idle.append(self)
        done()
        return stays

    def _next(self) -> Job | None:
        try:
            return self.jobs.get(timeout=_IDLE_SECONDS)
        except Empty:
            try:
                _idle.remove(self)
            except ValueError:  # somebody has just taken it from the list to give it a job
                return self.jobs.get()
            return None


_idle: list[_Worker] = []
os.register_at_fork(after_in_child=_idle.clear)


def start(job: Job) -> None:
    """Have ``job`` done by a thread. Does not block; raises RuntimeError when there can be no more threads."""
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
        # Not threading.Thread, whose start() blocks until the new thread has had its first turn.
        _thread.start_new_thread(worker.run, ())
    worker.jobs.put(job)


def begin(function: Callable[[], T]) -> Outcome[T]:
    """Have ``function`` called by a thread. Does not block; see ``start``."""
    outcome: Outcome[T] = Outcome()
    start(partial(outcome.work_out, function))
    return outcome


async def call(function: Callable[[], T]) -> T:
    """``function()`` called by a thread, while the event loop goes on; raises what it raises. See ``come``."""
    return await come(begin(function))


def waiting() -> int:
    """How many threads wait for a job."""
    return len(_idle)


def leave() -> None:
    """Let the calling thread end with its present job: it is in a state that others should not find."""
    _local.left = True
