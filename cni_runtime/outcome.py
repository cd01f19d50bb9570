"""What a thread comes to, for the event loop.

What asyncio and concurrent.futures have for this takes longer than most of what is done in a thread here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from cni_runtime.tasks import to_the_end

_T = TypeVar("_T")


class Outcome(asyncio.Future[_T]):
    """Of what cannot be stopped. It is waited for with ``come``."""

    def __init__(self) -> None:
        """For the event loop that runs."""
        loop = asyncio.get_running_loop()
        super().__init__(loop=loop)
        self.there: asyncio.Future[None] = loop.create_future()
        """Done when this is. It can be cancelled, so only who is needs a scope that holds off anyio."""

    def work_out(self, function: Callable[[], _T]) -> Callable[[], None]:
        """Call ``function``, in any thread; returns what then tells the event loop."""
        try:
            result = partial(self.set_result, function())
        except StopIteration as exc:  # which no future takes; see PEP 479
            result = partial(self.set_exception, RuntimeError(f"{function} raised {exc!r}"))
        except BaseException as exc:
            result = partial(self.set_exception, exc)
        return partial(self._tell, result)

    def _tell(self, result: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            self.get_loop().call_soon_threadsafe(self._end, result)

    def _end(self, result: Callable[[], None]) -> None:
        result()
        if not self.there.done():
            self.there.set_result(None)


async def come(outcome: Outcome[_T]) -> _T:
    """Wait for ``outcome``. A cancellation that arrives meanwhile is raised then, from its error if there is one."""
    try:
        await outcome.there
    except asyncio.CancelledError as cancelled:
        with suppress(Exception, asyncio.CancelledError):  # of the outcome, and once more
            await to_the_end(outcome)
        raise cancelled from outcome.exception()
    return outcome.result()
