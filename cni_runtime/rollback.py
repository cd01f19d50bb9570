"""Undoing a failed ADD, whatever becomes of the task that asked for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import anyio

from cni_runtime.call import Verb
from cni_runtime.chain import Chain
from cni_runtime.errors import CniError, ErrorCode, PluginError

_T = TypeVar("_T")


class ChainError(CniError):
    """Several things failed in an operation that goes on after an error; ``errors`` has them in order."""

    def __init__(self, message: str, errors: Sequence[Exception]) -> None:
        self.errors = tuple(errors)
        codes = (error.code for error in self.errors if isinstance(error, CniError))
        super().__init__(message, code=next(codes, ErrorCode.INTERNAL), details="; ".join(map(str, self.errors)))


class RollbackError(ChainError):
    """ADD failed and undoing it failed too: the first of ``errors`` is why ADD failed, the rest come from its DEL."""


async def undo(chain: Chain, previous: Mapping[str, Any] | None, count: int, seconds: float) -> list[Exception]:
    """DEL of the first ``count`` plugins of ``chain``, last one first, within ``seconds``.

    Goes on after an error, so that one broken plugin does not keep the others' work in place: each has an
    equal share of the time that is left. Returns the errors.
    """
    deadline = time.monotonic() + seconds
    errors: list[Exception] = []
    for index in reversed(range(count)):
        try:
            await _undo_one(chain, previous, index, (deadline - time.monotonic()) / (index + 1))
        except Exception as exc:
            errors.append(exc)
    return errors


async def _undo_one(chain: Chain, previous: Mapping[str, Any] | None, index: int, share: float) -> None:
    try:
        with anyio.fail_after(share):
            await chain.call(Verb.DEL, index, chain.request(index, previous))
    except TimeoutError as exc:
        plugin = chain.network.plugins[index].type
        raise PluginError("no answer in time", plugin=plugin, verb=Verb.DEL, elapsed=share) from exc


async def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run ``work`` to its end even when this task is cancelled meanwhile; the cancellation goes on afterwards."""
    task = asyncio.create_task(work, name="cni rollback")
    interrupted: asyncio.CancelledError | None = None
    # The shield holds off cancellation by an anyio scope, the loop outlasts that by Task.cancel().
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as exc:
                interrupted = exc
    if interrupted is not None:
        raise interrupted
    return task.result()
