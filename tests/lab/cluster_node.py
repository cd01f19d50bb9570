"""A node of a cluster, on a host of its own: python -m tests.lab.cluster_node NAME ADDRESS KUBECONFIG RUNTIME

Standard input is a socket to ``tests.lab.cluster``. The node sends its network namespace there and gets the device
eth0. Then it answers each order, a line, with a line of JSON, and ends when the other end is closed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cni_runtime.testing.host import Host
from tests.lab.conflists import PORTMAP, conflist
from tests.lab.daemon import TOOLS, crishim
from tests.lab.kubelet import Kubelet, host_of_a_kubelet, import_archive, import_image
from tests.lab.node import Node, eventually

CLUSTER_CIDR, GATEWAY = "10.244.0.0/16", "192.168.77.1"
_SUBNET = Path("/run/flannel/subnet.env")
_FLANNEL = {"type": "flannel", "delegate": {"hairpinMode": True, "isDefaultGateway": True}}
_SECONDS = 60


class ClusterNode:
    """The agents of a node and the server; each writes its log into the place of the server's files."""

    def __init__(self, name: str, address: str, kubeconfig: Path, runtime: str, cgroup: str) -> None:
        self._name, self._kubeconfig = name, kubeconfig
        self._node = Node(Path("/run/node"), crishim)
        self._node.serve(own={"plugins": "builtin"}, runtime=runtime)
        import_image(self._node)
        self._kubelet = Kubelet(self._node, cgroup, name, address, kubeconfig)
        self._agents = ExitStack()
        self._orders: dict[str, Callable[..., object]] = {
            "crash": self.crash,
            "leftovers": self.leftovers,
            "load": self.load,
            "tail": self.tail,
        }

    def start(self) -> None:
        """Start all, as a cluster does: flannel's agent writes the network list when it knows the node's subnet."""
        self._kubelet.start()
        settings = Path("/etc/kube-flannel/net-conf.json")
        settings.parent.mkdir()
        backend = {"Type": "vxlan"}
        settings.write_text(json.dumps({"Network": CLUSTER_CIDR, "EnableNFTables": True, "Backend": backend}))
        assert eventually(self._start_flannel, _SECONDS), self.tail()
        self._node.configure(conflist("cbr0", _FLANNEL, PORTMAP, version="0.3.1"))
        proxy = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(self._kubeconfig)},
            "hostnameOverride": self._name,
            "clusterCIDR": CLUSTER_CIDR,
            "conntrack": {"maxPerCore": 0},
        }
        config = self._node.home / "kube-proxy.json"
        config.write_text(json.dumps(proxy))
        self._agents.enter_context(self._running("kube-proxy", f"--config={config}"))

    def _start_flannel(self) -> bool:
        """Whether flannel's agent knows the subnet; it ends while the controllers have given the node no podCIDR."""
        flags = ("--kube-subnet-mgr", "--ip-masq", "--iface=eth0", f"--kubeconfig-file={self._kubeconfig}")
        with ExitStack() as undo:
            agent = undo.enter_context(self._running("flanneld", *flags))
            eventually(lambda: _SUBNET.exists() or agent.poll() is not None)
            if not _SUBNET.exists():
                return False
            self._agents.push(undo.pop_all())
        return True

    @contextmanager
    def _running(self, program: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**os.environ, "NODE_NAME": self._name}
        with (
            (self._node.home / f"{program}.log").open("ab") as log,
            subprocess.Popen(
                [TOOLS / "cluster" / program, *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.terminate()

    def tail(self) -> str:
        """The ends of the logs."""
        logs = [*self._node.home.glob("*.log"), self._node.daemon.log]
        ends = (f"-- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-30:]) for log in logs)
        return "\n".join([*ends, "-- kubelet", self._kubelet.tail()])

    # -- orders

    def crash(self) -> None:
        """End the server by SIGKILL and start another."""
        self._node.daemon.kill()
        self._node.restart()

    def load(self, archive: str) -> None:
        """Give the server images."""
        import_archive(self._node, archive)

    def leftovers(self) -> list[str]:
        """What is left of pods when the API server has none any more: agents end, and take what is theirs along."""
        self._end_pods()
        self._node.host.run("ip", "link", "delete", "flannel.1")
        for table in ("ip flannel-ipv4", "ip6 flannel-ipv6", "ip kube-proxy", "ip6 kube-proxy"):
            self._node.host.run("nft", "delete", "table", *table.split())
        return sorted(self._node.leftovers())

    def obey(self, orders: socket.socket) -> None:
        """Answer orders until there are no more."""
        with orders.makefile("rw") as lines:
            for order in lines:
                verb, *words = order.split()
                answer = self._orders[verb](*words)
                lines.write(json.dumps(answer) + "\n")
                lines.flush()

    def stop(self) -> None:
        """End all."""
        self._end_pods()
        self._node.close()

    def _end_pods(self) -> None:
        self._kubelet.stop()
        self._agents.close()
        self._node.remove_all_pods()


def _take_device(orders: socket.socket, address: str) -> None:
    with Path("/proc/self/ns/net").open("rb") as netns:
        socket.send_fds(orders, [b"\n"], [netns.fileno()])
    host = Host()
    assert eventually(lambda: "eth0" in host.links())
    for words in (f"addr add {address}/24 dev eth0", "link set eth0 up", f"route add default via {GATEWAY}"):
        host.run("ip", *words.split())


def _main(name: str, address: str, kubeconfig: str, runtime: str) -> None:
    with socket.socket(fileno=os.dup(0)) as orders, host_of_a_kubelet() as cgroup:
        _take_device(orders, address)
        node = ClusterNode(name, address, Path(kubeconfig), runtime, cgroup)
        try:
            node.start()
            orders.sendall(b"null\n")
            node.obey(orders)
        finally:
            node.stop()


if __name__ == "__main__":
    _main(*sys.argv[1:])
