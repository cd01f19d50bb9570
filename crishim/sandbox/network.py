"""The network of one pod: attach it to every configured network, detach it from every one it may be on.

An attachment's record is written before the chain's ADD and removed after its DEL, so that whatever happens in
between, every ADD gets its DEL, with the very configuration that ADD used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError
from cni_runtime.result import Result
from cni_runtime.runtime import Added, Attachment, RollbackError
from crishim.core.config.types import IPPreference
from crishim.core.errors import CrishimError, DeadlineError, UnavailableError
from crishim.core.faultpoints import FaultPoint, reach, reach_plugin
from crishim.model.attachment import AttachmentRecord, Phase, PluginStep
from crishim.model.sandbox import Sandbox
from crishim.sandbox.addresses import pod_ips
from crishim.sandbox.capabilities import capability_args, cni_args
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.ports import BeforePlugin, Cni, Namespaces, NetworkSource

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

    async def attach(self, planned: Sequence[AttachmentRecord]) -> tuple[str, ...]:
        """Run ADD for every attachment of a plan whose records are stored; returns the pod's IPs, the primary first.

        Raises an ExceptionGroup of what failed. What was not undone yet, the records tell.
        """
        reach(FaultPoint.ATTACH_RECORDED)
        limit = asyncio.Semaphore(1 if self._policy.serially else len(planned))

        async def one(record: AttachmentRecord) -> Result:
            async with limit:
                return await self._add(record)

        results = _all_or_group("the pod network", await asyncio.gather(*map(one, planned), return_exceptions=True))
        ips = pod_ips(results[0], self._policy.ip_preference)
        if not ips:
            raise UnavailableError(f"network {planned[0].network} gave the pod no IP address")
        return ips

    async def detach(self, sandbox_id: str) -> None:
        """Run DEL for every attachment there still is a record of, whether or not there is one of the sandbox.

        Raises an ExceptionGroup of what failed; those records stay, each with its reason, for the next attempt.
        """
        records = self._index.attachments(sandbox_id)
        outcome = await asyncio.gather(*map(self._delete, records), return_exceptions=True)
        _all_or_group(f"detaching sandbox {sandbox_id}", outcome)

    async def _add(self, record: AttachmentRecord) -> Result:
        async def before(index: int, plugin: str) -> None:
            reach_plugin("attach", index)
            if index:  # the first plugin was counted when the attachment was recorded
                await self._index.put(replace(record, progress=index + 1))

        network, attachment = _rebuild(record, record.netns)
        with self._translated(record):
            async with asyncio.timeout(self._policy.timeout):
                added = await self._add_or_undo(network, attachment, record, before)
        reach(FaultPoint.ATTACH_ADDED)
        steps = tuple(PluginStep(step.plugin, step.seconds) for step in added.steps)
        attached = replace(record, phase=Phase.ATTACHED, progress=len(steps), steps=steps, result=added.raw)
        await self._index.put(attached)
        return added.result

    async def _add_or_undo(
        self, network: NetworkList, attachment: Attachment, record: AttachmentRecord, before: BeforePlugin
    ) -> Added:
        """ADD; when it fails and the runtime has undone it, the record says that there is nothing to delete."""
        try:
            return await self._cni.add(network, attachment, before=before)
        except RollbackError:
            raise
        except CniError:
            await self._index.put(replace(record, progress=0))
            raise

    async def _delete(self, record: AttachmentRecord) -> None:
        async def before(index: int, plugin: str) -> None:
            reach_plugin("detach", index)

        deleting = replace(record, phase=Phase.DELETING)
        await self._note(deleting)
        reach(FaultPoint.DETACH_RECORDED)
        alive = await self._namespaces.inode(record.netns) is not None
        network, attachment = _rebuild(record, record.netns if alive else None)
        try:
            with self._translated(record):
                async with asyncio.timeout(self._policy.timeout):
                    await self._cni.delete(network, attachment, before=before, begun=record.progress)
        except CrishimError as error:
            await self._note(replace(deleting, error=str(error)))
            raise
        reach(FaultPoint.DETACH_DELETED)
        await self._index.drop_attachment(record)

    async def _note(self, record: AttachmentRecord) -> None:
        """Keep how far a DEL has come; of an attachment whose sandbox is lost nobody could read it."""
        if self._index.find(record.sandbox_id):
            await self._index.put(record)

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
        netns_inode=sandbox.netns_inode,
        boot_id=sandbox.boot_id,
        args=cni_args(sandbox.id, sandbox.config),
        capability_args=capability_args(sandbox.config),
        progress=1,
    )


def _rebuild(record: AttachmentRecord, netns: str | None) -> tuple[NetworkList, Attachment]:
    """The network and attachment as they were at ADD, from the record alone."""
    attachment = Attachment(
        container_id=record.sandbox_id,
        netns=netns,
        ifname=record.ifname,
        args=record.args,
        capability_args=record.capability_args,
    )
    return parse_network_list(record.conflist, record.source), attachment


def _all_or_group(what: str, outcome: Sequence[_T | BaseException]) -> list[_T]:
    """The results, or everything that went wrong in one group; a cancellation goes before all."""
    errors = [item for item in outcome if isinstance(item, BaseException)]
    for error in errors:
        if not isinstance(error, Exception):
            raise error
    if errors:
        raise ExceptionGroup(f"{what} failed", [error for error in errors if isinstance(error, Exception)])
    return [item for item in outcome if not isinstance(item, BaseException)]
