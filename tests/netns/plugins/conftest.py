"""A pod to attach, and the invoker of the built-in plugins."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.testing.host import Host

Config = Mapping[str, Any]
Answer = Mapping[str, Any]

BRIDGE: Config = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "bridge",
    "isDefaultGateway": True,
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"},
}


@dataclass
class Pods:
    """Pods on the host, by name, and plugin calls for them."""

    host: Host
    invoker: BuiltinInvoker
    netns: dict[str, Path] = field(default_factory=dict)

    async def add(self, pod: str, config: Config, ifname: str = "eth0", **runtime: object) -> Answer:
        """ADD for ``pod``, whose namespace is made when it is new."""
        if pod not in self.netns:
            self.netns[pod] = self.host.add_netns(pod)
        answer = await self.call(Verb.ADD, pod, {**config, "runtimeConfig": runtime}, ifname)
        assert answer is not None
        return answer

    async def delete(self, pod: str, config: Config, ifname: str = "eth0", **extra: object) -> None:
        """DEL for ``pod``."""
        await self.call(Verb.DEL, pod, {**config, **extra}, ifname)

    async def check(self, pod: str, config: Config, previous: Answer, ifname: str = "eth0") -> None:
        """CHECK for ``pod``."""
        await self.call(Verb.CHECK, pod, {**config, "prevResult": previous}, ifname)

    async def call(self, verb: Verb, pod: str, config: Config, ifname: str = "eth0") -> Answer | None:
        """Any verb."""
        netns = str(self.netns[pod]) if pod in self.netns else None
        call = PluginCall(verb=verb, type=config["type"], config=config, container_id=pod, netns=netns, ifname=ifname)
        return await self.invoker.invoke(call)

    def ping(self, pod: str, address: str) -> bool:
        """Whether ``address`` answers the pod."""
        return self.host.can_reach(address, netns=self.netns[pod])

    def address(self, answer: Answer, position: int = 0) -> str:
        """An address out of a result, without its prefix length."""
        return str(answer["ips"][position]["address"]).partition("/")[0]

    def host_end(self, answer: Answer) -> str:
        """The host's end of the pair in a result."""
        return next(str(one["name"]) for one in answer["interfaces"] if re.fullmatch("veth[0-9a-f]{8}", one["name"]))


@pytest.fixture
async def pods(host_netns: Host) -> AsyncIterator[Pods]:
    invoker = BuiltinInvoker()
    yield Pods(host_netns, invoker)
    await invoker.aclose()


@pytest.fixture
def outside(host_netns: Host) -> Path:
    """A neighbour of the host, who reaches pods only through the host."""
    netns = host_netns.add_netns("outside")
    for where in (None, netns):  # nobody else is here, and looking for him takes a second
        host_netns.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", netns=where)
    host_netns.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", "outside")
    for where, link, number in ((None, "uplink", 1), (netns, "eth0", 2)):
        for address in (f"192.0.2.{number}/24", f"2001:db8::{number}/64"):
            host_netns.run("ip", "address", "add", address, "dev", link, netns=where)
        host_netns.run("ip", "link", "set", link, "up", netns=where)
    for address in ("192.0.2.1", "2001:db8::1"):  # the two know each other from now on
        assert host_netns.can_reach(address, netns=netns)
    return netns
