"""Turns checked tables into the configuration in force, and checks what one value alone cannot tell. Pure."""

from __future__ import annotations

from pathlib import Path

from crishim.core.config.check import wrong
from crishim.core.config.read import Document
from crishim.core.config.tables import (
    DEFAULT_BIN_DIRS,
    CrishimImagesTable,
    HandlerTable,
    ImagesTable,
    RegistryAuthTable,
    ServerTable,
    Tables,
)
from crishim.core.config.types import (
    CniConfig,
    Config,
    ImageConfig,
    IPPreference,
    RegistryAuth,
    RuntimeHandler,
    StreamServer,
)
from crishim.core.durations import parse_duration

_CONTAINERD_BIN_DIRS = ("/opt/cni/bin",)


def _seconds(duration: str) -> float:
    """The seconds of a duration that the tables have checked; 0 for "" and "0"."""
    return 0.0 if duration in ("", "0") else parse_duration(duration)


def resolve(tables: Tables, main: Document) -> Config:
    """The configuration in force; ``main`` is the file that errors name."""
    own, runtime = tables.crishim, tables.runtime
    runtimes = {"runc": HandlerTable(), **runtime.containerd.runtimes}
    default = runtime.containerd.default_runtime_name
    if default not in runtimes:
        place = main.place("runtime").at("containerd", "default_runtime_name")
        raise wrong(place, default, "a key of containerd.runtimes: " + ", ".join(sorted(runtimes)))
    return Config(
        root=Path(own.root),
        state=Path(own.state),
        address=Path(own.address),
        log_level=own.log_level,
        log_format=own.log_format,
        cni=_cni(tables, main),
        runtimes={name: _handler(name, table, main) for name, table in runtimes.items()},
        default_runtime_name=default,
        images=_images(tables.images, own.images),
        stream_server=_stream_server(tables.server, main),
        drain_exec_sync_io_timeout=_seconds(runtime.drain_exec_sync_io_timeout),
        restrict_oom_score_adj=runtime.restrict_oom_score_adj,
        enable_selinux=runtime.enable_selinux,
        disable_apparmor=runtime.disable_apparmor,
        enable_unprivileged_ports=runtime.enable_unprivileged_ports,
        enable_unprivileged_icmp=runtime.enable_unprivileged_icmp,
        device_ownership_from_security_context=runtime.device_ownership_from_security_context,
        netns_mounts_under_state_dir=runtime.netns_mounts_under_state_dir,
    )


def _images(table: ImagesTable, own: CrishimImagesTable) -> ImageConfig:
    auths = {host: entry.auth for host, entry in table.registry.configs.items() if entry.auth != RegistryAuthTable()}
    return ImageConfig(
        config_path=tuple(Path(part) for part in table.registry.config_path.split(":") if part),
        auths={
            host: RegistryAuth(auth.username, auth.password, auth.auth, auth.identitytoken)
            for host, auth in auths.items()
        },
        pinned=tuple(table.pinned_images.values()),
        max_concurrent_downloads=table.max_concurrent_downloads,
        progress_timeout=_seconds(table.image_pull_progress_timeout),
        discard_unpacked_layers=table.discard_unpacked_layers,
        max_image_bytes=own.max_image_bytes,
        max_unpacked_bytes=own.max_unpacked_bytes,
        max_entries=own.max_entries,
        max_layers=own.max_layers,
    )


def _cni(tables: Tables, main: Document) -> CniConfig:
    table, own = tables.runtime.cni, tables.crishim.cni
    bin_dirs = table.bin_dirs
    if table.bin_dir:
        if bin_dirs not in ((), _CONTAINERD_BIN_DIRS, DEFAULT_BIN_DIRS):
            raise wrong(main.place("runtime").at("cni", "bin_dir"), table.bin_dir, "only one of bin_dir and bin_dirs")
        bin_dirs = (table.bin_dir,)
    return CniConfig(
        bin_dirs=tuple(Path(part) for part in bin_dirs),
        conf_dir=Path(table.conf_dir),
        max_conf_num=table.max_conf_num,
        conf_template=_optional(table.conf_template),
        ip_pref=IPPreference(table.ip_pref or IPPreference.IPV4),
        setup_serially=table.setup_serially,
        use_internal_loopback=table.use_internal_loopback,
        plugins=own.plugins,
        exceptions=own.exceptions,
        plugin_timeout=_seconds(own.plugin_timeout),
    )


def _handler(name: str, table: HandlerTable, main: Document) -> RuntimeHandler:
    if table.privileged_without_host_devices_all_devices_allowed and not table.privileged_without_host_devices:
        key = "privileged_without_host_devices_all_devices_allowed"
        place = main.place("runtime").at("containerd", "runtimes", name, key)
        raise wrong(place, value=True, expected="privileged_without_host_devices = true beside it")
    return RuntimeHandler(
        runtime_type=table.runtime_type,
        binary_name=table.options.binary_name,
        systemd_cgroup=table.options.systemd_cgroup,
        privileged_without_host_devices=table.privileged_without_host_devices,
        privileged_without_host_devices_all_devices_allowed=table.privileged_without_host_devices_all_devices_allowed,
        pod_annotations=table.pod_annotations,
        container_annotations=table.container_annotations,
        cni_conf_dir=_optional(table.cni_conf_dir),
        cni_max_conf_num=table.cni_max_conf_num,
    )


def _stream_server(table: ServerTable, main: Document) -> StreamServer:
    pair, place = table.x509_key_pair_streaming, main.place("server")
    if (pair.tls_cert_file or pair.tls_key_file) and not table.enable_tls_streaming:
        raise wrong(place.at("enable_tls_streaming"), value=False, expected="true beside x509_key_pair_streaming")
    if bool(pair.tls_cert_file) != bool(pair.tls_key_file):
        missing = "tls_key_file" if pair.tls_cert_file else "tls_cert_file"
        raise wrong(place.at("x509_key_pair_streaming", missing), "", "both tls_cert_file and tls_key_file, or neither")
    return StreamServer(
        address=table.stream_server_address,
        port=int(table.stream_server_port or "0"),
        idle_timeout=_seconds(table.stream_idle_timeout),
        tls=table.enable_tls_streaming,
        tls_cert_file=_optional(pair.tls_cert_file),
        tls_key_file=_optional(pair.tls_key_file),
    )


def _optional(path: str) -> Path | None:
    return Path(path) if path else None
