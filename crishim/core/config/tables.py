"""Every key that may be set, table by table, in the form of containerd's configuration version 3.

A field without a mark is honoured. The marks are ``Unused`` and ``ACCEPTED``; check.py says what they do.
A default is what is in force when the key is not set. Keys and defaults: those that ``containerd config
default`` prints, releases 1.6, 1.7 and 2.3.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from crishim.core.config.types import LogFormat, LogLevel, PluginSource
from crishim.core.durations import UNITS

DEFAULT_BIN_DIRS = ("/opt/cni/bin", "/usr/lib/cni")


class Unused(Struct, frozen=True):
    """Marks a key that crishim knows and does not honour: a value that is not one of ``silent`` is a warning.

    ``silent`` None: every value is accepted, since it cannot matter here. In a table, keys that are empty, zero
    or false count as not set. ``hint`` says what to do instead.
    """

    silent: tuple[object, ...] | None
    hint: str = ""


ACCEPTED = Unused(silent=None)


def unused(*silent: object, hint: str = "") -> Unused:
    """The mark of a key that may be set to one of ``silent`` without a warning."""
    return Unused(silent, hint)


_PORT = r"^([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])\Z"
_DURATION = rf"([0-9]{{1,9}}(\.[0-9]{{1,9}})?({UNITS}))+"

Text = Annotated[str, Meta(description="a string")]
Name = Annotated[str, Meta(min_length=1, description="a string that is not empty")]
Flag = Annotated[bool, Meta(description="true or false")]
Number = Annotated[int, Meta(ge=-(2**31), lt=2**31, description="an integer of at most 32 bits")]
Count = Annotated[int, Meta(ge=0, lt=2**31, description="an integer, 0 or more")]
Size = Annotated[int, Meta(ge=1, le=2**62, description="an integer, 1 or more")]
Texts = Annotated[tuple[str, ...], Meta(description="a list of strings")]
Table = Annotated[dict[str, Any], Meta(description="a table")]
AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\0]*\Z", description="an absolute path")]
PlainPath = Annotated[
    str, Meta(pattern=r"^(?!.*/\.\.?(/|\Z))/[^\0]*\Z", description="an absolute path without . or ..")
]
AbsolutePaths = Annotated[tuple[AbsolutePath, ...], Meta(description="a list of absolute paths")]
OptionalPath = Annotated[str, Meta(pattern=r"^(/[^\0]*)?\Z", description="an absolute path, or an empty string")]
SearchPath = Annotated[
    str,
    Meta(pattern=r"^(/[^\0:]*(:/[^\0:]*)*)?\Z", description="absolute paths with ':' between them, or an empty string"),
]
SocketPath = Annotated[
    str, Meta(pattern=r"^/[^\0]*\Z", max_length=107, description="an absolute path of at most 107 characters")
]
Duration = Annotated[
    str, Meta(pattern=rf"^(0|{_DURATION})?\Z", max_length=64, description='a duration such as "1m30s"')
]
Timeout = Annotated[
    str, Meta(pattern=rf"^(?=.*[1-9]){_DURATION}\Z", max_length=64, description='a duration above 0 such as "1m30s"')
]
Port = Annotated[str, Meta(pattern=_PORT, description='a port as a string, "0" to "65535"')]
Program = Annotated[
    str,
    Meta(
        pattern=r"^(/[^\0]*|[^/\0]*)\Z", description="a name to look for in PATH, an absolute path, or an empty string"
    ),
]
PluginSources = Annotated[
    dict[Annotated[str, Meta(pattern=r"^[^/\0]+\Z")], PluginSource],
    Meta(description='a table of plugin types, each "builtin", "exec" or "auto"'),
]

_SHIMS = ("", "io.containerd.runc.v2", "io.containerd.runc.v1", "io.containerd.runtime.v1.linux")
_SHIM_HINT = "crishim uses no shims: options.BinaryName names the OCI runtime"


class OptionsTable(Struct, frozen=True, rename="pascal"):
    """``containerd.runtimes.*.options``."""

    binary_name: Program = ""
    systemd_cgroup: Flag = False
    root: Annotated[Text, unused("")] = ""
    no_new_keyring: Annotated[Flag, unused(False)] = False
    no_pivot_root: Annotated[Flag, unused(False)] = False
    shim_cgroup: Annotated[Text, unused("")] = ""
    io_uid: Annotated[Count, unused(0)] = 0
    io_gid: Annotated[Count, unused(0)] = 0
    criu_path: Annotated[Text, unused("")] = ""
    criu_image_path: Annotated[Text, unused("")] = ""
    criu_work_path: Annotated[Text, unused("")] = ""
    task_api_address: Annotated[Text, ACCEPTED] = ""
    task_api_version: Annotated[Count, ACCEPTED] = 0


class HandlerTable(Struct, frozen=True):
    """``containerd.runtimes.*``."""

    runtime_type: Annotated[Text, unused(*_SHIMS, hint=_SHIM_HINT)] = "io.containerd.runc.v2"
    privileged_without_host_devices: Flag = False
    privileged_without_host_devices_all_devices_allowed: Flag = False
    pod_annotations: Texts = ()
    container_annotations: Texts = ()
    cni_conf_dir: OptionalPath = ""
    cni_max_conf_num: Count = 0
    options: OptionsTable = OptionsTable()
    runtime_path: Annotated[Text, unused("", hint=_SHIM_HINT)] = ""
    runtime_engine: Annotated[Text, unused("", hint="options.BinaryName names the OCI runtime")] = ""
    runtime_root: Annotated[Text, unused("")] = ""
    base_runtime_spec: Annotated[Text, unused("")] = ""
    snapshotter: Annotated[Text, unused("", "overlayfs")] = ""
    sandboxer: Annotated[Text, unused("", "podsandbox")] = ""
    sandbox_mode: Annotated[Text, unused("", "podsandbox")] = ""
    io_type: Annotated[Text, ACCEPTED] = ""
    cgroup_writable: Annotated[Flag, unused(False)] = False


class ContainerdTable(Struct, frozen=True):
    """``containerd`` in the runtime table."""

    default_runtime_name: Name = "runc"
    runtimes: dict[str, HandlerTable] = field(default_factory=dict)
    ignore_blockio_not_enabled_errors: Annotated[Flag, ACCEPTED] = False
    ignore_rdt_not_enabled_errors: Annotated[Flag, ACCEPTED] = False
    no_pivot: Annotated[Flag, unused(False)] = False
    default_runtime: Annotated[Table, unused({}, hint="use runtimes and default_runtime_name")] = field(
        default_factory=dict
    )
    untrusted_workload_runtime: Annotated[Table, unused({}, hint="use runtimes")] = field(default_factory=dict)


class CniTable(Struct, frozen=True):
    """``cni`` in the runtime table."""

    bin_dir: OptionalPath = ""
    bin_dirs: AbsolutePaths = DEFAULT_BIN_DIRS
    conf_dir: AbsolutePath = "/etc/cni/net.d"
    max_conf_num: Count = 1
    conf_template: OptionalPath = ""
    ip_pref: Annotated[Literal["", "cni", "ipv4", "ipv6"], Meta(description='"ipv4", "ipv6", "cni" or ""')] = ""
    setup_serially: Flag = False
    use_internal_loopback: Flag = False


class RuntimeTable(Struct, frozen=True):
    """``plugins."io.containerd.cri.v1.runtime"``."""

    containerd: ContainerdTable = ContainerdTable()
    cni: CniTable = CniTable()
    max_container_log_line_size: Annotated[Number, unused(16384)] = 16384
    drain_exec_sync_io_timeout: Duration = "0s"
    restrict_oom_score_adj: Flag = False
    enable_unprivileged_ports: Flag = True
    enable_unprivileged_icmp: Flag = True
    device_ownership_from_security_context: Flag = False
    netns_mounts_under_state_dir: Flag = False
    enable_selinux: Flag = False
    selinux_category_range: Annotated[Number, unused(1024)] = 1024
    disable_apparmor: Flag = False
    disable_cgroup: Annotated[Flag, unused(False)] = False
    disable_proc_mount: Annotated[Flag, unused(False)] = False
    disable_hugetlb_controller: Annotated[Flag, unused(True)] = True
    tolerate_missing_hugetlb_controller: Annotated[Flag, unused(True)] = True
    unset_seccomp_profile: Annotated[Text, unused("")] = ""
    ignore_image_defined_volumes: Annotated[Flag, unused(False)] = False
    enable_cdi: Annotated[Flag, ACCEPTED] = True
    cdi_spec_dirs: Annotated[Texts, unused((), ("/etc/cdi", "/var/run/cdi"))] = ()
    enable_criu: Annotated[Flag, ACCEPTED] = True
    enable_experimental_restore_via_create: Annotated[Flag, unused(False)] = False
    ignore_deprecation_warnings: Annotated[Texts, ACCEPTED] = ()
    stats_collect_period: Annotated[Duration, unused("")] = ""
    stats_retention_period: Annotated[Duration, unused("")] = ""
    systemd_cgroup: Annotated[Flag, unused(False, hint="use containerd.runtimes.*.options.SystemdCgroup")] = False


_HOSTS_HINT = "describe registries under config_path"


class RegistryAuthTable(Struct, frozen=True):
    """``registry.configs.HOST.auth``: one of user and password, their base64, or an identity token."""

    username: Text = ""
    password: Text = ""
    auth: Text = ""
    identitytoken: Text = ""


class RegistryConfigTable(Struct, frozen=True):
    """``registry.configs.HOST``."""

    auth: RegistryAuthTable = RegistryAuthTable()
    tls: Annotated[Table, unused({}, hint=_HOSTS_HINT)] = field(default_factory=dict)


RegistryConfigs = Annotated[dict[str, RegistryConfigTable], Meta(description="a table of registry hosts")]
PinnedImages = Annotated[dict[str, Name], Meta(description="a table of image names")]


class RegistryTable(Struct, frozen=True):
    """``registry`` in the images table."""

    config_path: SearchPath = ""
    mirrors: Annotated[Table, unused({}, hint=_HOSTS_HINT)] = field(default_factory=dict)
    configs: RegistryConfigs = field(default_factory=dict)
    auths: Annotated[Table, unused({}, hint="use image pull secrets")] = field(default_factory=dict)
    headers: Annotated[Table, unused({}, hint=_HOSTS_HINT)] = field(default_factory=dict)


class ImagesTable(Struct, frozen=True):
    """``plugins."io.containerd.cri.v1.images"``."""

    registry: RegistryTable = RegistryTable()
    max_concurrent_downloads: Number = 3
    snapshotter: Annotated[Text, unused("", "overlayfs", hint="layers are always joined by overlayfs")] = "overlayfs"
    disable_snapshot_annotations: Annotated[Flag, ACCEPTED] = True
    discard_unpacked_layers: Flag = False
    concurrent_layer_fetch_buffer: Annotated[Number, unused(0)] = 0
    image_pull_progress_timeout: Duration = "5m0s"
    image_pull_with_sync_fs: Annotated[Flag, ACCEPTED] = False
    stats_collect_period: Annotated[Number, unused(10)] = 10
    use_local_image_pull: Annotated[Flag, ACCEPTED] = False
    sandbox_image: Annotated[Text, ACCEPTED] = ""
    pinned_images: PinnedImages = field(default_factory=dict)
    runtime_platforms: Annotated[Table, unused({})] = field(default_factory=dict)
    image_decryption: Annotated[Table, unused({}, {"key_model": "node"})] = field(default_factory=dict)


class KeyPairTable(Struct, frozen=True):
    """``x509_key_pair_streaming`` in the server table."""

    tls_cert_file: OptionalPath = ""
    tls_key_file: OptionalPath = ""


class ServerTable(Struct, frozen=True):
    """``plugins."io.containerd.grpc.v1.cri"``, as far as version 3 left keys in it."""

    stream_server_address: Text = "127.0.0.1"
    stream_server_port: Port = "0"
    stream_idle_timeout: Duration = "4h0m0s"
    enable_tls_streaming: Flag = False
    x509_key_pair_streaming: KeyPairTable = KeyPairTable()
    disable_tcp_service: Annotated[Flag, unused(True)] = True


class CrishimCniTable(Struct, frozen=True):
    """``crishim.cni``."""

    plugins: Annotated[PluginSource, Meta(description='"builtin", "exec" or "auto"')] = PluginSource.AUTO
    exceptions: PluginSources = field(default_factory=dict)
    plugin_timeout: Timeout = "1m0s"


class CrishimImagesTable(Struct, frozen=True):
    """``crishim.images``: how large an image may be; bytes, packed and unpacked, files and layers."""

    max_image_bytes: Size = 64 << 30
    max_unpacked_bytes: Size = 128 << 30
    max_entries: Size = 5_000_000
    max_layers: Size = 500


class CrishimTable(Struct, frozen=True):
    """``crishim``: the keys that containerd does not have."""

    root: PlainPath = "/var/lib/crishim"
    state: PlainPath = "/run/crishim"
    address: SocketPath = "/run/crishim/crishim.sock"
    log_level: Annotated[LogLevel, Meta(description='"debug", "info", "warning" or "error"')] = LogLevel.INFO
    log_format: Annotated[LogFormat, Meta(description='"console" or "json"')] = LogFormat.CONSOLE
    cni: CrishimCniTable = CrishimCniTable()
    images: CrishimImagesTable = CrishimImagesTable()


class Tables(Struct, frozen=True):
    """All tables, after the files have been merged."""

    runtime: RuntimeTable = RuntimeTable()
    images: ImagesTable = ImagesTable()
    server: ServerTable = ServerTable()
    crishim: CrishimTable = CrishimTable()
