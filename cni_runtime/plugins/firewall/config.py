"""The options of firewall, validated. Pure. Source: the options of the reference plugin 1.9."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from cni_runtime.call import PluginCall
from cni_runtime.errors import ConfigError
from cni_runtime.plugins.base import Context, decode, where_of
from cni_runtime.result import Result

# What a chain of iptables may be called.
_MAX_CHAIN = 28


class FirewallConfig(Struct, frozen=True, rename="camel"):
    """Options as they stand; ``backend`` empty: firewalld if it runs."""

    backend: Literal["", "iptables", "nftables", "firewalld"] = ""
    iptables_admin_chain_name: str = ""
    firewalld_zone: str = ""
    ingress_policy: Literal["", "open", "same-bridge", "isolated"] = ""

    @property
    def admin_chain(self) -> str:
        """The chain of iptables that an administrator's rules stand in, before ours."""
        return self.iptables_admin_chain_name or "CNI-ADMIN"

    @property
    def zone(self) -> str:
        """The zone of firewalld."""
        return self.firewalld_zone or "trusted"

    @property
    def is_closed(self) -> bool:
        """Whether pods of other bridges are kept away."""
        return self.ingress_policy in ("same-bridge", "isolated")


def firewall_config(call: PluginCall, context: Context) -> FirewallConfig:
    """The validated options of ``call``. Raises ConfigError."""
    config = decode(call, FirewallConfig, context)
    if not config.admin_chain.isprintable() or " " in config.admin_chain or len(config.admin_chain) > _MAX_CHAIN:
        raise ConfigError(f"{where_of(call)}: iptablesAdminChainName: {config.admin_chain[:80]!r} is no chain's name")
    return config


def bridge_of(call: PluginCall, config: FirewallConfig, result: Result) -> str:
    """The bridge whose pods are closed off, empty when they are not. Raises ConfigError.

    It is the first interface of the result, as the reference plugin has it.
    """
    if not config.is_closed:
        return ""
    if not result.interfaces or not result.interfaces[0].name:
        policy = config.ingress_policy
        raise ConfigError(f"{where_of(call)}: ingressPolicy {policy!r} needs an interface in prevResult, as of bridge")
    return result.interfaces[0].name
