"""From flannel's options and the node's subnet to the configuration of the plugin that does the work. Pure.

Source: the options of the reference plugin 1.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from cni_runtime import names
from cni_runtime.call import PluginCall
from cni_runtime.errors import ConfigError
from cni_runtime.plugins.base import Context, decode, network_of, where_of
from cni_runtime.plugins.flannel.subnet import SUBNET_FILE, Subnet

_SET_BY_FLANNEL = ("name", "ipam")


class FlannelConfig(Struct, frozen=True, rename="camel"):
    """The options. ``delegate`` holds options of the other plugin, ``ipam`` of its IPAM plugin."""

    subnet_file: str = str(SUBNET_FILE)
    data_dir: str = ""
    delegate: dict[str, Any] = {}
    ipam: dict[str, Any] = {}


def flannel_config(call: PluginCall, context: Context) -> FlannelConfig:
    """The validated options of ``call``. Raises ConfigError."""
    config = decode(call, FlannelConfig, context)
    for key in _SET_BY_FLANNEL:
        if key in config.delegate:
            raise ConfigError(f"{where_of(call)}: `$.delegate.{key}` is not for you to set, flannel does")
    kind = config.delegate.get("type", "bridge")
    if not isinstance(kind, str) or kind == "flannel":
        raise ConfigError(f"{where_of(call)}: expected the name of another plugin in `$.delegate.type`")
    return config


def saved_path(call: PluginCall, data_dir: str, context: Context) -> Path:
    """Where the other plugin's configuration is kept from ADD to DEL. Raises CniError."""
    return saved_directory(data_dir, context) / names.container_id(call.container_id)


def saved_directory(data_dir: str, context: Context) -> Path:
    """The directory of those files, which has all networks'."""
    return Path(data_dir) if data_dir else context.data / "flannel"


def delegate_config(call: PluginCall, config: FlannelConfig, subnet: Subnet) -> dict[str, Any]:
    """The other plugin's configuration: what ``delegate`` has, and what it leaves open. Raises ConfigError."""
    wanted = dict(config.delegate)
    runtime = call.config.get("runtimeConfig")
    if runtime is not None:
        wanted["runtimeConfig"] = runtime
    defaults: dict[str, Any] = {"type": "bridge", "ipMasq": not subnet.masquerade, "mtu": subnet.mtu}
    if wanted.get("type", "bridge") == "bridge":
        defaults["isGateway"] = True
    version = call.config.get("cniVersion")
    stated = {"cniVersion": version} if version else {}
    return {**defaults, **wanted, **stated, "name": network_of(call), "ipam": _ipam(call, config.ipam, subnet)}


def _ipam(call: PluginCall, given: Mapping[str, Any], subnet: Subnet) -> dict[str, Any]:
    routes = given.get("routes") or []
    if not isinstance(routes, list):
        raise ConfigError(f"{where_of(call)}: expected a list in `$.ipam.routes`")
    return {
        "type": "host-local",
        **given,
        "ranges": [[{"subnet": one}] for one in subnet.subnets],
        "routes": [*routes, *({"dst": network} for network in subnet.networks)],
    }
