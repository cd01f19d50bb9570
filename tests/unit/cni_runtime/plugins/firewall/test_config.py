from __future__ import annotations

import logging
from typing import Any

import pytest

from cni_runtime.errors import ConfigError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.firewall.config import FirewallConfig, bridge_of, firewall_config
from cni_runtime.result import Interface, Result
from tests.unit.cni_runtime.plugins.conftest import MakeCall


def test_what_is_not_said(call: MakeCall, context: Context) -> None:
    config = firewall_config(call("firewall"), context)
    assert (config.backend, config.admin_chain, config.zone, config.is_closed) == ("", "CNI-ADMIN", "trusted", False)


def test_every_option_of_the_reference_plugin_is_known(
    call: MakeCall, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"backend": "firewalld", "iptablesAdminChainName": "MINE", "firewalldZone": "pods"}
    with caplog.at_level(logging.WARNING):
        config = firewall_config(call("firewall", ingressPolicy="isolated", **options), context)
    assert (config.admin_chain, config.zone, config.is_closed) == ("MINE", "pods", True)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "ebpf"}, r"Invalid enum value 'ebpf' .*backend"),
        ({"ingressPolicy": "closed"}, r"Invalid enum value 'closed' .*ingressPolicy"),
        ({"iptablesAdminChainName": "A B"}, "'A B' is no chain's name"),
        ({"iptablesAdminChainName": "X" * 29}, "is no chain's name"),
    ],
)
def test_bad_options_are_refused_by_name(
    call: MakeCall, context: Context, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        firewall_config(call("firewall", **options), context)


def test_the_bridge_is_the_first_interface(call: MakeCall) -> None:
    result = Result(interfaces=(Interface(name="cni0"), Interface(name="veth0")))
    assert bridge_of(call("firewall"), FirewallConfig(ingress_policy="isolated"), result) == "cni0"
    assert bridge_of(call("firewall"), FirewallConfig(ingress_policy="open"), result) == ""


def test_a_closed_bridge_needs_an_interface(call: MakeCall) -> None:
    with pytest.raises(ConfigError, match="ingressPolicy 'same-bridge' needs an interface"):
        bridge_of(call("firewall"), FirewallConfig(ingress_policy="same-bridge"), Result())
