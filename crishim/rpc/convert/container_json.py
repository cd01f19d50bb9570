"""``ContainerConfig`` as the JSON object that verbose statuses show: crictl can read it back as one.

Values of environment variables are text there, unlike in protobuf's own JSON: Kubernetes' Go types write and read
them so. What is no UTF-8 in one is replaced.
"""

from __future__ import annotations

from crishim.model.container import Capabilities, ContainerConfig, ContainerSecurity, Device, ImageSpec, Mount
from crishim.rpc.convert.json_parts import (
    Json,
    extents,
    limits,
    mapping,
    members,
    namespaces,
    profile,
    selinux_options,
    value,
)


def container_config_json(config: ContainerConfig) -> Json:
    """The whole configuration."""
    return members(
        metadata=members(name=config.metadata.name, attempt=config.metadata.attempt),
        image=_image(config.image),
        command=list(config.command),
        args=list(config.args),
        working_dir=config.working_dir,
        envs=[members(key=key, value=text.decode(errors="replace")) for key, text in config.envs],
        mounts=[_mount(mount) for mount in config.mounts],
        devices=[_device(device) for device in config.devices],
        labels=mapping(config.labels),
        annotations=mapping(config.annotations),
        log_path=config.log_path,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        tty=config.tty,
        linux=members(resources=limits(config.resources) or None, security_context=_security(config.security)) or None,
        CDI_devices=[members(name=name) for name in config.cdi_devices],
        stop_signal=config.stop_signal,
    )


def _image(image: ImageSpec) -> Json:
    return members(
        image=image.image,
        annotations=mapping(image.annotations),
        user_specified_image=image.user_specified_image,
        runtime_handler=image.runtime_handler,
        image_ref=image.image_ref,
    )


def _mount(mount: Mount) -> Json:
    return members(
        container_path=mount.container_path,
        host_path=mount.host_path,
        readonly=mount.readonly,
        selinux_relabel=mount.selinux_relabel,
        propagation=mount.propagation.value,
        uidMappings=extents(mount.uid_mappings),
        gidMappings=extents(mount.gid_mappings),
        recursive_read_only=mount.recursive_read_only,
        image=mount.image and _image(mount.image),
        image_sub_path=mount.image_sub_path,
        mount_options=list(mount.mount_options),
    )


def _device(device: Device) -> Json:
    return members(container_path=device.container_path, host_path=device.host_path, permissions=device.permissions)


def _security(security: ContainerSecurity) -> Json | None:
    return (
        members(
            capabilities=_capabilities(security.capabilities) or None,
            privileged=security.privileged,
            namespace_options=namespaces(security.namespaces) or None,
            selinux_options=security.selinux and selinux_options(security.selinux),
            run_as_user=value(security.run_as_user),
            run_as_group=value(security.run_as_group),
            run_as_username=security.run_as_username,
            readonly_rootfs=security.readonly_rootfs,
            supplemental_groups=list(security.supplemental_groups),
            supplemental_groups_policy=security.supplemental_groups_policy,
            no_new_privs=security.no_new_privs,
            masked_paths=list(security.masked_paths),
            readonly_paths=list(security.readonly_paths),
            seccomp=security.seccomp and profile(security.seccomp),
            apparmor=security.apparmor and profile(security.apparmor),
        )
        or None
    )


def _capabilities(capabilities: Capabilities) -> Json:
    return members(
        add_capabilities=list(capabilities.add),
        drop_capabilities=list(capabilities.drop),
        add_ambient_capabilities=list(capabilities.add_ambient),
    )
