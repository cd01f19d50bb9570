"""CreateContainer: from a configuration and an image to a container that waits for its start, or to nothing."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import structlog
from msgspec.structs import replace

from crishim.container.index import ContainerIndex
from crishim.container.layout import ContainerLayout
from crishim.container.pods import require_ready
from crishim.container.ports import Images, OciRuntime, Pods, Rootfs
from crishim.container.prepare import Prepare
from crishim.container.remove import RemoveContainer
from crishim.container.spec.inputs import HostFacts
from crishim.container.spec.mounts import mounted_at_files
from crishim.container.spec.selinux import selinux_labels
from crishim.container.spec.signals import stop_signal
from crishim.container.watch import OnChange, Watch
from crishim.core.clock import boot_id, now_ns
from crishim.core.errors import AlreadyExistsError, FailedPreconditionError, explain
from crishim.core.faultpoints import ContainerFaultPoint, reach
from crishim.core.tasks import InFlight, both
from crishim.model.container import Container, ContainerConfig, Event, State
from crishim.model.sandbox import Sandbox

_log = structlog.get_logger()

# How long the undo of a failed creation may take; its caller has an error already, so nobody waits for more.
UNDO_SECONDS = 60.0


class CreateContainer:
    """Makes containers. One attempt of one container is made once, however many ask for it at the same time."""

    def __init__(
        self,
        index: ContainerIndex,
        layout: ContainerLayout,
        pods: Pods,
        images: Images,
        rootfs: Rootfs,
        prepare: Prepare,
        runtime: OciRuntime,
        remove: RemoveContainer,
        watch: Watch,
        in_flight: InFlight,
        on_change: OnChange,
    ) -> None:
        self._index, self._layout, self._pods, self._images = index, layout, pods, images
        self._rootfs, self._prepare, self._runtime, self._remove = rootfs, prepare, runtime, remove
        self._watch, self._in_flight, self._on_change = watch, in_flight, on_change

    async def create(self, sandbox_id: str, config: ContainerConfig, *, privileged_pod: bool = False) -> str:
        """The id of a created container for ``config``.

        ``privileged_pod``: the pod may have privileged containers now, be its sandbox made before it might.
        The work is owned by the server: a caller that goes away does not end it, and one that asks again joins it.
        Raises NotFoundError (sandbox, image), InvalidArgumentError, FailedPreconditionError when the sandbox is not
        ready, AlreadyExistsError when the name is held by a container that has run.
        """
        sandbox = self._pods.get(sandbox_id)
        if privileged_pod:
            sandbox = _privileged(sandbox)
        key = f"create {sandbox.id} {config.metadata.name!r} {config.metadata.attempt}"
        return await self._in_flight.run(key, lambda: self._create_once(sandbox, config))

    async def _create_once(self, sandbox: Sandbox, config: ContainerConfig) -> str:
        require_ready(self._pods, sandbox.id)
        if holder := self._index.by_name(sandbox.id, config.metadata.name, config.metadata.attempt):
            if holder.state is State.CREATED:
                return holder.id
            await self._clear_failed(holder)
        host = await self._prepare.check(sandbox, config)
        image = await self._images.root(config.image.image)
        container = Container(
            id=secrets.token_hex(32),
            sandbox_id=sandbox.id,
            config=config,
            runtime_handler=sandbox.runtime_handler,
            created_at=now_ns(),
            boot_id=boot_id(),
            image_ref=image.image_id,
            image_digest=image.reference,
            log_path=_log_path(sandbox, config),
            resources=config.resources,
            stop_signal=stop_signal(config, image.config),
        )
        try:
            await self._make(sandbox, container, host)
        except BaseException as error:
            await self._undo(container, error)
            raise
        return container.id

    async def _clear_failed(self, holder: Container) -> None:
        """Free the name of this attempt if all that holds it is an earlier making that failed."""
        if holder.state is not State.CREATING:
            what = f"container {holder.id}, which is {holder.state}"
            raise AlreadyExistsError(f"config.metadata: this attempt's name is reserved by {what}")
        await self._remove.remove(holder.id)

    async def _make(self, sandbox: Sandbox, container: Container, host: HostFacts) -> None:
        bundle = self._layout.bundle(container.id)
        async with self._runtime.making(container, bundle) as making:
            image = await self._images.hold(container.image_ref, container.id)
            await self._index.put(container)
            reach(ContainerFaultPoint.RECORDED)
            self._prepare.begin(sandbox, container.config)
            label = selinux_labels(container.config, sandbox, host).mount
            at_files = mounted_at_files(container.config)
            root = await self._rootfs.mount(container.id, image.layers, sandbox.id_map, label, at_files)
            reach(ContainerFaultPoint.ROOTFS)
            prepared = await self._prepare.prepare(sandbox, container, image, root, host)
            # What is held is written while the OCI runtime is at work, which leaves this process little to do.
            made, _ = await both(making.make(prepared.spec), self._images.write_hold(container.id))
            self._require_joined(prepared.pid_holder)
            reach(ContainerFaultPoint.MADE)
            created = await self._index.advance(
                container.id,
                Event.MADE,
                pid=made.pid,
                pid_start=made.pid_start,
                uid=prepared.user.uid,
                gid=prepared.user.gid,
                supplemental_groups=prepared.user.additional_gids,
            )
            reach(ContainerFaultPoint.CREATED)
            require_ready(self._pods, sandbox.id)
        self._watch.begin(created)
        self._on_change(created, Event.MADE)

    def _require_joined(self, holder: Container | None) -> None:
        """Make sure that the PID namespace of ``holder`` was joined, and not that of whoever had its id next.

        Who ends a container at the right moment could get the node's namespace that way.
        """
        if holder is not None and not self._runtime.is_there(holder):
            raise FailedPreconditionError(f"container {holder.id}, whose PID namespace was to be joined, has ended")

    async def _undo(self, container: Container, error: BaseException) -> None:
        """Leave nothing of a container whose making failed; what cannot be undone now is tried at the next start."""
        try:
            async with asyncio.timeout(UNDO_SECONDS):
                await self._remove.undo(container)
        except Exception as undo_error:
            _log.warning("container.undo_incomplete", container=container.id, error=explain(undo_error))
            error.add_note(f"container {container.id} could not be undone yet: {explain(undo_error)}")


def _privileged(sandbox: Sandbox) -> Sandbox:
    """``sandbox`` as it would be for a pod with privileged containers: ephemeral ones may have come to it since."""
    security = replace(sandbox.config.security, privileged=True)
    return replace(sandbox, config=replace(sandbox.config, security=security))


def _log_path(sandbox: Sandbox, config: ContainerConfig) -> str:
    """The log lies below the pod's log directory, be its path absolute."""
    if not sandbox.config.log_directory or not config.log_path:
        return ""
    return str(Path(sandbox.config.log_directory) / config.log_path.lstrip("/"))
