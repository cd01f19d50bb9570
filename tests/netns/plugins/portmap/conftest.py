"""Pods with ports of the host, and what they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import Verb
from tests.netns.plugins.conftest import BRIDGE, Answer, Config, Pods
from tests.netns.plugins.traffic import serving

IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}
BRIDGED: Config = {**BRIDGE, "hairpinMode": True, "ipMasq": True, "ipam": IPAM}
DEFAULT = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
PTP: Config = {**BRIDGED, "type": "ptp", "ipam": {**IPAM, "routes": DEFAULT}}
PORTMAP: Config = {"cniVersion": "1.1.0", "name": "net", "type": "portmap"}
TABLE = "cni_runtime_hostport"
ROUTE_LOCALNET = "net.ipv4.conf.cni0.route_localnet"
HOST4, HOST6, OUTSIDE4, OUTSIDE6 = "192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"


def port(host_port: int, protocol: str = "tcp", host_ip: str = "", pod_port: int = 80) -> dict[str, Any]:
    return {"hostPort": host_port, "containerPort": pod_port, "protocol": protocol, "hostIP": host_ip}


BOTH = [port(8080), port(8080, "udp")]


class Ports:
    """Pods with ports, each with a server that answers with the pod's name."""

    def __init__(self, pods: Pods, servers: ExitStack) -> None:
        self.pods = pods
        self._servers = servers
        self._previous: dict[str, Answer] = {}

    async def add(
        self, pod: str, *ports: dict[str, Any], network: Config = BRIDGED, serve: bool = True, **options: Any
    ) -> Answer:
        """ADD of the network and of portmap."""
        self._previous[pod] = await self.pods.add(pod, network)
        if serve:
            self._servers.enter_context(serving(pod, self.pods.netns[pod]))
        await self.portmap(Verb.ADD, pod, *ports, **options)
        return self._previous[pod]

    def inherit(self, pod: str, other: str) -> None:
        """Let ``pod`` have the namespace and the address of ``other``."""
        self.pods.netns[pod], self._previous[pod] = self.pods.netns[other], self._previous[other]

    async def portmap(self, verb: Verb, pod: str, *ports: dict[str, Any], **options: Any) -> Answer | None:
        """One verb of portmap."""
        return await self.pods.call(verb, pod, self.config(pod, *ports, **options))

    def config(self, pod: str, *ports: dict[str, Any], **options: Any) -> Config:
        """What portmap is told."""
        runtime = {"portMappings": list(ports)}
        return {**PORTMAP, "runtimeConfig": runtime, "prevResult": self._previous[pod], **options}


def seen_by(answer: str) -> str:
    """Whom the server saw."""
    return answer.partition(" ")[2]


@pytest.fixture
def ports(pods: Pods, outside: Path) -> Iterator[Ports]:
    del outside
    with ExitStack() as servers:
        yield Ports(pods, servers)
