"""``PodConfig`` as the JSON object that verbose statuses show under ``config``.

The names are those of the messages and, as in containerd's rendering, what is unset is left out:
the text can be read back as a ``PodSandboxConfig``.
"""

from __future__ import annotations

from crishim.model.pod import DNSConfig, PodConfig, PodMetadata, PortMapping, SandboxSecurity
from crishim.rpc.convert.json_parts import Json, limits, mapping, members, namespaces, profile, selinux_options, value


def pod_config_json(config: PodConfig) -> Json:
    """The whole configuration."""
    return members(
        metadata=_metadata(config.metadata),
        hostname=config.hostname,
        log_directory=config.log_directory,
        dns_config=config.dns and _dns(config.dns),
        port_mappings=[_port_mapping(each) for each in config.port_mappings],
        labels=mapping(config.labels),
        annotations=mapping(config.annotations),
        linux=_linux(config) or None,
    )


def _metadata(metadata: PodMetadata) -> Json:
    return members(name=metadata.name, uid=metadata.uid, namespace=metadata.namespace, attempt=metadata.attempt)


def _dns(dns: DNSConfig) -> Json:
    return members(servers=list(dns.servers), searches=list(dns.searches), options=list(dns.options))


def _port_mapping(mapped: PortMapping) -> Json:
    return members(
        protocol=mapped.protocol.value,
        container_port=mapped.container_port,
        host_port=mapped.host_port,
        host_ip=mapped.host_ip,
    )


def _linux(config: PodConfig) -> Json:
    return members(
        cgroup_parent=config.cgroup_parent,
        security_context=_security(config.security) or None,
        sysctls=mapping(config.sysctls),
        overhead=config.overhead and limits(config.overhead),
        resources=config.resources and limits(config.resources),
    )


def _security(security: SandboxSecurity) -> Json:
    return members(
        namespace_options=namespaces(security.namespaces) or None,
        selinux_options=security.selinux and selinux_options(security.selinux),
        run_as_user=value(security.run_as_user),
        run_as_group=value(security.run_as_group),
        readonly_rootfs=security.readonly_rootfs,
        supplemental_groups=list(security.supplemental_groups),
        supplemental_groups_policy=security.supplemental_groups_policy,
        privileged=security.privileged,
        seccomp=security.seccomp and profile(security.seccomp),
        apparmor=security.apparmor and profile(security.apparmor),
    )
