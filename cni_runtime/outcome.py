"""What a thread comes to, for the event loop.

What asyncio and concurrent.futures have for this takes longer than most of what is done in a thread here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio

_T = TypeVar("_T")


class Outcome(asyncio.Future[_T]):
    """Of what cannot be stopped. A task that is cancelled while it waits for this is so when this is there."""

    def cancel(self, msg: object = None) -> bool:
        """Do nothing, and say so."""
        return False

    def work_out(self, function: Callable[[], _T]) -> Callable[[], None]:
        """Call ``function``, in any thread; returns what then tells the event loop."""
        try:
            callback = partial(self.set_result, function())
        except StopIteration as exc:  # which no future takes; see PEP 479
            callback = partial(self.set_exception, RuntimeError(f"{function} raised {exc!r}"))
        except BaseException as exc:
            callback = partial(self.set_exception, exc)
        return partial(self._tell, callback)

    def _tell(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            self.get_loop().call_soon_threadsafe(callback)


async def come(outcome: Outcome[_T]) -> _T:
    """Wait for ``outcome``. A cancellation that arrives meanwhile is raised then, from its error if there is one."""
    with anyio.CancelScope(shield=True):  # or anyio would try to cancel it again and again
        try:
            result = await outcome
        except asyncio.CancelledError as cancelled:
            raise cancelled from outcome.exception()
    return result
