"""The plugins of one network, called one by one, and the values that go into and come out of such calls.

Fault points: ``cni.<verb>.<index>.begin`` and ``cni.<verb>.<index>.end`` around each call.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from cni_runtime import faults, files, names
from cni_runtime.call import Invoker, PluginCall, Verb
from cni_runtime.conf.inject import request_config
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError, ErrorCode, PluginError
from cni_runtime.result import Result, decode_result

Before = Callable[[int, str], Awaitable[None]]
"""Awaited before each plugin with its index in the chain and its type; raising ends the operation."""


class Attachment(Struct, frozen=True, kw_only=True):
    """One interface of one container. ``netns`` is a path; None: the namespace is gone, which only DEL can do with.

    ``args`` are the generic arguments (``CNI_ARGS``); of ``capability_args`` a plugin gets what it declares.
    """

    container_id: str
    netns: str | None
    ifname: str
    args: tuple[tuple[str, str], ...] = ()
    capability_args: Mapping[str, Any] = {}

    def validate(self) -> None:
        """Raises CniError when a part cannot be handed to a plugin.

        The host's own namespace cannot: DEL would take an interface of the host down.
        """
        names.container_id(self.container_id)
        names.interface_name(self.ifname)
        names.generic_args(self.args)
        if self.netns and files.is_own_netns(self.netns):
            message = f"container {self.container_id}: {self.netns} is the namespace of the host"
            raise CniError(message, code=ErrorCode.INVALID_ENVIRONMENT)

    def require_netns(self) -> None:
        """Raises CniError when there is no namespace."""
        if not self.netns:
            message = f"container {self.container_id}: missing network namespace"
            raise CniError(message, code=ErrorCode.INVALID_ENVIRONMENT)


class Step(Struct, frozen=True):
    """One plugin call that succeeded, and the seconds it took."""

    plugin: str
    verb: str
    seconds: float


class ChainError(CniError):
    """Several things failed in an operation that goes on after an error; ``errors`` has them in order."""

    def __init__(self, message: str, errors: Sequence[Exception]) -> None:
        self.errors = tuple(errors)
        codes = (error.code for error in self.errors if isinstance(error, CniError))
        super().__init__(message, code=next(codes, ErrorCode.INTERNAL), details="; ".join(map(str, self.errors)))


class Chain:
    """One operation on one network: ``steps`` are the calls that succeeded, ``begun`` is how many plugins have run."""

    def __init__(
        self,
        invoker: Invoker,
        path: Sequence[Path],
        network: NetworkList,
        attachment: Attachment | None = None,
        before: Before | None = None,
    ) -> None:
        self.network = network
        self.attachment = attachment
        self.steps: list[Step] = []
        self.begun = 0
        self._invoker = invoker
        self._path = tuple(path)
        self._before = before

    def request(self, index: int, previous: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What plugin ``index`` reads on standard input, with ``previous`` as its ``prevResult``."""
        capability_args = self.attachment.capability_args if self.attachment else None
        plugin = self.network.plugins[index]
        return request_config(self.network, plugin, prev_result=previous, capability_args=capability_args)

    async def call(self, verb: Verb, index: int, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Have plugin ``index`` do ``verb``; returns what the plugin answers, raises what it fails with."""
        plugin = self.network.plugins[index].type
        if self._before is not None:
            await self._before(index, plugin)
        self.begun = max(self.begun, index + 1)
        faults.reach(f"cni.{verb.lower()}.{index}.begin")
        started = time.perf_counter()
        reply = await self._invoker.invoke(self._plugin_call(verb, plugin, config))
        self.steps.append(Step(plugin, verb, time.perf_counter() - started))
        faults.reach(f"cni.{verb.lower()}.{index}.end")
        return reply

    async def add(self, index: int, config: Mapping[str, Any]) -> Result:
        """ADD of plugin ``index``; raises PluginError when its answer is not a result."""
        try:
            reply = await self.call(Verb.ADD, index, config)
        except PluginError as exc:
            if exc.nothing_done:
                self.begun = index
            raise
        try:
            # A result without a version is in that of the request: what old plugins mean by it.
            return decode_result(reply or {}, assume=self.network.cni_version)
        except CniError as exc:
            step = self.steps[-1]
            raise PluginError(str(exc), plugin=step.plugin, verb="ADD", code=exc.code, elapsed=step.seconds) from exc

    def _plugin_call(self, verb: Verb, plugin: str, config: Mapping[str, Any]) -> PluginCall:
        if self.attachment is None:
            return PluginCall(verb=verb, type=plugin, config=config, path=self._path)
        return PluginCall(
            verb=verb,
            type=plugin,
            config=config,
            container_id=self.attachment.container_id,
            netns=self.attachment.netns,
            ifname=self.attachment.ifname,
            args=self.attachment.args,
            path=self._path,
        )
