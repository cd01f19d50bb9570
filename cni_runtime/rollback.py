"""Undoing a failed ADD."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from cni_runtime.call import Verb
from cni_runtime.chain import Chain, ChainError
from cni_runtime.errors import PluginError


class RollbackError(ChainError):
    """ADD failed and undoing it failed too: the first of ``errors`` is why ADD failed, the rest come from its DEL.

    ``begun`` is how many plugins of the chain the next DEL has to go through, see ``CniRuntime.delete``; None: all.
    """

    def __init__(self, message: str, errors: Sequence[Exception], *, begun: int | None = None) -> None:
        super().__init__(message, errors)
        self.begun = begun


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
