"""Pods behind the firewall plugin, built in or the reference executable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cni_runtime.call import Invoker, PluginCall, Verb
from cni_runtime.invoke.executable import ExecutableInvoker
from tests.lab.conflists import CURRENT
from tests.netns.plugins.conftest import BRIDGE, Answer, Config, Pods
from tests.netns.plugins.traffic import serving

IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}
OTHER_IPAM = {"type": "host-local", "subnet": "10.2.0.0/24"}
BRIDGED: Config = {**BRIDGE, "ipMasq": True, "ipam": IPAM}
OTHER: Config = {**BRIDGE, "name": "other", "bridge": "cni1", "ipMasq": True, "ipam": OTHER_IPAM}
FIREWALL: Config = {"cniVersion": "1.1.0", "name": "net", "type": "firewall"}


class Fenced:
    """Pods that the firewall plugin is called for."""

    def __init__(self, pods: Pods, servers: ExitStack) -> None:
        self.pods = pods
        self.reference: Invoker = ExecutableInvoker()
        self._servers = servers
        self._previous: dict[str, Answer] = {}

    async def join(self, pod: str, network: Config = BRIDGED) -> str:
        """Attach a pod with a server to a network, without the plugin; its address."""
        self._previous[pod] = await self.pods.add(pod, network)
        self._servers.enter_context(serving(pod, self.pods.netns[pod]))
        return self.pods.address(self._previous[pod])

    async def add(self, pod: str, network: Config = BRIDGED, **options: Any) -> str:
        """Attach a pod with a server to a network, with the plugin; its address."""
        address = await self.join(pod, network)
        await self.run(Verb.ADD, pod, name=network["name"], **options)
        return address

    async def run(self, verb: Verb, pod: str, *, by: Invoker | None = None, **options: Any) -> None:
        """One verb of the plugin."""
        config = {**FIREWALL, "prevResult": self._previous[pod], **options}
        netns = str(self.pods.netns[pod])
        call = PluginCall(
            verb=verb,
            type="firewall",
            config=config,
            container_id=pod,
            netns=netns,
            ifname="eth0",
            path=(CURRENT.directory,),
        )
        await (by or self.pods.invoker).invoke(call)

    def iptables(self) -> list[str]:
        """The rules of iptables' filter tables, in order."""
        saved = (self.pods.host.run(f"{tool}-save", "-t", "filter") for tool in ("iptables", "ip6tables"))
        return [line for text in saved for line in text.splitlines() if line.startswith(("-A", ":CNI"))]

    def use_iptables(self, policy: str = "DROP") -> None:
        """Make iptables the filter of this host."""
        for tool in ("iptables", "ip6tables"):
            self.pods.host.run(tool, "-P", "FORWARD", policy)


@pytest.fixture
def fenced(pods: Pods) -> Iterator[Fenced]:
    with ExitStack() as servers:
        yield Fenced(pods, servers)
