"""The infra container: one process that holds the PID namespace a pod's containers share.

It starts with the first container that asks for the pod's PID namespace, and ends with the sandbox. It has a record
like any container, so that recovery and stop need to know little about it; but no monitor, for nobody wants to know
what it says. It needs no OCI runtime either, which would take several times as long, with a few exceptions.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from crishim.container.handlers import of_handler
from crishim.container.index import ContainerIndex
from crishim.container.layout import ContainerLayout
from crishim.container.pods import require_ready
from crishim.container.ports import Files, OciRuntime, Pods
from crishim.container.remove import RemoveContainer
from crishim.container.spec.infra import infra_process, infra_spec, needs_oci_runtime
from crishim.container.spec.inputs import HostFacts
from crishim.container.watch import Watch
from crishim.core.clock import boot_id, now_ns
from crishim.core.tasks import InFlight
from crishim.drivers.infra.dressing import CATATONIT
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, Event, ImageSpec, State, advance
from crishim.model.process import Started
from crishim.model.sandbox import Sandbox


class Infra:
    """Makes infra containers, one per sandbox, however many ask for it at the same time."""

    def __init__(
        self,
        index: ContainerIndex,
        layout: ContainerLayout,
        pods: Pods,
        files: Files,
        runtime: OciRuntime,
        remove: RemoveContainer,
        watch: Watch,
        in_flight: InFlight,
        hosts: Mapping[str, HostFacts],
    ) -> None:
        """``hosts`` says by runtime handler what the node can do."""
        self._index, self._layout, self._pods = index, layout, pods
        self._files, self._runtime = files, runtime
        self._remove, self._watch, self._in_flight, self._hosts = remove, watch, in_flight, hosts

    def begin(self, sandbox: Sandbox) -> None:
        """Begin to make the pod's PID namespace, which will be asked for."""
        self._in_flight.begin(f"infra {sandbox.id}", lambda: self._ensure(sandbox))

    async def holder(self, sandbox: Sandbox) -> Container:
        """The container whose process holds the pod's PID namespace, made now if it is not there yet."""
        return await self._in_flight.run(f"infra {sandbox.id}", lambda: self._ensure(sandbox))

    async def _ensure(self, sandbox: Sandbox) -> Container:
        for container in self._index.of_sandbox(sandbox.id):
            if container.infra:
                if container.state is State.RUNNING:
                    return container
                await self._remove.remove(container.id)
        return await self._make(sandbox)

    async def _make(self, sandbox: Sandbox) -> Container:
        container = Container(
            id=secrets.token_hex(32),
            sandbox_id=sandbox.id,
            infra=True,
            config=ContainerConfig(ContainerMetadata("infra"), ImageSpec("")),
            runtime_handler=sandbox.runtime_handler,
            created_at=now_ns(),
            boot_id=boot_id(),
            stop_signal="SIGKILL",
        )
        require_ready(self._pods, sandbox.id)
        await self._index.put(container)
        made = container
        try:
            made = await self._run(sandbox, container)
            await self._index.put(made)
            self._watch.begin(made)
            # The sandbox may have been removed meanwhile, and with it what there was of this.
            require_ready(self._pods, sandbox.id)
        except BaseException:
            await self._remove.undo(made)
            raise
        return made

    async def _run(self, sandbox: Sandbox, container: Container) -> Container:
        bundle, host = self._layout.bundle(container.id), of_handler(self._hosts, sandbox.runtime_handler)
        if needs_oci_runtime(sandbox, host):
            made = await self._run_by_oci_runtime(sandbox, container, bundle, host)
        else:
            made = await self._runtime.start_infra(container, bundle, infra_process(sandbox, host))
        state = advance(container.id, advance(container.id, container.state, Event.MADE), Event.START)
        return replace(container, state=state, started_at=now_ns(), pid=made.pid, pid_start=made.pid_start)

    async def _run_by_oci_runtime(
        self, sandbox: Sandbox, container: Container, bundle: Path, host: HostFacts
    ) -> Started:
        rootfs = bundle / "rootfs"
        await self._files.make_dir(str(rootfs), 0o755)
        if ids := sandbox.id_map:
            await self._files.give(str(rootfs), *ids.userns.on_node(0, 0))
        spec = infra_spec(container.id, sandbox, str(rootfs), str(CATATONIT), host)
        return await self._runtime.run(container, bundle, spec)
