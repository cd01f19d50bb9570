"""Calls from one plugin to another: bridge to its IPAM plugin, flannel to bridge.

Source: CNI specification 1.1.0, section 4 "Plugin Delegation".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from msgspec import Struct, structs

from cni_runtime import names
from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.plugins.base import Context, decode_some, nothing_done_yet
from cni_runtime.result import Result, decode_result
from cni_runtime.versions import version_of

_UNDO_SECONDS = 30.0


class IpamConfig(Struct, frozen=True):
    """What a plugin needs to know of its ``ipam`` object: which plugin it is for. Empty: no addresses."""

    type: str = ""


async def delegate(
    call: PluginCall, context: Context, plugin: str, config: Mapping[str, Any] | None = None
) -> Mapping[str, Any] | None:
    """Make ``call`` to another plugin, with its own ``config`` if given. Raises PluginError."""
    config = call.config if config is None else config
    with nothing_done_yet():
        kind = names.plugin_type(plugin)
    return await context.delegates.invoke(structs.replace(call, type=kind, config=config))


def undoing() -> anyio.CancelScope:
    """A scope for the undo of a failed ADD: a cancelled call goes on in it, but not for ever."""
    return anyio.move_on_after(_UNDO_SECONDS, shield=True)


async def ipam_call(call: PluginCall, context: Context, ipam: IpamConfig) -> None:
    """Pass a verb without an answer (DEL, CHECK, GC, STATUS) on to the IPAM plugin, if there is one."""
    if ipam.type:
        await delegate(call, context, ipam.type)


class _Ipam(Struct, frozen=True):
    ipam: IpamConfig = IpamConfig()


def ipam_of(call: PluginCall) -> IpamConfig:
    """The IPAM plugin, whatever the other options are; for DEL and GC. Raises ConfigError."""
    return decode_some(call, _Ipam).ipam


@asynccontextmanager
async def ipam_addresses(call: PluginCall, context: Context, ipam: IpamConfig) -> AsyncIterator[Result]:
    """The addresses that the IPAM plugin gives; they are given back when the body fails.

    To be asked for before anything else is done: an IPAM plugin that is not there means that nothing was done at all.
    Raises PluginError, ConfigError when it gives none.
    """
    release = structs.replace(call, verb=Verb.DEL)
    try:
        answer = await delegate(call, context, ipam.type)
        result = decode_result(answer or {}, assume=version_of(call.config))
        if not result.ips:
            raise ConfigError(f"IPAM plugin {ipam.type} gave no address")
        yield result
    except BaseException as exc:
        if isinstance(exc, CniError) and exc.nothing_done:
            raise
        with undoing():
            try:
                await delegate(release, context, ipam.type)
            except CniError as undo:
                exc.add_note(f"releasing the addresses failed: {undo}")
        raise
