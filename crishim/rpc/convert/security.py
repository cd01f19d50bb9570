"""Namespaces and security settings: from messages, and the namespaces back to a message."""

from __future__ import annotations

from collections.abc import Iterable

from crishim.core.errors import InvalidArgumentError, refusal
from crishim.model.container import Capabilities, ContainerSecurity
from crishim.model.pod import (
    GroupsPolicy,
    IDMapping,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    SandboxSecurity,
    SecurityProfile,
    SELinuxOptions,
    UserNamespace,
)
from crishim.rpc.convert.fields import member, number_of, required
from crishim.rpc.convert.message import Fields
from crishim.rpc.pb import api_pb2 as pb

_LOCALHOST = "localhost/"
_PROFILE_WORDS = {
    "runtime/default": ProfileType.RUNTIME_DEFAULT,
    "docker/default": ProfileType.RUNTIME_DEFAULT,
    "unconfined": ProfileType.UNCONFINED,
}


def sandbox_security(path: str, message: pb.LinuxSandboxSecurityContext) -> SandboxSecurity:
    """Security settings of a pod; ``path`` names ``message``."""
    if message.HasField("run_as_group") and not message.HasField("run_as_user"):
        raise InvalidArgumentError(f"{path}.run_as_group: is only possible together with run_as_user")
    return SandboxSecurity(
        namespaces=namespace_options(f"{path}.namespace_options", message.namespace_options),
        selinux=selinux_options(message.selinux_options) if message.HasField("selinux_options") else None,
        run_as_user=message.run_as_user.value if message.HasField("run_as_user") else None,
        run_as_group=message.run_as_group.value if message.HasField("run_as_group") else None,
        readonly_rootfs=message.readonly_rootfs,
        supplemental_groups=tuple(message.supplemental_groups),
        supplemental_groups_policy=_groups_policy(path, message),
        privileged=message.privileged,
        seccomp=_seccomp(path, message),
        apparmor=security_profile(f"{path}.apparmor", message.apparmor) if message.HasField("apparmor") else None,
    )


def container_security(path: str, message: pb.LinuxContainerSecurityContext) -> ContainerSecurity:
    """Security settings of a container; ``path`` names ``message``."""
    has_user = message.HasField("run_as_user")
    if has_user and message.run_as_username:
        raise InvalidArgumentError(f"{path}.run_as_username: is not possible together with run_as_user")
    return ContainerSecurity(
        capabilities=_capabilities(message.capabilities),
        privileged=message.privileged,
        namespaces=namespace_options(f"{path}.namespace_options", message.namespace_options),
        selinux=selinux_options(message.selinux_options) if message.HasField("selinux_options") else None,
        run_as_user=message.run_as_user.value if has_user else None,
        run_as_group=message.run_as_group.value if message.HasField("run_as_group") else None,
        run_as_username=message.run_as_username,
        readonly_rootfs=message.readonly_rootfs,
        supplemental_groups=tuple(message.supplemental_groups),
        supplemental_groups_policy=_groups_policy(path, message),
        no_new_privs=message.no_new_privs,
        masked_paths=tuple(message.masked_paths),
        readonly_paths=tuple(message.readonly_paths),
        seccomp=_seccomp(path, message),
        apparmor=_apparmor(path, message),
    )


def namespace_options(path: str, message: pb.NamespaceOption) -> NamespaceOptions:
    """Which namespaces are shared; ``path`` names ``message``."""
    userns = message.userns_options if message.HasField("userns_options") else None
    return NamespaceOptions(
        network=member(f"{path}.network", NamespaceMode, message.network),
        pid=member(f"{path}.pid", NamespaceMode, message.pid),
        ipc=member(f"{path}.ipc", NamespaceMode, message.ipc),
        target_id=message.target_id,
        userns=None if userns is None else _user_namespace(f"{path}.userns_options", userns),
    )


def security_profile(path: str, message: pb.SecurityProfile) -> SecurityProfile:
    """A seccomp or AppArmor profile; ``path`` names ``message``."""
    kind = ProfileType(number_of(f"{path}.profile_type", pb.SecurityProfile.ProfileType, message.profile_type))
    if kind is ProfileType.LOCALHOST:
        required(f"{path}.localhost_ref", message.localhost_ref)
    return SecurityProfile(profile_type=kind, localhost_ref=message.localhost_ref)


def selinux_options(message: pb.SELinuxOption) -> SELinuxOptions:
    """An SELinux label."""
    return SELinuxOptions(user=message.user, role=message.role, type=message.type, level=message.level)


def id_mappings(extents: Iterable[pb.IDMapping]) -> tuple[IDMapping, ...]:
    """Extents of an id map."""
    return tuple(IDMapping(extent.host_id, extent.container_id, extent.length) for extent in extents)


def namespace_fields(options: NamespaceOptions) -> Fields:
    """As a status shows them."""
    userns = options.userns
    return {
        "network": options.network.name,
        "pid": options.pid.name,
        "ipc": options.ipc.name,
        "target_id": options.target_id,
        "userns_options": None if userns is None else _user_namespace_fields(userns),
    }


def mapping_fields(extent: IDMapping) -> Fields:
    """One extent of an id map."""
    return {"host_id": extent.host_id, "container_id": extent.container_id, "length": extent.length}


def _groups_policy(
    path: str, message: pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext
) -> GroupsPolicy:
    number = message.supplemental_groups_policy
    return GroupsPolicy(number_of(f"{path}.supplemental_groups_policy", pb.SupplementalGroupsPolicy, number))


def _capabilities(message: pb.Capability) -> Capabilities:
    return Capabilities(
        add=tuple(message.add_capabilities),
        drop=tuple(message.drop_capabilities),
        add_ambient=tuple(message.add_ambient_capabilities),
    )


def _seccomp(
    path: str, message: pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext
) -> SecurityProfile | None:
    if message.HasField("seccomp"):
        return security_profile(f"{path}.seccomp", message.seccomp)
    return _legacy_profile(f"{path}.seccomp_profile_path", message.seccomp_profile_path)


def _apparmor(path: str, message: pb.LinuxContainerSecurityContext) -> SecurityProfile | None:
    if message.HasField("apparmor"):
        return security_profile(f"{path}.apparmor", message.apparmor)
    return _legacy_profile(f"{path}.apparmor_profile", message.apparmor_profile)


def _legacy_profile(path: str, text: str) -> SecurityProfile | None:
    """What a deprecated field says, for callers that still use it."""
    if not text:
        return None
    if text in _PROFILE_WORDS:
        return SecurityProfile(profile_type=_PROFILE_WORDS[text])
    if text.startswith(_LOCALHOST) and text != _LOCALHOST:
        return SecurityProfile(ProfileType.LOCALHOST, text.removeprefix(_LOCALHOST))
    raise refusal(path, " or ".join([*_PROFILE_WORDS, f"{_LOCALHOST}PATH"]), text)


def _user_namespace(path: str, message: pb.UserNamespace) -> UserNamespace:
    mode = member(f"{path}.mode", NamespaceMode, message.mode)
    if mode not in (NamespaceMode.POD, NamespaceMode.NODE):
        raise refusal(f"{path}.mode", "POD or NODE", mode.name)
    return UserNamespace(mode, id_mappings(message.uids), id_mappings(message.gids))


def _user_namespace_fields(userns: UserNamespace) -> Fields:
    return {
        "mode": userns.mode.name,
        "uids": [mapping_fields(extent) for extent in userns.uids],
        "gids": [mapping_fields(extent) for extent in userns.gids],
    }
