"""cnitool (of libcni) and CniRuntime work on the same state: each undoes what the other did."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.cache import DEFAULT_DIR
from cni_runtime.cli import container_id
from cni_runtime.conf.discovery import find_network
from cni_runtime.conf.types import NetworkList
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.host import Host
from tests.lab.conflists import BANDWIDTH, FIREWALL, PORTMAP, ROOT, PluginSet, bridge, conflist

pytestmark = pytest.mark.anyio

_CONF_DIR = Path("/etc/cni/net.d")
_Tool = Callable[[str], str]


@pytest.fixture
def network(plugins: PluginSet) -> NetworkList:
    chain = bridge("cni0", "10.88.0.0/24"), PORTMAP, FIREWALL, BANDWIDTH
    _CONF_DIR.mkdir(parents=True)
    (_CONF_DIR / "10-net.conflist").write_text(json.dumps(conflist("net", *chain, version=plugins.cni_version)))
    return find_network(_CONF_DIR, "net")


@pytest.fixture
def pod(make_pod: Callable[[], Attachment]) -> Attachment:
    """The attachment that cnitool has in mind when it is given the namespace."""
    made = make_pod()
    return Attachment(
        container_id=container_id(made.netns or ""),
        netns=made.netns,
        ifname="eth0",
        capability_args=made.capability_args,
    )


@pytest.fixture
def cnitool(plugins: PluginSet, pod: Attachment, host_netns: Host) -> _Tool:
    """Runs one operation of cnitool on the pod and gives its output."""
    program = Path(os.environ.get("CRISHIM_TEST_CNI_BIN", ROOT / ".build/bin/cni")).parent / "cnitool"
    if not program.exists():
        pytest.skip(f"no {program}: see hack/build-tools")
    variables = (f"CNI_PATH={plugins.directory}", f"CAP_ARGS={json.dumps(pod.capability_args)}")
    return lambda verb: host_netns.run("env", *variables, program, verb, "net", pod.netns or "")


def _traces(host: Host, pod: Attachment) -> set[str]:
    """Devices, addresses taken and results kept of the pod."""
    files = [path.name for place in ("networks/net", "results") for path in (DEFAULT_DIR / place).glob("[0-9n]*")]
    return {*host.links(netns=Path(pod.netns or "")), *files}


async def test_cnitool_checks_and_deletes_what_the_runtime_added(
    runtime: CniRuntime, network: NetworkList, pod: Attachment, cnitool: _Tool, host_netns: Host
) -> None:
    await runtime.add(network, pod)
    if network.cni_version == "1.1.0":  # the portmap of older plugins fails every CHECK
        cnitool("check")
    cnitool("del")
    assert _traces(host_netns, pod) == set()
    await runtime.delete(network, pod)


async def test_the_runtime_checks_and_deletes_what_cnitool_added(
    runtime: CniRuntime, network: NetworkList, pod: Attachment, cnitool: _Tool, host_netns: Host
) -> None:
    result = json.loads(cnitool("add"))
    assert {ip["address"] for ip in result["ips"]} == host_netns.addresses("eth0", netns=Path(pod.netns or ""))
    if network.cni_version == "1.1.0":
        await runtime.check(network, pod)
    await runtime.delete(network, Attachment(container_id=pod.container_id, netns=pod.netns, ifname="eth0"))
    assert _traces(host_netns, pod) == set()


def _cached(pod: Attachment) -> dict[str, Any]:
    """The kept result, with the parts that are new each time left out."""
    kept: dict[str, Any] = json.loads((DEFAULT_DIR / "results" / f"net-{pod.container_id}-eth0").read_text())
    return {**kept, "result": {name: type(value) for name, value in kept["result"].items()}}


async def test_both_keep_the_same_file(
    runtime: CniRuntime, network: NetworkList, pod: Attachment, cnitool: _Tool
) -> None:
    cnitool("add")
    by_cnitool = _cached(pod)
    cnitool("del")
    await runtime.add(network, pod)
    assert _cached(pod) == by_cnitool


async def test_the_garbage_collection_of_each_finds_the_other(
    runtime: CniRuntime, network: NetworkList, pod: Attachment, cnitool: _Tool, host_netns: Host
) -> None:
    cnitool("add")
    await runtime.gc(network, [])
    assert _traces(host_netns, pod) == set()
    await runtime.add(network, pod)
    cnitool("gc")
    assert _traces(host_netns, pod) == set()
