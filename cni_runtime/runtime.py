"""The operations of CNI on a network: ADD with rollback, DEL, CHECK, GC, STATUS, VERSION.

Source: CNI specification 1.1.0, section 3 "Execution of Network Configurations".
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from cni_runtime import faults, names
from cni_runtime.cache import DEFAULT_DIR, CachedAttachment, ResultCache
from cni_runtime.call import Invoker, PluginCall, Verb
from cni_runtime.chain import Attachment, Before, Chain, ChainError, Step
from cni_runtime.conf.inject import gc_config
from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError, DecodeError, VersionError
from cni_runtime.gate import Gate
from cni_runtime.net import threads
from cni_runtime.result import Result, decode_result, encode_result
from cni_runtime.rollback import RollbackError, undo
from cni_runtime.tasks import finish
from cni_runtime.versions import CURRENT, at_least

__all__ = ["Added", "Attachment", "Before", "ChainError", "CniRuntime", "RollbackError", "Step"]

log = logging.getLogger(__name__)


class Added(Struct, frozen=True):
    """What ADD gave; ``raw`` is the result as a JSON object in the network's CNI version."""

    result: Result
    raw: dict[str, Any]
    steps: tuple[Step, ...]


class CniRuntime:
    """Runs the plugins of networks through ``invoker``; for one event loop.

    ``path`` is where plugins, and the plugins they call, lie. ``rollback_timeout`` (seconds) bounds the DEL of a
    failed ADD, whatever deadline or cancellation the caller is under. ADD and DEL run side by side; GC waits
    for those that run and holds back those that come.
    """

    def __init__(
        self,
        invoker: Invoker,
        *,
        path: Sequence[Path],
        cache_dir: Path = DEFAULT_DIR,
        rollback_timeout: float = 30,
    ) -> None:
        self._invoker = invoker
        self._path = tuple(path)
        self._cache = ResultCache(cache_dir)
        self._rollback_timeout = rollback_timeout
        self._gate = Gate()

    async def add(
        self, network: NetworkList, attachment: Attachment, *, before: Before | None = None, rollback: bool = True
    ) -> Added:
        """ADD of every plugin in order. The result so far is in the cache before the next plugin begins.

        When it fails or is cancelled, the plugins whose ADD has begun get a DEL, unless ``rollback`` is false.
        Raises CniError, mostly PluginError; RollbackError when the DEL failed too. A cancellation goes on as
        one: a DEL that failed is then logged, and the cache keeps what a later DEL needs.
        """
        self._validate(network, attachment)
        attachment.require_netns()
        chain = self._chain(network, attachment, before)
        async with self._gate.shared():
            try:
                return await self._add(chain, attachment)
            except BaseException as exc:
                if rollback and chain.begun:
                    await self._roll_back(chain, attachment, exc)
                raise

    async def delete(
        self, network: NetworkList, attachment: Attachment, *, before: Before | None = None, begun: int | None = None
    ) -> tuple[Step, ...]:
        """DEL of every plugin, last one first, with the cached result from 0.4.0 on; then the cache forgets it.

        ``begun`` limits it to so many plugins of the chain: those that an unfinished ADD has come to.
        Stops at the first plugin that fails and raises its PluginError: an address must not be given to another
        while a rule of a later plugin still points to it. It can be called again at any time.
        """
        self._validate(network, attachment)
        async with self._gate.shared():
            return await self._delete(network, attachment, before, begun)

    async def delete_cached(self, container_id: str) -> None:
        """DEL of every attachment of a container that the cache knows, for who has lost all other account of it.

        Goes on after an error and raises ChainError.
        """
        errors: list[Exception] = []
        for cached in await threads.call(partial(self._cache.of_container, container_id)):
            try:
                network = parse_network_list(cached.config, f"cached result of network {cached.network_name}")
                await self.delete(network, _attachment(cached))
            except CniError as exc:
                errors.append(exc)
        if errors:
            raise ChainError(f"container {container_id}", errors)

    async def check(
        self, network: NetworkList, attachment: Attachment, *, before: Before | None = None
    ) -> tuple[Step, ...]:
        """CHECK of every plugin in order; nothing when the network disables it.

        Raises VersionError below 0.4.0, and the PluginError of the first plugin that finds something wrong.
        """
        self._validate(network, attachment)
        attachment.require_netns()
        if not at_least(network.cni_version, "0.4.0"):
            raise VersionError(f"network {network.name}: CNI {network.cni_version} has no CHECK")
        if network.disable_check:
            return ()
        chain = self._chain(network, attachment, before)
        previous = self._cached_result(network, attachment)
        for index in range(len(network.plugins)):
            await chain.call(Verb.CHECK, index, chain.request(index, previous))
        return tuple(chain.steps)

    async def gc(self, network: NetworkList, valid: Iterable[tuple[str, str]]) -> tuple[Step, ...]:
        """Remove everything of ``network`` that belongs to no attachment in ``valid``.

        ``valid`` are pairs of container ID and interface name, read once no ADD or DEL is running; they must
        be all there are, also those of other programs that use the network. Attachments in the cache that are
        not in it get a DEL; from 1.1.0 on every plugin gets a GC. Nothing when the network disables it.
        Goes on after an error and raises ChainError.
        """
        names.network_name(network.name)
        if network.disable_gc:
            return ()
        steps: list[Step] = []
        errors: list[Exception] = []
        async with self._gate.exclusive():
            kept = sorted(set(valid))
            for stale in await self._stale(network, kept):
                try:
                    steps += await self._delete(network, stale)
                except CniError as exc:
                    errors.append(exc)
            steps += await self._gc_plugins(network, kept, errors)
        if errors:
            raise ChainError(f"GC of network {network.name}", errors)
        return tuple(steps)

    async def status(self, network: NetworkList) -> tuple[Step, ...]:
        """STATUS of every plugin in order; nothing below 1.1.0.

        Raises the PluginError of the first plugin that cannot do an ADD now.
        """
        if not at_least(network.cni_version, "1.1.0"):
            return ()
        chain = self._chain(network)
        for index in range(len(network.plugins)):
            await chain.call(Verb.STATUS, index, chain.request(index))
        return tuple(chain.steps)

    async def version(self, plugin_type: str) -> tuple[str, ...]:
        """The CNI versions a plugin says it speaks. Raises PluginError, or DecodeError for another answer."""
        # Plugins made before VERSION was specified ask for an interface and a namespace all the same.
        call = PluginCall(
            verb=Verb.VERSION,
            type=names.plugin_type(plugin_type),
            config={"cniVersion": CURRENT},
            netns="dummy",
            ifname="dummy",
            path=self._path,
        )
        return _supported_versions(plugin_type, await self._invoker.invoke(call))

    async def _add(self, chain: Chain, attachment: Attachment) -> Added:
        result, raw = Result(), dict[str, Any]()
        for index in range(len(chain.network.plugins)):
            previous = raw
            result = await chain.add(index, chain.request(index, previous or None))
            raw = encode_result(result, chain.network.cni_version)
            if raw != previous:
                await self._keep(chain.network, attachment, raw)
            faults.reach(f"cni.add.{index}.cached")
        return Added(result, raw, tuple(chain.steps))

    async def _roll_back(self, chain: Chain, attachment: Attachment, cause: BaseException) -> None:
        log.info("network %s, container %s: undoing ADD: %r", chain.network.name, attachment.container_id, cause)
        errors = await finish(self._undo(chain, attachment))
        if errors and isinstance(cause, Exception):
            message = f"network {chain.network.name}: ADD and its undoing"
            raise RollbackError(message, [cause, *errors], begun=chain.begun) from cause

    async def _undo(self, chain: Chain, attachment: Attachment) -> list[Exception]:
        previous = self._cached_result(chain.network, attachment)
        deletion = self._chain(chain.network, attachment)
        errors = await undo(deletion, previous, chain.begun, self._rollback_timeout)
        try:
            if not errors:
                await self._forget(chain.network, attachment)
        except CniError as exc:
            errors.append(exc)
        for error in errors:
            log.error("network %s, container %s: %s", chain.network.name, attachment.container_id, error)
        return errors

    async def _delete(
        self, network: NetworkList, attachment: Attachment, before: Before | None = None, begun: int | None = None
    ) -> tuple[Step, ...]:
        chain = self._chain(network, attachment, before)
        previous = self._cached_result(network, attachment)
        for index in reversed(range(len(network.plugins[:begun]))):
            await chain.call(Verb.DEL, index, chain.request(index, previous))
        await self._forget(network, attachment)
        return tuple(chain.steps)

    async def _gc_plugins(
        self, network: NetworkList, kept: Sequence[tuple[str, str]], errors: list[Exception]
    ) -> list[Step]:
        if not at_least(network.cni_version, "1.1.0"):
            return []
        chain = self._chain(network)
        for index, plugin in enumerate(network.plugins):
            try:
                await chain.call(Verb.GC, index, gc_config(network, plugin, kept))
            except CniError as exc:
                errors.append(exc)
        return chain.steps

    async def _stale(self, network: NetworkList, kept: Sequence[tuple[str, str]]) -> list[Attachment]:
        cached = await threads.call(partial(self._cache.attachments, network.name))
        return [_attachment(item) for item in cached if (item.container_id, item.if_name) not in kept]

    def _chain(self, network: NetworkList, attachment: Attachment | None = None, before: Before | None = None) -> Chain:
        return Chain(self._invoker, self._path, network, attachment, before)

    def _validate(self, network: NetworkList, attachment: Attachment) -> None:
        attachment.validate()
        self._cache.path(network.name, attachment.container_id, attachment.ifname)

    async def _keep(self, network: NetworkList, attachment: Attachment, raw: Mapping[str, Any]) -> None:
        kept = CachedAttachment(
            container_id=attachment.container_id,
            config=network.raw.encode(),
            if_name=attachment.ifname,
            network_name=network.name,
            netns=attachment.netns or "",
            cni_args=attachment.args or None,
            capability_args=attachment.capability_args or None,
            result=raw,
        )
        await threads.call(partial(self._cache.write, kept))  # a rollback needs to know what ADD gave so far

    async def _forget(self, network: NetworkList, attachment: Attachment) -> None:
        key = network.name, attachment.container_id, attachment.ifname
        await threads.call(partial(self._cache.remove, *key))

    def _cached_result(self, network: NetworkList, attachment: Attachment) -> dict[str, Any] | None:
        """What ADD gave, in the network's version; None when that is unknown, or too old to be told to a plugin."""
        if not at_least(network.cni_version, "0.4.0"):
            return None
        cached = self._cache.read(network.name, attachment.container_id, attachment.ifname)
        if cached is None or not cached.result:
            return None
        try:
            return encode_result(decode_result(cached.result), network.cni_version)
        except CniError as exc:
            log.warning("container %s: ignoring the cached result: %s", attachment.container_id, exc)
            return None


def _attachment(cached: CachedAttachment) -> Attachment:
    return Attachment(
        container_id=cached.container_id,
        netns=cached.netns or None,
        ifname=cached.if_name,
        args=cached.cni_args or (),
        capability_args=cached.capability_args or {},
    )


class _VersionReply(Struct, rename="camel"):
    cni_version: str
    supported_versions: tuple[str, ...] = ()


def _supported_versions(plugin_type: str, reply: Mapping[str, Any] | None) -> tuple[str, ...]:
    try:
        answer = msgspec.convert(dict(reply or {}), _VersionReply)
    except msgspec.ValidationError as exc:
        raise DecodeError(f"plugin {plugin_type}: invalid answer to VERSION", details=str(exc)) from exc
    # The first plugins that knew VERSION, those of 0.2.0, did not list what they spoke.
    return answer.supported_versions or (("0.1.0", "0.2.0") if answer.cni_version == "0.2.0" else ())
