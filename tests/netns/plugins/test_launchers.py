"""The built-in plugins as executables: all verbs of all plugins, cnitool, and pods across with the reference."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.launchers import install
from cni_runtime.plugins.registry import TYPES
from cni_runtime.runtime import CniRuntime
from cni_runtime.testing.host import Host
from cni_runtime.versions import SUPPORTED
from tests.netns.plugins.every_plugin import NETWORKS, attachment, network, prepare, runs_here, state

pytestmark = pytest.mark.anyio

BUILT = Path(os.environ.get("CRISHIM_TEST_CNI_BIN", Path(__file__).parents[3] / ".build/bin/cni"))
BIN = Path("/run/cni-bin")
CHAIN: list[dict[str, Any]] = [
    {
        "type": "bridge",
        "isDefaultGateway": True,
        "ipMasq": True,
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"},
    },
    {"type": "portmap", "capabilities": {"portMappings": True}},
]


@pytest.fixture
def launched(host_netns: Host) -> CniRuntime:
    """A runtime that knows executables only, and finds nothing but launchers."""
    install(BIN)
    prepare(host_netns)
    return CniRuntime(ExecutableInvoker(timeout=30), path=[BIN])


def types_of(plugins: list[dict[str, Any]]) -> Iterator[str]:
    for plugin in plugins:
        yield from (plugin["type"], plugin.get("ipam", plugin)["type"])


async def used(host: Host, net: NetworkList) -> frozenset[str]:
    """The state of the host when a pod has come and gone: bridges and empty chains stay for the next one."""
    invoker = BuiltinInvoker()
    builtin, pod = CniRuntime(invoker, path=()), attachment("first")
    host.add_netns("first")
    await builtin.add(net, pod)
    await builtin.delete(net, pod)
    await invoker.aclose()
    return state(host)


def test_the_networks_have_every_plugin() -> None:
    assert {one for plugins in NETWORKS.values() for one in types_of(plugins)} == TYPES


@pytest.mark.parametrize("kind", [kind for kind in NETWORKS if kind != "closed"])
async def test_every_verb(host_netns: Host, launched: CniRuntime, kind: str) -> None:
    if not runs_here(host_netns, kind):
        pytest.skip(f"this kernel has no links of type {kind}")
    net, pod = network(kind), attachment("pod")
    before = await used(host_netns, net)
    host_netns.add_netns("pod")
    await launched.status(net)
    await launched.add(net, pod)
    await launched.gc(net, [(pod.container_id, pod.ifname)])
    await launched.check(net, pod)
    assert state(host_netns) != before
    await launched.delete(net, pod)
    assert host_netns.links(netns=Path("/run/netns/pod")) == set()
    assert state(host_netns) ^ before == set()


async def test_garbage_collection_takes_what_nobody_has(host_netns: Host, launched: CniRuntime) -> None:
    net, pod = network("ptp"), attachment("pod")
    before = await used(host_netns, net)
    host_netns.add_netns("pod")
    await launched.add(net, pod)
    await launched.gc(net, [])
    assert state(host_netns) ^ before == set()


async def test_version(launched: CniRuntime) -> None:
    for plugin in TYPES:
        call = PluginCall(verb=Verb.VERSION, type=plugin, config={"cniVersion": "1.1.0"}, path=(BIN,))
        answer = await ExecutableInvoker().invoke(call)
        assert answer is not None
        assert answer["supportedVersions"] == list(SUPPORTED)


class CnitoolRuns:
    """cnitool on one network, for one pod."""

    def __init__(self, host: Host, program: Path) -> None:
        self._host, self._program = host, program
        self.netns = host.add_netns("pod")
        conf = Path("/etc/cni/net.d/10-net.conflist")
        conf.parent.mkdir(parents=True)
        conf.write_text(json.dumps({"cniVersion": "1.1.0", "name": "net", "plugins": CHAIN}))
        self.network = parse_network_list(conf.read_text(), "test")

    def run(self, verb: str, plugins: Path) -> str:
        """One operation, with the plugins of that directory."""
        ports = json.dumps({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]})
        return self._host.run("env", f"CNI_PATH={plugins}", f"CAP_ARGS={ports}", self._program, verb, "net", self.netns)


@pytest.fixture
def tool(host_netns: Host) -> CnitoolRuns:
    program = BUILT.parent / "cnitool"
    if not program.exists():
        pytest.skip(f"no {program}: see hack/build-tools")
    return CnitoolRuns(host_netns, program)


async def test_cnitool(host_netns: Host, launched: CniRuntime, tool: CnitoolRuns) -> None:
    before = await used(host_netns, tool.network)
    added = json.loads(tool.run("add", BIN))
    assert host_netns.can_reach("10.1.0.1", netns=tool.netns)
    assert {ip["address"] for ip in added["ips"]} == host_netns.addresses("eth0", netns=tool.netns)
    tool.run("check", BIN)
    tool.run("del", BIN)
    assert host_netns.links(netns=tool.netns) == set()
    assert state(host_netns) ^ before == set()


@pytest.mark.parametrize(("adder", "deleter"), [(BIN, BUILT), (BUILT, BIN)], ids=["to the reference", "from it"])
async def test_across(host_netns: Host, launched: CniRuntime, tool: CnitoolRuns, adder: Path, deleter: Path) -> None:
    before = await used(host_netns, tool.network)
    tool.run("add", adder)
    assert host_netns.can_reach("10.1.0.1", netns=tool.netns)
    tool.run("del", deleter)
    if deleter == BUILT:  # which does not know our tables
        await launched.gc(tool.network, [])
    assert host_netns.links(netns=tool.netns) == set()
    pods = {line for line in state(host_netns) ^ before if "10.1.0." in line or not line.startswith("nft")}
    assert pods == set()  # of the reference's packet filter the empty chains stay
