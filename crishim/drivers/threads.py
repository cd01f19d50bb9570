"""Running what blocks in a thread, to its end: a cancelled caller never leaves work going on behind it.

When a cancelled call returns to its caller, with the cancellation, the work has ended: an undo that the caller
starts then does not race with it.
"""

from __future__ import annotations

import _thread
import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

from cni_runtime.tasks import to_the_end

T = TypeVar("T")
P = ParamSpec("P")


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` in a thread of the event loop's pool."""
    return await to_the_end(asyncio.get_running_loop().run_in_executor(None, lambda: function(*args, **kwargs)))


async def run_alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` in a thread that ends afterwards, so it may change what belongs to a thread: namespaces."""
    return await to_the_end(start_alone(function, *args, **kwargs))


def start_alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """As ``run_alone``, for a caller that needs the result even when it is cancelled; see ``to_the_end``."""
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(function(*args, **kwargs))
        except BaseException as error:  # handed to the caller, whatever it is
            outcome.set_exception(error)

    # Not threading.Thread, whose start() blocks until the new thread has had its first turn.
    _thread.start_new_thread(work, ())
    return asyncio.wrap_future(outcome)


def begin(function: Callable[[], object]) -> None:
    """Call ``function``, which must not raise, in a thread that nobody waits for."""
    _thread.start_new_thread(function, ())
