"""Gather everything a container's OCI configuration is made of, and make it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from crishim.container.handlers import of_handler
from crishim.container.index import ContainerIndex
from crishim.container.infra import Infra
from crishim.container.layout import ContainerLayout
from crishim.container.ports import Images, Node
from crishim.container.spec.annotations import passed_on
from crishim.container.spec.build import build_spec
from crishim.container.spec.cdi import cdi_devices
from crishim.container.spec.fields import SECURITY
from crishim.container.spec.inputs import HostFacts, PodFiles, SpecInputs, User
from crishim.container.spec.mounts import check_propagation, host_paths, propagating_paths, relabelled_paths
from crishim.container.spec.namespaces import pid_mode
from crishim.container.spec.seccomp import parse_profile, seccomp_file
from crishim.container.spec.selinux import selinux_labels
from crishim.container.spec.volumes import image_volumes
from crishim.container.users import ImageUsers
from crishim.container.validate import check_config
from crishim.core.config import RuntimeHandler
from crishim.core.errors import FailedPreconditionError, InvalidArgumentError, refusal
from crishim.model.container import Container, ContainerConfig, State
from crishim.model.image import ImageRoot
from crishim.model.pod import NamespaceMode
from crishim.model.sandbox import IdMap, Sandbox


class Handler(Struct, frozen=True):
    """A runtime handler's configuration, and what the node can do with it."""

    config: RuntimeHandler
    host: HostFacts


class Prepared(Struct, frozen=True):
    """A container's OCI configuration, and whom it runs as.

    ``pid_holder`` is the container whose PID namespace it joins: the configuration names that by the id of a process.
    """

    spec: dict[str, Any]
    user: User
    pid_holder: Container | None


class Prepare:
    """Makes OCI configurations. What it makes on disk lies in the container's own directories."""

    def __init__(
        self,
        index: ContainerIndex,
        layout: ContainerLayout,
        handlers: Mapping[str, Handler],
        pod_files: Callable[[str], PodFiles],
        images: Images,
        node: Node,
        infra: Infra,
        *,
        device_ownership: bool,
    ) -> None:
        self._index, self._layout, self._handlers, self._pod_files = index, layout, handlers, pod_files
        self._images, self._node, self._infra, self._users = images, node, infra, ImageUsers(node)
        self._device_ownership = device_ownership

    async def check(self, sandbox: Sandbox, config: ContainerConfig) -> HostFacts:
        """Refuse, before anything is touched, what cannot be made. Returns what the node can do now.

        Raises InvalidArgumentError, and UnavailableError when the runtime handler is not configured any more.
        """
        host = of_handler(self._handlers, sandbox.runtime_handler).host
        if config.security.privileged or host.apparmor:
            host = await self._node.refreshed(host)
        check_config(config, sandbox, host)
        labels = selinux_labels(config, sandbox, host)
        for label in filter(None, (labels.process, labels.mount)):
            if not await self._node.knows_label(label):
                raise refusal(f"{SECURITY}.selinux_options", "a label that the node's SELinux policy has", label)
        return host

    def begin(self, sandbox: Sandbox, config: ContainerConfig) -> None:
        """Begin what takes longest of ``prepare``."""
        if pid_mode(config, sandbox) is NamespaceMode.POD:
            self._infra.begin(sandbox)

    async def prepare(
        self, sandbox: Sandbox, container: Container, image: ImageRoot, rootfs: str, host: HostFacts
    ) -> Prepared:
        """The configuration of ``container`` on its mounted ``rootfs``; ``host`` is what ``check`` returned.

        Raises InvalidArgumentError, NotFoundError for an image to be mounted, FailedPreconditionError for a target
        container that does not run.
        """
        config, handler = container.config, of_handler(self._handlers, sandbox.runtime_handler).config
        files, label = self._pod_files(sandbox.id), selinux_labels(config, sandbox, host).mount
        user = await self._users.resolve(config, image, rootfs)
        await self._node.make_missing_dirs(*host_paths(config))
        if label:
            for path in relabelled_paths(config, sandbox, files):
                await self._node.relabel(path, label)
        check_propagation(config, await self._node.propagations_of(*propagating_paths(config)))
        holder = await self._pid_holder(sandbox, config)
        inputs = SpecInputs(
            container=container,
            sandbox=sandbox,
            image_config=image.config,
            rootfs=rootfs,
            files=files,
            user=user,
            host=host,
            hostname=self._node.hostname(),
            image_mounts=await self._image_mounts(container, sandbox.id_map, label),
            volumes=await self._volumes(container, image, rootfs, sandbox.id_map, label),
            devices={device.host_path: await self._node.stat_device(device.host_path) for device in config.devices},
            pid_namespace=f"/proc/{holder.pid}/ns/pid" if holder else None,
            seccomp_profile=await self._seccomp_profile(config),
            cdi_edits=await self._node.cdi_edits(cdi_devices(config)),
            privileged_without_host_devices=handler.privileged_without_host_devices,
            all_devices_allowed=handler.privileged_without_host_devices_all_devices_allowed,
            device_ownership=self._device_ownership,
            annotations=_annotations(sandbox, config, handler),
        )
        return Prepared(build_spec(inputs), inputs.user, holder)

    async def _pid_holder(self, sandbox: Sandbox, config: ContainerConfig) -> Container | None:
        mode = pid_mode(config, sandbox)
        if mode is NamespaceMode.POD:
            return await self._infra.holder(sandbox)
        if mode is not NamespaceMode.TARGET:
            return None
        target = self._index.resolve(config.security.namespaces.target_id)
        if target.state is not State.RUNNING or target.sandbox_id != sandbox.id:
            raise FailedPreconditionError(f"target container {target.id} does not run in pod sandbox {sandbox.id}")
        return target

    async def _volumes(
        self, container: Container, image: ImageRoot, rootfs: str, ids: IdMap | None, label: str
    ) -> dict[str, str]:
        """A directory of its own for every anonymous volume of the image, with the image's content in it."""
        directory, owner = self._layout.volumes(container.id), ids.userns.on_node(0, 0) if ids else None
        volumes: dict[str, str] = {}
        for number, path in enumerate(image_volumes(image.config, container.config)):
            volumes[path] = str(directory / str(number))
            await self._node.fill_volume(rootfs, path, volumes[path], owner)
            if label:
                await self._node.relabel(volumes[path], label)
        return volumes

    async def _image_mounts(self, container: Container, ids: IdMap | None, label: str) -> dict[str, str]:
        """A read-only mount of every image that is mounted, and in it the directory that is asked for."""
        found: dict[str, str] = {}
        for number, mount in enumerate(container.config.mounts):
            if mount.image is None:
                continue
            found_id = (await self._images.root(mount.image.image)).image_id
            # What is held counts: the image may have been removed and pulled again meanwhile.
            image = await self._images.hold(found_id, container.id)
            target = self._layout.image_mounts(container.id) / str(number)
            await self._node.mount_image(str(target), image.layers, ids, label)
            found[mount.container_path] = await self._node.path_in_root(str(target), mount.image_sub_path)
        return found

    async def _seccomp_profile(self, config: ContainerConfig) -> Mapping[str, Any] | None:
        file = seccomp_file(config.security)
        if file is None:
            return None
        try:
            return parse_profile(await self._node.read_file(file), file)
        except OSError as error:
            field = "config.linux.security_context.seccomp.localhost_ref"
            raise InvalidArgumentError(f"{field}: cannot read {file}: {error.strerror}") from error


def _annotations(sandbox: Sandbox, config: ContainerConfig, handler: RuntimeHandler) -> dict[str, str]:
    """Those annotations of the pod and the container that the handler passes on to the OCI runtime."""
    of_pod = passed_on(sandbox.config.annotations, handler.pod_annotations)
    return of_pod | passed_on(config.annotations, handler.container_annotations)
