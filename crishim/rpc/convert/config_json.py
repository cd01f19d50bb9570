"""``PodConfig`` as the JSON object that verbose statuses show under ``config``.

The names are those of the messages and, as in containerd's rendering, what is unset is left out:
the text can be read back as a ``PodSandboxConfig``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crishim.model.pod import (
    DNSConfig,
    IDMapping,
    NamespaceOptions,
    PodConfig,
    PodMetadata,
    PortMapping,
    Resources,
    SandboxSecurity,
    SecurityProfile,
    SELinuxOptions,
    UserNamespace,
)

Json = dict[str, object]


def pod_config_json(config: PodConfig) -> Json:
    """The whole configuration."""
    return _object(
        metadata=_metadata(config.metadata),
        hostname=config.hostname,
        log_directory=config.log_directory,
        dns_config=config.dns and _dns(config.dns),
        port_mappings=[_port_mapping(mapping) for mapping in config.port_mappings],
        labels=_map(config.labels),
        annotations=_map(config.annotations),
        linux=_linux(config) or None,
    )


def _object(**members: object) -> Json:
    """Without the members that are unset; an empty object is one that was set, with nothing in it."""
    return {name: value for name, value in members.items() if value or value == {}}


def _map(values: Mapping[str, object]) -> Json | None:
    return dict(values) or None


def _value(number: int | None) -> Json | None:
    return None if number is None else _object(value=number)


def _metadata(metadata: PodMetadata) -> Json:
    return _object(name=metadata.name, uid=metadata.uid, namespace=metadata.namespace, attempt=metadata.attempt)


def _dns(dns: DNSConfig) -> Json:
    return _object(servers=list(dns.servers), searches=list(dns.searches), options=list(dns.options))


def _port_mapping(mapping: PortMapping) -> Json:
    return _object(
        protocol=mapping.protocol.value,
        container_port=mapping.container_port,
        host_port=mapping.host_port,
        host_ip=mapping.host_ip,
    )


def _linux(config: PodConfig) -> Json:
    return _object(
        cgroup_parent=config.cgroup_parent,
        security_context=_security(config.security) or None,
        sysctls=_map(config.sysctls),
        overhead=config.overhead and _resources(config.overhead),
        resources=config.resources and _resources(config.resources),
    )


def _security(security: SandboxSecurity) -> Json:
    return _object(
        namespace_options=_namespaces(security.namespaces) or None,
        selinux_options=security.selinux and _selinux(security.selinux),
        run_as_user=_value(security.run_as_user),
        run_as_group=_value(security.run_as_group),
        readonly_rootfs=security.readonly_rootfs,
        supplemental_groups=list(security.supplemental_groups),
        supplemental_groups_policy=security.supplemental_groups_policy,
        privileged=security.privileged,
        seccomp=security.seccomp and _profile(security.seccomp),
        apparmor=security.apparmor and _profile(security.apparmor),
    )


def _namespaces(options: NamespaceOptions) -> Json:
    return _object(
        network=options.network.value,
        pid=options.pid.value,
        ipc=options.ipc.value,
        target_id=options.target_id,
        userns_options=options.userns and _user_namespace(options.userns),
    )


def _user_namespace(userns: UserNamespace) -> Json:
    return _object(mode=userns.mode.value, uids=_extents(userns.uids), gids=_extents(userns.gids))


def _extents(extents: Iterable[IDMapping]) -> list[Json]:
    return [
        _object(host_id=extent.host_id, container_id=extent.container_id, length=extent.length) for extent in extents
    ]


def _selinux(selinux: SELinuxOptions) -> Json:
    return _object(user=selinux.user, role=selinux.role, type=selinux.type, level=selinux.level)


def _profile(profile: SecurityProfile) -> Json:
    return _object(profile_type=profile.profile_type, localhost_ref=profile.localhost_ref)


def _resources(resources: Resources) -> Json:
    return _object(
        cpu_period=resources.cpu_period,
        cpu_quota=resources.cpu_quota,
        cpu_shares=resources.cpu_shares,
        memory_limit_in_bytes=resources.memory_limit_in_bytes,
        oom_score_adj=resources.oom_score_adj,
        cpuset_cpus=resources.cpuset_cpus,
        cpuset_mems=resources.cpuset_mems,
        hugepage_limits=[_object(page_size=size, limit=limit) for size, limit in resources.hugepage_limits.items()],
        unified=_map(resources.unified),
        memory_swap_limit_in_bytes=resources.memory_swap_limit_in_bytes,
    )
