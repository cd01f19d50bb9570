"""Options that are not valid: an ADD that begins nothing, and a DEL that takes away what an earlier ADD had made."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from cni_runtime.call import PluginCall, Verb
from cni_runtime.conf.parse import parse_network_list
from cni_runtime.errors import CniError, PluginError
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.host_local.plugin import HostLocal
from cni_runtime.plugins.registry import BuiltinPlugins
from cni_runtime.runtime import Attachment, CniRuntime, RollbackError
from cni_runtime.testing.invoker import FakeInvoker
from tests.unit.cni_runtime.plugins.conftest import MakeCall

pytestmark = pytest.mark.anyio

IPAM = {"type": "host-local", "subnet": "10.1.0.0/24"}
INVALID: dict[str, tuple[str, dict[str, Any]]] = {
    "bridge VLAN": ("bridge", {"vlan": 5000, "ipam": IPAM}),
    "bridge contradiction": ("bridge", {"hairpinMode": True, "promiscMode": True, "ipam": IPAM}),
    "bridge name": ("bridge", {"bridge": "/", "ipam": IPAM}),
    "bridge trunk": ("bridge", {"vlanTrunk": [{"minID": 7}], "ipam": IPAM}),
    "bridge MAC": ("bridge", {"runtimeConfig": {"mac": "x"}, "ipam": IPAM}),
    "bridge without addresses": ("bridge", {"mtu": -1}),
    "ptp": ("ptp", {"ipMasqBackend": "x", "ipam": IPAM}),
    "ptp without addresses": ("ptp", {}),
    "IPAM plugin": ("ptp", {"ipam": {"type": "../x"}}),
    "host-local subnet": ("host-local", {"ipam": {**IPAM, "subnet": "x"}}),
    "host-local option": ("host-local", {"ipam": {**IPAM, "ranges": 1}}),
    "host-local behind bridge": ("bridge", {"ipam": {**IPAM, "rangeEnd": "10.2.0.1"}}),
    "host-local of the runtime": ("bridge", {"ipam": IPAM, "runtimeConfig": {"ips": ["x"]}}),
    "static": ("static", {"ipam": {"type": "static", "addresses": [{"address": "x"}]}}),
    "loopback": ("loopback", {"prevResult": {"cniVersion": "1.1.0", "ips": 1}}),
    "portmap": ("portmap", {"prevResult": {"cniVersion": "1.1.0"}, "backend": "x"}),
    "portmap without result": ("portmap", {}),
    "firewall": ("firewall", {"ingressPolicy": "x"}),
    "bandwidth": ("bandwidth", {"ingressRate": 8}),
    "tuning": ("tuning", {"mtu": "x", "dataDir": "DATA"}),
    "sbr": ("sbr", {"table": 0}),
    "vlan": ("vlan", {"master": "eth0", "vlanId": 5000, "ipam": IPAM}),
    "macvlan": ("macvlan", {"mode": "x", "ipam": IPAM}),
    "ipvlan": ("ipvlan", {"mode": "x", "ipam": IPAM}),
    "host-device": ("host-device", {"device": 1, "ipam": IPAM}),
    "flannel": ("flannel", {"delegate": {"ipam": {}}}),
    "flannel's plugin": ("flannel", {"subnetFile": "SUBNETS", "delegate": {"type": "../x"}}),
    "flannel without flanneld": ("flannel", {"subnetFile": "/none"}),
}


@pytest.fixture
async def invoker(tmp_path: Path) -> AsyncIterator[BuiltinInvoker]:
    invoker = BuiltinInvoker(state=tmp_path / "run", data=tmp_path / "data")
    yield invoker
    await invoker.aclose()


@pytest.fixture
def attachment() -> Attachment:
    return Attachment(container_id="c", netns="/none", ifname="eth0", capability_args={"mac": "x"})


def test_every_plugin_is_looked_at() -> None:
    assert {plugin for plugin, _ in INVALID.values()} == set(BuiltinPlugins())


@pytest.mark.parametrize("name", INVALID)
async def test_an_add_says_that_nothing_was_done(
    name: str, call: MakeCall, invoker: BuiltinInvoker, tmp_path: Path
) -> None:
    with pytest.raises(PluginError) as caught:
        await invoker.invoke(_call(name, call, tmp_path, Verb.ADD))
    assert caught.value.nothing_done
    assert not _files(tmp_path / "data")


@pytest.mark.parametrize("option", [{"vlan": 5000}, {"ipam": {**IPAM, "subnet": "x"}}])
async def test_nothing_is_rolled_back(
    option: dict[str, Any], invoker: BuiltinInvoker, attachment: Attachment, tmp_path: Path
) -> None:
    plugin = {"type": "bridge", "ipam": IPAM, **option}
    text = json.dumps({"cniVersion": "1.1.0", "name": "net", "plugins": [plugin]})
    runtime = CniRuntime(invoker, path=[], cache_dir=tmp_path)
    with pytest.raises(PluginError) as caught:
        await runtime.add(parse_network_list(text, "test"), attachment)
    assert not isinstance(caught.value, RollbackError)


async def test_an_add_that_gets_no_address_leaves_those_of_an_earlier_one(
    call: MakeCall, invoker: BuiltinInvoker, attachment: Attachment, tmp_path: Path
) -> None:
    await invoker.invoke(call("host-local", ipam=IPAM))
    text = json.dumps({"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "bridge", "ipam": IPAM}]})
    with pytest.raises(PluginError, match="allocated to container c already") as caught:
        await CniRuntime(invoker, path=[], cache_dir=tmp_path).add(
            parse_network_list(text, "test"), structs.replace(attachment, capability_args={})
        )
    assert caught.value.nothing_done
    await invoker.invoke(call("host-local", verb=Verb.CHECK, ipam=IPAM))


async def test_flannel_keeps_what_the_del_of_an_earlier_add_needs(
    call: MakeCall, invoker: BuiltinInvoker, tmp_path: Path
) -> None:
    (tmp_path / "env").write_text(
        "FLANNEL_NETWORK=10.0.0.0/8\nFLANNEL_SUBNET=10.1.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
    )
    saved = tmp_path / "flannel/c"
    saved.parent.mkdir()
    saved.write_text('{"type": "bridge"}')
    await invoker.invoke(call("host-local", ipam=IPAM))
    with pytest.raises(PluginError, match="allocated to container c already"):
        await invoker.invoke(call("flannel", subnetFile=str(tmp_path / "env"), dataDir=str(saved.parent)))
    assert saved.read_text() == '{"type": "bridge"}'


async def test_an_error_after_the_ipam_plugins_add_is_not_nothing(
    call: MakeCall, delegates: FakeInvoker, tmp_path: Path
) -> None:
    invoker = BuiltinInvoker(delegates=delegates, state=tmp_path)
    delegates.script("host-local", Verb.ADD, {"cniVersion": "1.1.0", "ips": []})
    with pytest.raises(PluginError, match="gave no address") as caught:
        await invoker.invoke(call("bridge", ipam=IPAM))
    assert not caught.value.nothing_done


@pytest.mark.parametrize("name", [name for name in INVALID if "IPAM" not in name])
async def test_a_del_succeeds(name: str, call: MakeCall, invoker: BuiltinInvoker, tmp_path: Path) -> None:
    await invoker.invoke(_call(name, call, tmp_path, Verb.DEL))


@pytest.mark.parametrize("kind", ["bridge", "ptp", "vlan", "macvlan", "ipvlan", "host-device"])
async def test_a_del_releases_the_addresses(kind: str, call: MakeCall, delegates: FakeInvoker, tmp_path: Path) -> None:
    invoker = BuiltinInvoker(delegates=delegates, state=tmp_path)
    await invoker.invoke(call(kind, verb=Verb.DEL, mtu="x", vlanId=-1, device=1, IPAM=IPAM))
    assert delegates.verbs() == ["DEL host-local"]


@pytest.mark.parametrize("verb", [Verb.DEL, Verb.GC])
async def test_addresses_are_released_whatever_the_ranges_are(verb: Verb, call: MakeCall, context: Context) -> None:
    plugin = HostLocal()
    await plugin.add(call("host-local", ipam=IPAM), context)
    now_invalid = call("host-local", ipam={**IPAM, "subnet": "x"}, **{"cni.dev/valid-attachments": []})
    await (plugin.delete if verb is Verb.DEL else plugin.gc)(now_invalid, context)
    await plugin.add(call("host-local", ipam=IPAM), context)


async def test_a_del_that_does_not_know_whom_to_ask_for_the_addresses_fails(call: MakeCall, context: Context) -> None:
    with pytest.raises(CniError, match=r"\$\.ipam"):
        await BuiltinPlugins()["bridge"].delete(call("bridge", ipam=1), context)


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def _call(name: str, call: MakeCall, tmp_path: Path, verb: Verb) -> PluginCall:
    plugin, options = INVALID[name]
    subnets = tmp_path / "subnet.env"
    subnets.write_text("FLANNEL_NETWORK=10.2.0.0/16\nFLANNEL_SUBNET=10.2.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true")
    paths = {"SUBNETS": str(subnets), "DATA": str(tmp_path / "data")}
    known = verb is Verb.DEL  # a prevResult is from the runtime's own cache then
    filled = {
        key: paths.get(str(value), value) for key, value in options.items() if not (known and key == "prevResult")
    }
    return call(plugin, verb=verb, **filled)
