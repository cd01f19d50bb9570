"""Running what blocks in a thread, to its end: a cancelled caller never leaves work going on behind it.

When a cancelled call returns to its caller, with the cancellation, the work has ended: an undo that the caller
starts then does not race with it.
"""

from __future__ import annotations

import _thread
import asyncio
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from cni_runtime.net import threads
from cni_runtime.outcome import Outcome, come

T = TypeVar("T")
P = ParamSpec("P")

MOST = 64
_room = asyncio.Semaphore(MOST)


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` in a thread that does other things before and afterwards; ``MOST`` calls at a time."""
    async with _room:
        return await threads.call(partial(function, *args, **kwargs))


def start(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Outcome[T]:
    """As ``run`` without its limit, for a caller that needs the result even when it is cancelled, or not at all."""
    return threads.begin(partial(function, *args, **kwargs))


async def run_alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` in a thread that ends afterwards, so it may change what belongs to a thread: namespaces."""
    return await come(start_alone(function, *args, **kwargs))


def start_alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Outcome[T]:
    """As ``run_alone``, for a caller that needs the result even when it is cancelled."""
    outcome: Outcome[T] = Outcome()
    # Not threading.Thread, whose start() blocks until the new thread has had its first turn.
    _thread.start_new_thread(_work_out, (outcome, partial(function, *args, **kwargs)))
    return outcome


class Thread:
    """A thread of somebody's own, which does one thing after the other."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Outcome[Any], Callable[[], Any]] | None] = SimpleQueue()
        _thread.start_new_thread(self._work, ())

    async def run(self, function: Callable[[], T]) -> T:
        """Call ``function`` after all that was asked for before."""
        outcome: Outcome[T] = Outcome()
        self._calls.put((outcome, function))
        return await come(outcome)

    def end(self) -> None:
        """End it after all that was asked for before; then nothing more may be."""
        self._calls.put(None)

    def _work(self) -> None:
        while call := self._calls.get():
            _work_out(*call)
            del call  # or it would stay until the next one


def _work_out(outcome: Outcome[T], function: Callable[[], T]) -> None:
    outcome.work_out(function)()
