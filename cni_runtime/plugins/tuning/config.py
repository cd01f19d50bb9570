"""The options of tuning, validated. Pure but for the reading of the allow-list. Source: the reference plugin 1.9."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, structs

from cni_runtime import names
from cni_runtime.call import PluginCall
from cni_runtime.errors import ConfigError
from cni_runtime.net.settings import Settings
from cni_runtime.plugins.base import Context, argument, cni_arguments, decode, runtime_config, where_of

ALLOWLIST = Path("/etc/cni/tuning/allowlist.conf")
DATA = Path("/run/cni/tuning")

_Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class TuningConfig(Struct, frozen=True, rename={"data_dir": "dataDir", "queue_length": "txQLen"}):
    """Options as they stand. MTU in bytes, 0: unchanged; the queue's length in packets."""

    data_dir: str = ""
    sysctl: dict[str, str] = {}
    mac: str = ""
    promisc: bool = False
    mtu: _Number = 0
    queue_length: _Number | None = None
    allmulti: bool | None = None


class _Capability(Struct, frozen=True):
    mac: str = ""


class _Arguments(Struct, frozen=True, rename={"queue_length": "txQLen"}):
    sysctl: dict[str, str] = {}
    mac: str | None = None
    promisc: bool | None = None
    mtu: _Number | None = None
    queue_length: _Number | None = None
    allmulti: bool | None = None


def tuning_config(call: PluginCall, context: Context) -> TuningConfig:
    """The options of ``call``: ``args.cni`` win over ``runtimeConfig``, that over CNI_ARGS, that over the rest.

    Raises ConfigError.
    """
    config = decode(call, TuningConfig, context)
    mac = runtime_config(call, _Capability).mac or argument(call, "MAC") or config.mac
    instead = structs.asdict(cni_arguments(call, _Arguments))
    sysctl = {**config.sysctl, **instead.pop("sysctl")}
    given = {name: value for name, value in instead.items() if value is not None}
    config = structs.replace(config, **{"mac": mac, "sysctl": sysctl, **given})
    return structs.replace(config, mac=names.mac_address(config.mac)) if config.mac else config


def settings(config: TuningConfig) -> Settings:
    """What is to be changed of the interface."""
    return Settings(
        mac=config.mac,
        promisc=True if config.promisc else None,
        mtu=config.mtu,
        allmulti=config.allmulti,
        queue_length=config.queue_length,
    )


def sysctl_keys(call: PluginCall, config: TuningConfig) -> dict[str, str]:
    """The sysctls by their path below /proc/sys, with the interface's name in the place of IFNAME.

    Raises ConfigError for one that is not of the network, and for two that are the same with different values.
    """
    ifname = names.interface_name(call.ifname)
    found: dict[str, str] = {}
    for name, value in config.sysctl.items():
        parts = [part for part in re.split(r"[./]", name) if part]
        if len(parts) < 2 or parts[0] != "net":
            raise ConfigError(f"{where_of(call)}: the sysctl {name!r} is not one of the network")
        key = "/".join(parts).replace("IFNAME", ifname, 1)
        if found.setdefault(key, value) != value:
            raise ConfigError(f"{where_of(call)}: the sysctl {name!r} is there twice, with different values")
    return found


def require_allowed(call: PluginCall, config: TuningConfig, allowlist: str | None) -> None:
    """Raises ConfigError for a sysctl that matches no line of the allow-list. None: all are allowed."""
    if allowlist is None:
        return
    lines = [line.strip() for line in allowlist.splitlines() if line.strip()]
    try:
        patterns = [re.compile(line) for line in lines]
    except re.error as exc:
        raise ConfigError(f"{ALLOWLIST}: {exc.pattern!r} is not a regular expression: {exc}") from exc
    for name in config.sysctl:
        if not any(pattern.search(name) for pattern in patterns):
            raise ConfigError(f"{where_of(call)}: the sysctl {name!r} is not allowed by {ALLOWLIST}: {lines}")


def read_allowlist(path: Path = ALLOWLIST) -> str | None:
    """The allow-list, or None when there is none. Raises OSError."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def saved_path(call: PluginCall, data_dir: str) -> Path:
    """Where what the interface had is kept until DEL. Raises CniError."""
    name = f"{names.container_id(call.container_id)}_{names.interface_name(call.ifname)}.json"
    return (Path(data_dir) if data_dir else DATA) / name
