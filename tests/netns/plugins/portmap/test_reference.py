"""portmap and the reference executable: each deletes, checks and collects what the other added, as far as it can."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import PluginError
from cni_runtime.invoke.executable import ExecutableInvoker
from tests.lab.conflists import CURRENT
from tests.netns.plugins.portmap.conftest import BOTH, BRIDGED, HOST4, HOST6, PORTMAP, TABLE, Ports, port
from tests.netns.plugins.traffic import ask

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not (CURRENT.directory / "portmap").exists(), reason="needs hack/build-tools"),
]
BACKENDS = pytest.mark.parametrize("backend", ["iptables", "nftables"])


class Executable:
    """The reference plugin."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def run(self, verb: Verb, pod: str, *ports: dict[str, Any], **options: Any) -> None:
        netns = str(self._ports.pods.netns[pod])
        config = self._ports.config(pod, *ports, **options)
        call = PluginCall(
            verb=verb,
            type="portmap",
            config=config,
            container_id=pod,
            netns=netns,
            ifname="eth0",
            path=(CURRENT.directory,),
        )
        await ExecutableInvoker().invoke(call)


@pytest.fixture
def executable(ports: Ports) -> Executable:
    return Executable(ports)


def traces(ports: Ports, *words: str) -> list[str]:
    """The rules that name one of ``words``."""
    return [rule for rule in ports.pods.host.rules() if any(word in rule for word in words)]


@BACKENDS
async def test_what_the_executable_added_is_deleted(ports: Ports, executable: Executable, backend: str) -> None:
    for pod, number in (("a", 8080), ("b", 8081)):
        await ports.add(pod, network={**BRIDGED, "ipMasq": False})
        await executable.run(Verb.ADD, pod, port(number), port(number, "udp"), backend=backend)
    shared = ports.pods.host.rules()
    for _ in range(2):
        await ports.portmap(Verb.DEL, "a", *BOTH)
    assert traces(ports, "10.1.0.2", "fd00:1::2", "8080") == []
    assert ask("tcp", HOST4, 8081).startswith("b ")
    await ports.portmap(Verb.DEL, "b", port(8081), port(8081, "udp"))
    left = ports.pods.host.rules()
    assert left < shared
    await executable.run(Verb.DEL, "b", port(8081), port(8081, "udp"), backend=backend)
    assert ports.pods.host.rules() == left


@BACKENDS
async def test_what_the_executable_added_passes_check(ports: Ports, executable: Executable, backend: str) -> None:
    await ports.add("a")
    await executable.run(Verb.ADD, "a", *BOTH, backend=backend)
    await ports.portmap(Verb.CHECK, "a", *BOTH)
    await executable.run(Verb.DEL, "a", *BOTH, backend=backend)
    with pytest.raises(PluginError, match="not forwarded"):
        await ports.portmap(Verb.CHECK, "a", *BOTH)


@BACKENDS
async def test_the_executable_can_be_called_for_what_was_added_here(
    ports: Ports, executable: Executable, backend: str
) -> None:
    await ports.add("a", *BOTH)
    await executable.run(Verb.DEL, "a", *BOTH, backend=backend)
    ports.pods.host.run("ip", "netns", "delete", "a")
    await ports.add("b", *BOTH)
    assert ask("tcp", HOST4, 8080).startswith("b ")
    assert ask("udp", HOST6, 8080).startswith("b ")


async def test_gc_takes_what_the_executable_could_not_delete(ports: Ports, executable: Executable) -> None:
    await ports.add("a", *BOTH)
    await executable.run(Verb.DEL, "a", *BOTH)
    await ports.pods.call(Verb.GC, "a", {**PORTMAP, "cni.dev/valid-attachments": []})
    assert traces(ports, TABLE) == []


async def test_gc_takes_chains_of_the_executable(ports: Ports, executable: Executable) -> None:
    for pod, number, network in (("a", 8080, "net"), ("b", 8081, "net"), ("c", 8082, "other")):
        await ports.add(pod)
        await executable.run(Verb.ADD, pod, port(number), name=network)
    valid = [{"containerID": "b", "ifname": "eth0"}]
    await ports.pods.call(Verb.GC, "a", {**PORTMAP, "cni.dev/valid-attachments": valid})
    assert [ask("tcp", HOST4, number).partition(" ")[0] for number in (8080, 8081, 8082)] == ["", "b", "c"]
    chains = [json.loads(rule) for rule in ports.pods.host.rules() if "CNI-DN-" in rule]
    assert len([entry for entry in chains if "chain" in entry]) == 4


async def test_a_pod_of_each_kind_on_one_host(ports: Ports, executable: Executable) -> None:
    await ports.add("a", port(8080))
    await ports.add("b")
    await executable.run(Verb.ADD, "b", port(8081))
    for address in ("127.0.0.1", HOST4, HOST6):
        assert ask("tcp", address, 8080).startswith("a "), address
        assert ask("tcp", address, 8081).startswith("b "), address
