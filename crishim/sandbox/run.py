"""RunPodSandbox: from a pod configuration to a ready sandbox with an IP, or to nothing at all."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Mapping, Sequence

import structlog
from msgspec.structs import replace

from crishim.core.clock import boot_id, now_ns
from crishim.core.errors import AlreadyExistsError, explain
from crishim.core.faultpoints import FaultPoint, reach
from crishim.core.tasks import InFlight, both
from crishim.drivers.cgroups import CgroupDriver
from crishim.model.attachment import AttachmentRecord
from crishim.model.event import EventType
from crishim.model.pod import NamespaceMode, PodConfig
from crishim.model.sandbox import Event, NamespaceSpec, Sandbox, State, advance
from crishim.sandbox.files import SandboxFiles
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.layout import Layout
from crishim.sandbox.network import PodNetwork
from crishim.sandbox.ports import Containers, Namespaces, OnEvent
from crishim.sandbox.sysctls import for_groups, split_by_interface, with_defaults
from crishim.sandbox.teardown import Teardown
from crishim.sandbox.validate import check_config

_log = structlog.get_logger()

# How long the undo of a failed run may take; its caller is gone or has an error already, so nobody waits for more.
UNDO_SECONDS = 150.0


class RunSandbox:
    """Makes sandboxes. One attempt of one pod is made once, however many ask for it at the same time."""

    def __init__(
        self,
        index: SandboxIndex,
        layout: Layout,
        files: SandboxFiles,
        namespaces: Namespaces,
        network: PodNetwork,
        containers: Containers,
        teardown: Teardown,
        in_flight: InFlight,
        cgroup_driver: CgroupDriver,
        on_event: OnEvent,
        network_sysctls: Mapping[str, str],
    ) -> None:
        """``network_sysctls``: kernel parameters of each pod's own network, unless the pod sets them itself."""
        self._index, self._layout, self._files = index, layout, files
        self._namespaces, self._network = namespaces, network
        self._containers, self._teardown = containers, teardown
        self._in_flight, self._cgroup_driver, self._on_event = in_flight, cgroup_driver, on_event
        self._network_sysctls = network_sysctls

    async def run(self, config: PodConfig, runtime_handler: str) -> str:
        """The id of a ready sandbox for ``config``; ``runtime_handler`` is empty or a configured one.

        The work is owned by the server: a caller that goes away does not end it, and one that asks again joins it.
        Raises InvalidArgumentError, AlreadyExistsError when the attempt's name is held by a stopped sandbox, and an
        ExceptionGroup of the plugins' errors; then nothing of the sandbox is left, or it stays listed as not ready.
        """
        check_config(config, self._cgroup_driver)
        name = config.metadata.reservation
        return await self._in_flight.run(f"run {name}", lambda: self._run_once(config, runtime_handler))

    async def _run_once(self, config: PodConfig, runtime_handler: str) -> str:
        if holder := self._index.by_name(config.metadata.reservation):
            if holder.state is State.READY:
                return holder.id
            await self._clear_failed(holder)
        sandbox = self._begin(config, runtime_handler)
        try:
            await self._make(sandbox)
        except BaseException as error:
            await self._undo(sandbox.id, error)
            raise
        return sandbox.id

    def _begin(self, config: PodConfig, runtime_handler: str) -> Sandbox:
        sandbox_id = secrets.token_hex(32)
        return Sandbox(
            id=sandbox_id,
            config=config,
            runtime_handler=runtime_handler,
            created_at=now_ns(),
            boot_id=boot_id(),
            namespaces=self._layout.namespaces(sandbox_id, config),
        )

    async def _make(self, sandbox: Sandbox) -> None:
        # Planned first: a pod whose networks cannot be had leaves no trace at all.
        planned = self._network.plan(sandbox) if sandbox.namespaces.net else ()
        self._containers.expect()
        await self._index.put(sandbox, *planned)
        reach(FaultPoint.RUN_RECORDED)
        early, late = split_by_interface(self._sysctls(sandbox.config))
        inode = await self._make_files_and_namespaces(sandbox, early)
        reach(FaultPoint.RUN_NAMESPACES)
        ips: tuple[str, ...] = ()
        attached: Sequence[AttachmentRecord] = ()
        if planned:
            ips, attached = await self._network.attach(planned)
            await self._namespaces.write_sysctls(sandbox.namespaces, late)
        reach(FaultPoint.RUN_ATTACHED)
        state = advance(sandbox.id, sandbox.state, Event.READY)
        ready = replace(sandbox, netns_inode=inode, ips=ips, state=state)
        await self._index.put(ready, *attached)
        reach(FaultPoint.RUN_READY)
        for kind in (EventType.CREATED, EventType.STARTED):
            self._on_event(ready, kind)

    def _sysctls(self, config: PodConfig) -> dict[str, str]:
        host_network, userns = config.namespaces.network is NamespaceMode.NODE, config.user_namespace
        defaults = self._network_sysctls if userns is None else for_groups(self._network_sysctls, userns.gids)
        return with_defaults(config.sysctls, defaults, host_network)

    async def _make_files_and_namespaces(self, sandbox: Sandbox, sysctls: Mapping[str, str]) -> int:
        """Make both side by side; the inode of the network namespace, or 0."""
        hostname = sandbox.config.hostname or socket.gethostname()
        spec = NamespaceSpec(
            paths=sandbox.namespaces,
            hostname=hostname,
            sysctls=sysctls,
            loopback_up=self._network.internal_loopback,
            userns=sandbox.config.user_namespace,
        )
        inode, _ = await both(self._namespaces.create(spec), self._make_files(sandbox, hostname))
        return inode

    async def _make_files(self, sandbox: Sandbox, hostname: str) -> None:
        await self._files.create(sandbox.id, sandbox.config, hostname)
        reach(FaultPoint.RUN_FILES)

    async def _undo(self, sandbox_id: str, error: BaseException) -> None:
        """Leave nothing of a sandbox whose making failed; what cannot be undone now stays listed, with the reason."""
        try:
            async with asyncio.timeout(UNDO_SECONDS):
                await self._teardown.discard(sandbox_id, reason=f"RunPodSandbox failed: {explain(error)}")
        except Exception as undo_error:
            _log.warning("sandbox.undo_incomplete", sandbox=sandbox_id, error=explain(undo_error))
            error.add_note(f"sandbox {sandbox_id} could not be undone yet: {explain(undo_error)}")

    async def _clear_failed(self, holder: Sandbox) -> None:
        """Free the name of this attempt if all that holds it is an earlier making that failed, or was cut off."""
        if not holder.failed and holder.state is not State.CREATING:
            what = f"pod sandbox {holder.id}, which is {holder.state}"
            raise AlreadyExistsError(f"config.metadata: this attempt's name is reserved by {what}")
        await self._teardown.discard(holder.id)
