"""The network of one pod: attach it to every configured network, detach it from every one it may be on.

An attachment's record is written before anything of its pod is made and removed after its DEL, so that whatever
happens in between, every ADD gets its DEL, with the very configuration that ADD used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError
from cni_runtime.runtime import Added, Attachment, RollbackError
from crishim.core.config.types import IPPreference
from crishim.core.errors import CrishimError, DeadlineError, UnavailableError
from crishim.core.faultpoints import FaultPoint, reach, reach_plugin
from crishim.model.attachment import AttachmentRecord, Phase, PluginStep
from crishim.model.sandbox import Sandbox
from crishim.sandbox.addresses import pod_ips
from crishim.sandbox.capabilities import capability_args, cni_args
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.ports import Cni, Namespaces, NetworkSource

_T = TypeVar("_T")

LOOPBACK = parse_network_list(
    b'{"cniVersion": "0.4.0", "name": "cni-loopback", "plugins": [{"type": "loopback"}]}', "built-in loopback network"
)


class NetworkPolicy(Struct, frozen=True):
    """The parts of the configuration that shape a pod's network. ``timeout`` bounds one chain, in seconds."""

    ip_preference: IPPreference = IPPreference.CNI
    serially: bool = False
    internal_loopback: bool = False
    timeout: float = 120.0


class PodNetwork:
    """Attaches sandboxes to networks and detaches them."""

    def __init__(
        self, index: SandboxIndex, cni: Cni, source: NetworkSource, namespaces: Namespaces, policy: NetworkPolicy
    ) -> None:
        self._index, self._cni, self._source = index, cni, source
        self._namespaces, self._policy = namespaces, policy

    @property
    def internal_loopback(self) -> bool:
        """Whether ``lo`` is brought up with the namespace instead of by a plugin."""
        return self._policy.internal_loopback

    def plan(self, sandbox: Sandbox) -> tuple[AttachmentRecord, ...]:
        """The attachments that ``sandbox`` is to have, the default network's first; nothing is done yet.

        Raises UnavailableError when no network is configured, InvalidArgumentError for a bad bandwidth annotation.
        """
        networks = self._source.current(sandbox.runtime_handler)
        wanted = [(network, f"eth{number}") for number, network in enumerate(networks)]
        if not self._policy.internal_loopback:
            wanted.append((LOOPBACK, "lo"))
        return tuple(_intent(sandbox, network, ifname) for network, ifname in wanted)

    async def attach(self, planned: Sequence[AttachmentRecord]) -> tuple[tuple[str, ...], list[AttachmentRecord]]:
        """Run ADD for every attachment of a plan whose records are stored.

        Returns the pod's IPs, the primary one first, and the records to store in place of the planned ones. Raises an
        ExceptionGroup of what failed. What was not undone yet, the stored records tell.
        """
        limit = asyncio.Semaphore(1 if self._policy.serially else len(planned))

        async def one(record: AttachmentRecord) -> Added:
            async with limit:
                return await self._add(record)

        outcome = await asyncio.gather(*map(one, planned), return_exceptions=True)
        added = _all_or_group("the pod network", outcome)
        ips = pod_ips(added[0].result, self._policy.ip_preference)
        if not ips:
            raise UnavailableError(f"network {planned[0].network} gave the pod no IP address")
        return ips, list(map(_attached, planned, added))

    async def detach(self, sandbox_id: str) -> list[AttachmentRecord]:
        """Run DEL for every attachment there still is a record of, whether or not there is one of the sandbox.

        Returns those records, which can be forgotten now. Raises an ExceptionGroup of what failed; those records
        stay, each with its reason, for the next attempt.
        """
        records = self._index.attachments(sandbox_id)
        if not records:
            return []
        alive = self._namespaces.inode(records[0].netns) is not None  # they are all in the same one
        outcome = await asyncio.gather(*(self._delete(record, alive) for record in records), return_exceptions=True)
        if any(error is not None for error in outcome):
            await self._note(records, outcome)
        _all_or_group(f"detaching sandbox {sandbox_id}", outcome)
        return records

    async def detach_unknown(self, sandbox_id: str) -> None:
        """Run DEL for what the results cache knows of a sandbox whose records are lost. Raises UnavailableError."""
        try:
            async with asyncio.timeout(self._policy.timeout):
                await self._cni.delete_cached(sandbox_id)
        except CniError as error:
            raise UnavailableError(f"the networks of sandbox {sandbox_id}: {error}") from error

    async def _add(self, record: AttachmentRecord) -> Added:
        """ADD; when it fails, the record says how many plugins may have left something."""
        begun = 0

        async def before(index: int, plugin: str) -> None:
            nonlocal begun
            reach_plugin("attach", index)
            begun = index + 1

        network, attachment = _rebuild(record, record.netns)
        try:
            with self._translated(record):
                async with asyncio.timeout(self._policy.timeout):
                    added = await self._cni.add(network, attachment, before=before)
        except CrishimError as error:
            await self._index.put(replace(record, progress=_left(error.__cause__, begun)))
            raise
        reach(FaultPoint.ATTACH_ADDED)
        return added

    async def _delete(self, record: AttachmentRecord, alive: bool) -> None:
        """DEL; ``alive``: the network namespace is still there."""

        async def before(index: int, plugin: str) -> None:
            reach_plugin("detach", index)

        reach(FaultPoint.DETACH_BEGUN)
        network, attachment = _rebuild(record, record.netns if alive else None)
        with self._translated(record):
            async with asyncio.timeout(self._policy.timeout):
                await self._cni.delete(network, attachment, before=before, begun=record.progress)
        reach(FaultPoint.DETACH_DELETED)

    async def _note(self, records: Sequence[AttachmentRecord], outcome: Sequence[BaseException | None]) -> None:
        """Forget what was deleted, keep why a DEL failed, if there is a sandbox by which it can be read."""
        pairs = list(zip(records, outcome, strict=True))
        failed = [
            replace(record, phase=Phase.DELETING, error=str(error))
            for record, error in pairs
            if isinstance(error, CrishimError) and self._index.find(record.sandbox_id)
        ]
        await self._index.put(*failed, without=[record for record, error in pairs if error is None])

    @contextmanager
    def _translated(self, record: AttachmentRecord) -> Iterator[None]:
        """Turn the CNI runtime's errors into the domain's, naming the network and the interface."""
        what = f"network {record.network}, interface {record.ifname}"
        try:
            yield
        except CniError as error:
            raise UnavailableError(f"{what}: {error}") from error
        except TimeoutError as error:
            raise DeadlineError(f"{what}: no answer within {self._policy.timeout:g} s") from error


def _intent(sandbox: Sandbox, network: NetworkList, ifname: str) -> AttachmentRecord:
    return AttachmentRecord(
        sandbox_id=sandbox.id,
        network=network.name,
        ifname=ifname,
        conflist=network.raw,
        source=network.source,
        netns=sandbox.namespaces.net or "",
        args=cni_args(sandbox.id, sandbox.config),
        capability_args=capability_args(sandbox.config),
        progress=len(network.plugins),
    )


def _left(cause: BaseException | None, begun: int) -> int:
    """How many plugins of the chain the next DEL has to go through, after an ADD that came to ``begun`` failed."""
    if isinstance(cause, RollbackError):
        return begun if cause.begun is None else cause.begun
    return 0 if isinstance(cause, CniError) else begun


def _attached(record: AttachmentRecord, added: Added) -> AttachmentRecord:
    steps = tuple(PluginStep(step.plugin, step.seconds) for step in added.steps)
    return replace(record, phase=Phase.ATTACHED, steps=steps, result=added.raw)


def _rebuild(record: AttachmentRecord, netns: str | None) -> tuple[NetworkList, Attachment]:
    """The network and attachment as they were at ADD, from the record alone."""
    attachment = Attachment(
        container_id=record.sandbox_id,
        netns=netns,
        ifname=record.ifname,
        args=record.args,
        capability_args=record.capability_args,
    )
    return _parsed(record.conflist, record.source), attachment


@lru_cache(16)  # all pods of a network have the same text
def _parsed(conflist: str, source: str) -> NetworkList:
    return parse_network_list(conflist, source)


def _all_or_group(what: str, outcome: Sequence[_T | BaseException]) -> list[_T]:
    """The results, or everything that went wrong in one group; a cancellation goes before all."""
    errors = [item for item in outcome if isinstance(item, BaseException)]
    for error in errors:
        if not isinstance(error, Exception):
            raise error
    if errors:
        raise ExceptionGroup(f"{what} failed", [error for error in errors if isinstance(error, Exception)])
    return [item for item in outcome if not isinstance(item, BaseException)]
