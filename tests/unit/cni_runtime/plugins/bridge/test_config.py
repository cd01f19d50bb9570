from __future__ import annotations

from typing import Any

import pytest

from cni_runtime.errors import CniError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.bridge.config import bridge_config, requested_mac
from tests.unit.cni_runtime.plugins.conftest import MakeCall

IPAM = {"type": "host-local"}


def test_what_is_not_said(call: MakeCall, context: Context) -> None:
    config = bridge_config(call("bridge"), context)
    assert (config.bridge, config.gateway, config.vlan_filtering, config.trunk) == ("cni0", False, False, ())


def test_every_option_of_the_reference_plugin_is_known(
    call: MakeCall, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    flags = "isGateway isDefaultGateway forceAddress ipMasq hairpinMode preserveDefaultVlan macspoofchk enabledad"
    options = dict.fromkeys((*flags.split(), "portIsolation", "disableContainerInterface"), True)
    more = {"bridge": "br0", "mtu": 1400, "vlan": 5, "vlanTrunk": [{"id": 7}], "ipMasqBackend": "nftables"}
    config = bridge_config(call("bridge", **options, **more, promiscMode=False), context)
    assert config.gateway
    assert caplog.records == []


@pytest.mark.parametrize(
    ("trunk", "vlans"),
    [
        ([], ()),
        ([{"id": 7}], (7,)),
        ([{"minID": 5, "maxID": 7}, {"id": 6}, {"id": 9}], (5, 6, 7, 9)),
        ([{"id": 3, "minID": 5, "maxID": 5}], (3, 5)),
    ],
)
def test_trunks(call: MakeCall, context: Context, trunk: list[dict[str, int]], vlans: tuple[int, ...]) -> None:
    config = bridge_config(call("bridge", vlanTrunk=trunk), context)
    assert (config.trunk, config.vlan_filtering) == (vlans, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vlan": 4095}, r"<= 4094.*\$\.vlan"),
        ({"vlan": -1}, r">= 0.*\$\.vlan"),
        ({"vlanTrunk": [{"id": 0}]}, r"\$\.vlanTrunk\[0\]\.id"),
        ({"vlanTrunk": [{"minID": 1}]}, "go together"),
        ({"vlanTrunk": [{"minID": 5, "maxID": 4}]}, "greater than maxID"),
        ({"hairpinMode": True, "promiscMode": True}, "cannot both be true"),
        ({"disableContainerInterface": True, "ipam": IPAM}, "cannot have addresses"),
        ({"ipMasqBackend": "ipfw"}, "ipMasqBackend"),
        ({"bridge": "a/b"}, "interface name"),
        ({"bridge": "a-long-bridge", "vlan": 100, "isGateway": True}, "longer than 15"),
        ({"mtu": "big"}, r"\$\.mtu"),
        ({"ipam": {"type": 5}}, r"\$\.ipam\.type"),
    ],
)
def test_what_cannot_be(call: MakeCall, context: Context, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CniError, match=message):
        bridge_config(call("bridge", **options), context)


@pytest.mark.parametrize(
    ("options", "mac"),
    [
        ({}, ""),
        ({"cni_args": {"MAC": "02-00-00-00-00-0A"}}, "02:00:00:00:00:0a"),
        ({"cni_args": {"MAC": "x"}, "args": {"cni": {"mac": "02:00:00:00:00:02"}}}, "02:00:00:00:00:02"),
        ({"args": {"cni": {"mac": "x"}}, "runtimeConfig": {"mac": "02:00:00:00:00:03"}}, "02:00:00:00:00:03"),
    ],
)
def test_whose_mac_wins(call: MakeCall, options: dict[str, Any], mac: str) -> None:
    assert requested_mac(call("bridge", **options)) == mac


@pytest.mark.parametrize("mac", ["x", "02:00:00:00:00", "02:00:00:00:00:00:00"])
def test_what_is_no_mac(call: MakeCall, mac: str) -> None:
    with pytest.raises(CniError, match="expected a MAC address"):
        requested_mac(call("bridge", runtimeConfig={"mac": mac}))
