"""The configuration in force, as frozen values. Durations are seconds, sizes bytes.

A value here has been checked: paths are absolute, numbers are in range, and names refer to something.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct, field

DEFAULT_PATH = Path("/etc/crishim/config.toml")


class PluginSource(StrEnum):
    """Where a CNI plugin comes from: AUTO is built in when crishim has the type, an executable otherwise."""

    BUILTIN = "builtin"
    EXEC = "exec"
    AUTO = "auto"


class IPPreference(StrEnum):
    """Which address of a pod is its primary one: that of a family, or the first one the plugins returned."""

    CNI = "cni"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class LogLevel(StrEnum):
    """The least serious record that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log record is written: a line for people, or one JSON object a line."""

    CONSOLE = "console"
    JSON = "json"


class CniConfig(Struct, frozen=True, kw_only=True):
    """How pods are attached to networks.

    ``max_conf_num`` is the number of networks taken from ``conf_dir``, 0 for all of them. ``plugin_timeout``
    is the time one call of one plugin may take. ``exceptions`` says for single plugin types what ``plugins``
    says for all.
    """

    bin_dirs: tuple[Path, ...] = (Path("/opt/cni/bin"), Path("/usr/lib/cni"))
    conf_dir: Path = Path("/etc/cni/net.d")
    max_conf_num: int = 1
    conf_template: Path | None = None
    ip_pref: IPPreference = IPPreference.IPV4
    setup_serially: bool = False
    use_internal_loopback: bool = False
    plugins: PluginSource = PluginSource.AUTO
    exceptions: Mapping[str, PluginSource] = field(default_factory=dict)
    plugin_timeout: float = 60.0


class RuntimeHandler(Struct, frozen=True, kw_only=True):
    """One entry of ``runtimes``: how the containers of a pod that names it are run.

    ``binary_name`` is a name in PATH or an absolute path of an OCI runtime; empty leaves the choice to crishim.
    ``cni_conf_dir`` None and ``cni_max_conf_num`` 0 mean: as in the CNI configuration. The annotation patterns
    name the annotations that are passed on to the OCI runtime.
    """

    runtime_type: str = "io.containerd.runc.v2"
    binary_name: str = ""
    systemd_cgroup: bool = False
    privileged_without_host_devices: bool = False
    privileged_without_host_devices_all_devices_allowed: bool = False
    pod_annotations: tuple[str, ...] = ()
    container_annotations: tuple[str, ...] = ()
    cni_conf_dir: Path | None = None
    cni_max_conf_num: int = 0


class StreamServer(Struct, frozen=True, kw_only=True):
    """Where exec, attach and port-forward are served; port 0 is any free one.

    With ``tls`` and no certificate the server makes one that it signs itself.
    """

    address: str = "127.0.0.1"
    port: int = 0
    idle_timeout: float = 4 * 3600.0
    tls: bool = False
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None


class RegistryAuth(Struct, frozen=True):
    """What one registry host is shown; ``auth`` is base64 of ``user:password``."""

    username: str = ""
    password: str = ""
    auth: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"RegistryAuth(username={self.username!r})"


class ImageConfig(Struct, frozen=True, kw_only=True):
    """How images are pulled, and how large they may be.

    Registries are described in ``config_path``, searched in order; ``auths`` are credentials by host. ``pinned`` are
    names of images that kubelet shall not collect. 0 or less for ``max_concurrent_downloads`` and 0 for
    ``progress_timeout`` (seconds) mean no limit.
    """

    config_path: tuple[Path, ...] = ()
    auths: Mapping[str, RegistryAuth] = field(default_factory=dict)
    pinned: tuple[str, ...] = ()
    max_concurrent_downloads: int = 3
    progress_timeout: float = 300.0
    discard_unpacked_layers: bool = False
    max_image_bytes: int = 64 << 30
    max_unpacked_bytes: int = 128 << 30
    max_entries: int = 5_000_000
    max_layers: int = 500


class Config(Struct, frozen=True, kw_only=True):
    """Everything an operator can set.

    ``root`` keeps what a reboot must not lose, ``state`` what it should. 0 means no limit for
    ``drain_exec_sync_io_timeout``, 0 or less for ``images.max_concurrent_downloads``.
    """

    root: Path = Path("/var/lib/crishim")
    state: Path = Path("/run/crishim")
    address: Path = Path("/run/crishim/crishim.sock")
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.CONSOLE
    cni: CniConfig = CniConfig()
    runtimes: Mapping[str, RuntimeHandler] = field(default_factory=lambda: {"runc": RuntimeHandler()})
    default_runtime_name: str = "runc"
    images: ImageConfig = ImageConfig()
    stream_server: StreamServer = StreamServer()
    drain_exec_sync_io_timeout: float = 0.0
    restrict_oom_score_adj: bool = False
    enable_selinux: bool = False
    disable_apparmor: bool = False
    enable_unprivileged_ports: bool = True
    enable_unprivileged_icmp: bool = True
    device_ownership_from_security_context: bool = False
    netns_mounts_under_state_dir: bool = False


class Loaded(Struct, frozen=True):
    """A configuration, what the operator should know about it, and the files it was read from, in order."""

    config: Config
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
