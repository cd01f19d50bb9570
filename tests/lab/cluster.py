"""A Kubernetes cluster on one machine: its control plane on this host, each node on a host of its own below it.

    this host    etcd, API server, controllers, scheduler    lan0 192.168.77.1
    a node       kubelet, crishim, flanneld, kube-proxy      eth0 192.168.77.11, .12, …

Nothing is faked: the controllers give each node a podCIDR, flannel's agents make routes and the vxlan device of it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from cni_runtime.testing.host import Host
from tests.lab.cluster_node import CLUSTER_CIDR, GATEWAY
from tests.lab.conflists import ROOT
from tests.lab.daemon import TOOLS
from tests.lab.kube_api import Json, KubeApi, is_ready
from tests.lab.node import eventually

PROGRAMS = TOOLS / "cluster"
_SERVER = f"https://{GATEWAY}:6443"
_ETCD = "http://127.0.0.1:2379"
_SERVICES = "10.96.0.0/16"
_TOKEN = "token"
_ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


class WorkerNode:
    """The far end of ``tests.lab.cluster_node``."""

    def __init__(self, orders: socket.socket, process: subprocess.Popen[bytes], log: Path) -> None:
        self._orders, self._lines = orders, orders.makefile("rw")
        self._process, self._log = process, log

    def ask(self, order: str) -> Any:
        """The answer to an order; AssertionError when the node has ended."""
        self._lines.write(f"{order}\n")
        self._lines.flush()
        return self.answer()

    def answer(self) -> Any:
        """Its next answer."""
        line = self._lines.readline()
        assert line, self._log.read_text(errors="replace")
        return json.loads(line)

    def stop(self) -> None:
        """Let it end."""
        self._lines.close()
        self._orders.close()
        self._process.wait(60)


class Cluster:
    """Its files are in ``home``, which the nodes must see as well; ``kubeconfig`` is for clients on this host."""

    def __init__(self, home: Path) -> None:
        self._home, self.nodes = home, list[WorkerNode]()
        self._undo = ExitStack()
        self.api = KubeApi(_SERVER, _TOKEN)
        self.kubeconfig = home / "kubeconfig"

    def start(self) -> None:
        """Start the control plane and wait until it takes pods."""
        host = Host()
        for words in ("link add lan0 type bridge", f"addr add {GATEWAY}/24 dev lan0", "link set lan0 up"):
            host.run("ip", *words.split())
        key = self._home / "key.pem"
        host.run("openssl", "genrsa", "-out", key, "2048")
        (self._home / "tokens").write_text(f'{_TOKEN},admin,admin,"system:masters"\n')
        self.kubeconfig.write_text(json.dumps(_kubeconfig()))
        self._run("etcd", "--unsafe-no-fsync", f"--data-dir={self._home / 'etcd'}")
        self._run(
            "kube-apiserver",
            f"--etcd-servers={_ETCD}",
            f"--cert-dir={self._home / 'certificates'}",
            f"--advertise-address={GATEWAY}",
            f"--service-cluster-ip-range={_SERVICES}",
            f"--token-auth-file={self._home / 'tokens'}",
            "--authorization-mode=AlwaysAllow",
            "--allow-privileged",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--kubelet-preferred-address-types=InternalIP",
        )
        assert eventually(self.api.serves, 60), self._tail()  # its certificate is there, too
        client = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false")
        self._run(
            "kube-controller-manager",
            *client,
            "--allocate-node-cidrs",
            f"--cluster-cidr={CLUSTER_CIDR}",
            f"--service-cluster-ip-range={_SERVICES}",
            f"--service-account-private-key-file={key}",
            f"--root-ca-file={self._home / 'certificates/apiserver.crt'}",
        )
        self._run("kube-scheduler", *client)
        assert eventually(lambda: self.api.get(_ACCOUNTS)["items"], 60), self._tail()  # no pods without

    def add_node(self, name: str, runtime: str) -> None:
        """Have another node with this OCI runtime join, and wait until it is ready."""
        number = len(self.nodes) + 1
        near, far = socket.socketpair()
        log = self._home / f"{name}.log"
        node = ("tests.lab.cluster_node", name, f"192.168.77.{10 + number}", str(self.kubeconfig), runtime)
        argv = (sys.executable, ROOT / "hack/throwaway", sys.executable, "-m", *node)
        with far, log.open("wb") as output:
            process = subprocess.Popen(argv, stdin=far.fileno(), stdout=output, stderr=output, cwd=ROOT)
        worker = WorkerNode(near, process, log)
        self._undo.callback(worker.stop)
        self._connect(near, f"node{number}")
        worker.answer()
        self.nodes.append(worker)
        assert eventually(lambda: is_ready(self.api.get(f"/api/v1/nodes/{name}")), 60), worker.ask("tail")

    def _connect(self, node: socket.socket, port: str) -> None:
        """Give the node, which sends its network namespace, a device of which the other end is on the bridge."""
        _, (netns,), *_ = socket.recv_fds(node, 1, 1)
        with closing(os.fdopen(netns)):
            peer = f"peer name eth0 netns /proc/self/fd/{netns}"
            argv = f"ip link add {port} master lan0 up type veth {peer}".split()
            subprocess.run(argv, check=True, pass_fds=[netns])

    def stop(self) -> None:
        """End all, nodes first."""
        self._undo.close()

    def _run(self, program: str, *flags: str) -> None:
        log = self._undo.enter_context((self._home / f"{program}.log").open("wb"))
        argv: list[str | Path] = [PROGRAMS / program, *flags]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._home)
        self._undo.callback(process.wait)
        self._undo.callback(process.terminate)

    def _tail(self) -> str:
        return "\n".join(log.read_text(errors="replace")[-3000:] for log in self._home.glob("*.log"))


def _kubeconfig() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": _SERVER, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "lab", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
