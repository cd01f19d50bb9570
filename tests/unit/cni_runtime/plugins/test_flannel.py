from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import CniError, ConfigError, ErrorCode, PluginError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.flannel.config import delegate_config, flannel_config
from cni_runtime.plugins.flannel.plugin import Config, Flannel
from cni_runtime.plugins.flannel.subnet import Subnet, parse_subnet, read_subnet
from cni_runtime.testing.invoker import FakeInvoker
from tests.unit.cni_runtime.plugins.conftest import MakeCall

pytestmark = pytest.mark.anyio

V4 = "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\n"
V6 = "FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_IPV6_SUBNET=fd00:0:0:7::1/64\n"
REST = "FLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n"
SUBNET = Subnet(("10.1.0.0/16",), ("10.1.17.0/24",), 1472, masquerade=True)
MADE = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "bridge",
    "ipMasq": False,
    "mtu": 1472,
    "isGateway": True,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.17.0/24"}]], "routes": [{"dst": "10.1.0.0/16"}]},
}


@pytest.fixture
def flannel(call: MakeCall, tmp_path: Path) -> MakeCall:
    """Makes calls for a node whose subnet is known."""
    path = tmp_path / "subnet.env"
    path.write_text(V4 + REST)

    def make(verb: Verb = Verb.ADD, **options: Any) -> PluginCall:
        return call("flannel", verb=verb, subnetFile=str(path), **options)

    return make


def saved(context: Context) -> Path:
    return context.data / "flannel" / "c"


async def test_an_answer_without_a_version(flannel: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    delegates.script("bridge", Verb.ADD, {"ip4": {"ip": "10.1.17.2/24"}})
    result = await Flannel().add(flannel(cniVersion=""), context)
    assert [ip.address for ip in result.ips] == ["10.1.17.2/24"]


@pytest.mark.parametrize(
    ("text", "subnet"),
    [
        (V4 + REST, SUBNET),
        (f"# comment\n\n{REST}{V4}\r\nOTHER=1\n", SUBNET),
        (
            V4 + V6 + "FLANNEL_MTU=1400\nFLANNEL_IPMASQ=false",
            Subnet(("10.1.0.0/16", "fd00::/48"), ("10.1.17.0/24", "fd00:0:0:7::/64"), 1400, masquerade=False),
        ),
        (
            V4.replace("10.1.0.0/16", "10.1.0.0/16,10.2.0.0/16,10.1.0.0/16") + REST,
            Subnet(("10.1.0.0/16", "10.2.0.0/16"), ("10.1.17.0/24",), 1472, masquerade=True),
        ),
    ],
)
def test_subnet(text: str, subnet: Subnet) -> None:
    assert parse_subnet(text, "x") == subnet


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "does not say FLANNEL_NETWORK or FLANNEL_IPV6_NETWORK, .* FLANNEL_MTU, FLANNEL_IPMASQ"),
        (V4 + "FLANNEL_MTU=1\n", "does not say FLANNEL_IPMASQ"),
        (V4.replace("/16", "") + REST, "FLANNEL_NETWORK: expected an IPv4 network in CIDR"),
        (V6.replace("IPV6_", "") + REST, "FLANNEL_NETWORK: expected an IPv4 network"),
        (V4 + REST.replace("1472", "many"), "FLANNEL_MTU: expected a number"),
    ],
)
def test_bad_subnet(text: str, problem: str) -> None:
    with pytest.raises(CniError, match=problem):
        parse_subnet(text, "x")


def test_no_subnet_yet(tmp_path: Path) -> None:
    with pytest.raises(CniError, match="flanneld has not got a subnet") as caught:
        read_subnet(tmp_path / "subnet.env")
    assert caught.value.code == ErrorCode.PLUGIN_NOT_AVAILABLE


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, MADE),
        ({"delegate": {"mtu": 1, "ipMasq": True}}, {**MADE, "mtu": 1, "ipMasq": True}),
        ({"delegate": {"isGateway": False, "bridge": "b"}}, {**MADE, "isGateway": False, "bridge": "b"}),
        ({"runtimeConfig": {"mac": "x"}}, {**MADE, "runtimeConfig": {"mac": "x"}}),
        ({"cniVersion": "0.4.0", "delegate": {"cniVersion": "0.3.1"}}, {**MADE, "cniVersion": "0.4.0"}),
        (
            {"ipam": {"type": "static", "dataDir": "/x", "ranges": [], "routes": [{"dst": "0.0.0.0/0"}]}},
            {
                **MADE,
                "ipam": {
                    **MADE["ipam"],  # type: ignore[dict-item]  # an object, too
                    "type": "static",
                    "dataDir": "/x",
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.1.0.0/16"}],
                },
            },
        ),
    ],
)
def test_delegate_config(call: MakeCall, context: Context, options: dict[str, Any], expected: dict[str, Any]) -> None:
    asked = call("flannel", **options)
    assert delegate_config(asked, flannel_config(asked, context), SUBNET) == expected


def test_only_a_bridge_is_told_to_be_a_gateway(call: MakeCall, context: Context) -> None:
    asked = call("flannel", delegate={"type": "ipvlan", "master": "eth0"})
    made = delegate_config(asked, flannel_config(asked, context), SUBNET)
    assert (made["type"], made["master"], made["mtu"]) == ("ipvlan", "eth0", 1472)
    assert "isGateway" not in made


@pytest.mark.parametrize(
    "options",
    [
        {"delegate": {"name": "x"}},
        {"delegate": {"ipam": {}}},
        {"delegate": {"type": 1}},
        {"delegate": {"type": "flannel"}},
        {"delegate": "bridge"},
    ],
)
def test_bad_options(call: MakeCall, context: Context, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        flannel_config(call("flannel", **options), context)


async def test_from_add_to_del(flannel: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    result = await Flannel().add(flannel(), context)
    assert result.ips[0].address == "10.88.0.2/16"
    assert json.loads(saved(context).read_text()) == MADE
    await Flannel().delete(flannel(Verb.DEL, prevResult={"cniVersion": "1.1.0"}), context)
    assert delegates.verbs() == ["ADD bridge", "DEL bridge"]
    assert delegates.calls[1].config == {**MADE, "prevResult": {"cniVersion": "1.1.0"}}
    assert not saved(context).exists()


async def test_del_of_what_never_was(flannel: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    await Flannel().delete(flannel(Verb.DEL), context)
    assert delegates.calls == []


async def test_del_with_a_damaged_file(flannel: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    saved(context).parent.mkdir(parents=True)
    saved(context).write_text('{"type": "bri')
    await Flannel().delete(flannel(Verb.DEL), context)
    assert [dict(one.config) for one in delegates.calls] == [MADE]
    assert not saved(context).exists()


@pytest.mark.parametrize(("undo_fails", "left"), [(False, False), (True, True)])
async def test_an_add_that_fails(
    flannel: MakeCall, context: Context, delegates: FakeInvoker, undo_fails: bool, left: bool
) -> None:
    delegates.script("bridge", Verb.ADD, PluginError("no", plugin="bridge", verb="ADD"))
    if undo_fails:
        delegates.script("bridge", Verb.DEL, PluginError("no", plugin="bridge", verb="DEL"))
    with pytest.raises(PluginError):
        await Flannel().add(flannel(), context)
    assert delegates.verbs() == ["ADD bridge", "DEL bridge"]
    assert saved(context).exists() is left


async def test_a_delegate_that_is_not_there(flannel: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    delegates.script("bridge", Verb.ADD, PluginError("no", plugin="bridge", verb="ADD", nothing_done=True))
    with pytest.raises(PluginError):
        await Flannel().add(flannel(), context)
    assert delegates.verbs() == ["ADD bridge"]
    assert not saved(context).exists()


async def test_a_del_that_fails_keeps_the_file(flannel: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    await Flannel().add(flannel(), context)
    delegates.script("bridge", Verb.DEL, PluginError("no", plugin="bridge", verb="DEL"))
    with pytest.raises(PluginError):
        await Flannel().delete(flannel(Verb.DEL), context)
    assert saved(context).exists()


async def test_check_and_status_are_the_bridges(
    flannel: MakeCall, call: MakeCall, context: Context, delegates: FakeInvoker
) -> None:
    await Flannel().add(flannel(), context)
    await Flannel().check(flannel(Verb.CHECK), context)
    await Flannel().status(flannel(Verb.STATUS), context)
    assert delegates.verbs() == ["ADD bridge", "CHECK bridge", "STATUS bridge"]
    with pytest.raises(CniError, match="is not there"):
        await Flannel().status(call("flannel", verb=Verb.STATUS, subnetFile="/nowhere/subnet.env"), context)


@pytest.mark.parametrize(("known", "options"), [(True, {}), (False, {}), (True, {"delegate": {"name": "x"}})])
async def test_gc(
    flannel: MakeCall, context: Context, delegates: FakeInvoker, known: bool, options: Config, tmp_path: Path
) -> None:
    await Flannel().add(flannel(), context)
    for name, network in (("kept", "net"), ("other", "other")):
        saved(context).with_name(name).write_text(json.dumps({**MADE, "name": network}))
    if not known:  # flanneld has not come up after a reboot
        (tmp_path / "subnet.env").unlink()
    valid = {"cni.dev/valid-attachments": [{"containerID": "kept", "ifname": "eth0"}]}
    await Flannel().gc(flannel(Verb.GC, **options, **valid), context)
    assert dict(delegates.calls[-1].config) == {**MADE, **valid}
    assert {path.name for path in saved(context).parent.iterdir()} == {"kept", "other"}
