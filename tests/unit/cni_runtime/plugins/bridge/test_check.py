from __future__ import annotations

import pytest
from msgspec import structs

from cni_runtime.errors import ConfigError
from cni_runtime.net.inspect import HostLinks, Link, NetnsView
from cni_runtime.plugins.bridge.check import check_attachment
from cni_runtime.plugins.bridge.config import BridgeConfig
from cni_runtime.result import Interface, Result
from tests.unit.cni_runtime.plugins.conftest import MakeCall

POD, VETH, BRIDGE = Interface(name="eth0", sandbox="/ns"), Interface(name="veth0"), Interface(name="cni0")
VIEW = NetnsView("/ns", 1, links=(Link("eth0", 2, kind="veth"),))
HOST = HostLinks(Link("veth0", 3), Link("cni0", 4))


def test_an_attachment_as_it_was(call: MakeCall) -> None:
    asked = structs.replace(call("bridge"), netns="/ns")
    assert check_attachment(asked, BridgeConfig(), Result(interfaces=(POD, VETH, BRIDGE)), VIEW, HOST) is HOST


@pytest.mark.parametrize(
    ("interfaces", "missing"),
    [
        ((VETH, BRIDGE), "interface eth0 in /ns"),
        ((structs.replace(POD, sandbox="/other"), VETH, BRIDGE), "interface eth0 in /ns"),
        ((POD, BRIDGE), "host's interface veth0"),
        ((POD, VETH), "host's interface cni0"),
        ((POD, VETH, structs.replace(BRIDGE, sandbox="/ns")), "host's interface cni0"),
    ],
)
def test_a_result_for_another_attachment(call: MakeCall, interfaces: tuple[Interface, ...], missing: str) -> None:
    asked = structs.replace(call("bridge"), netns="/ns")
    with pytest.raises(ConfigError, match=f"^network net, plugin bridge: prevResult does not have the {missing}$"):
        check_attachment(asked, BridgeConfig(), Result(interfaces=interfaces), VIEW, HOST)
