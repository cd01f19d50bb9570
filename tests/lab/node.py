"""A node under test: a CRI server on a throw-away host, its pods, and the proof that it left nothing behind.

To be used on a throw-away host only (see cni_runtime.testing.throwaway): commands run here run "on the node".
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
from msgspec import Struct

from cni_runtime.testing.host import Host
from crishim.rpc.pb import api_pb2 as pb
from hack.hugetlb import mount_hugetlb
from tests.lab.conflists import CURRENT
from tests.lab.cri import Runtime, connect, pod_config
from tests.lab.daemon import TOOLS, Daemon, choose_runtime

IPAM_DIR = Path("/var/lib/cni/networks")
_KEPT_FILES = re.compile(r"/var/lib/cni/networks/[^/]+/(lock|\.boot_id|last_reserved_ip\.\d+)")
_ECHO = """
import socketserver, sys
class Echo(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(self.rfile.readline())
socketserver.TCPServer.allow_reuse_address = True
server = socketserver.TCPServer(("0.0.0.0", int(sys.argv[1])), Echo)
print("listening", flush=True)
server.serve_forever()
"""

MakeDaemon = Callable[[Path, Sequence[Path], Mapping[str, Any], Mapping[str, Any]], Daemon]


class Snapshot(Struct, frozen=True):
    """What a server and its plugins could leave on a node."""

    links: frozenset[str]
    files: frozenset[str]
    rules: frozenset[str]
    mounts: frozenset[str]
    records: frozenset[str]


class Pod:
    """One sandbox as the kernel and the server show it."""

    def __init__(self, node: Node, pod_id: str) -> None:
        self.id, self._node = pod_id, node

    @property
    def status(self) -> pb.PodSandboxStatus:
        """Its status now."""
        return self._node.cri.status(self.id).status

    @property
    def info(self) -> dict[str, Any]:
        """The verbose part of its status."""
        decoded: dict[str, Any] = json.loads(self._node.cri.status(self.id).info["info"])
        return decoded

    @property
    def ips(self) -> list[str]:
        """Its addresses, the primary one first."""
        network = self.status.network
        return [network.ip, *(other.ip for other in network.additional_ips)]

    @property
    def netns(self) -> Path:
        """The file its network namespace is pinned at."""
        return Path(self.info["cniResult"]["Interfaces"]["eth0"]["Sandbox"])

    def addresses(self, ifname: str = "eth0") -> set[str]:
        """Addresses on a device in the pod, without the prefix length."""
        return {address.partition("/")[0] for address in self._node.host.addresses(ifname, netns=self.netns)}

    def run(self, *argv: str) -> str:
        """Run a command in the pod's network namespace."""
        return self._node.host.run(*argv, netns=self.netns)

    def reaches(self, address: str) -> bool:
        """Whether ``address`` answers a ping from inside."""
        return self._node.host.can_reach(address, netns=self.netns)

    @contextmanager
    def echoing(self, port: int) -> Iterator[None]:
        """A TCP server in the pod that sends every line back."""
        argv = ("nsenter", f"--net={self.netns}", sys.executable, "-c", _ECHO, str(port))
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout
                assert server.stdout.readline() == b"listening\n"
                yield
            finally:
                server.kill()


class Node:
    """A node with a server on it, which ``serve`` starts; ``home`` holds the server's files."""

    def __init__(self, home: Path, make: MakeDaemon) -> None:
        self.home, self.host = home, Host()
        self._make = make
        self._daemon: Daemon | None = None
        self._connections = ExitStack()
        self.cri: Runtime
        self.has_served = False
        mount_hugetlb()
        self._empty = self.snapshot()

    # -- the server

    @property
    def daemon(self) -> Daemon:
        """The server."""
        assert self._daemon, "node.serve comes first"
        return self._daemon

    def serve(
        self,
        *conflists: dict[str, Any],
        bin_dirs: Sequence[Path] = (CURRENT.directory,),
        cni: Mapping[str, Any] | None = None,
        own: Mapping[str, Any] | None = None,
        runtime: str = "",
        fault: str = "",
    ) -> None:
        """Start a server whose conf_dir holds ``conflists``, in this order of precedence.

        ``cni`` adds to its ``.cni`` table, ``own`` to ``[crishim.cni]``; ``runtime``: the OCI runtime, if not the
        default; NAME:kill in ``fault`` makes it die there.
        """
        self._daemon = self._make(self.home, bin_dirs, cni or {}, own or {})
        if runtime:
            choose_runtime(self._daemon, runtime)
        self.configure(*conflists)
        self.restart(fault)

    def configure(self, *conflists: dict[str, Any]) -> None:
        """Write the network lists into the conf_dir."""
        for number, content in enumerate(conflists):
            path = self.daemon.conf_dir / f"{10 + number}-{content['name']}.conflist"
            path.write_text(json.dumps(content))

    def restart(self, fault: str = "") -> None:
        """Start the server again after it has ended, by itself or not, as it was configured."""
        self.close()
        self.daemon.start(fault=fault)
        self.cri = self._connections.enter_context(connect(self.daemon.socket))
        self.has_served = True

    def close(self) -> None:
        """End the server and the connection to it."""
        self._connections.close()
        self.daemon.stop()

    def crictl(self, *arguments: str | Path) -> str:
        """What crictl prints."""
        return self.host.run(TOOLS / "crictl", "-r", f"unix://{self.daemon.socket}", "-t", "60s", *arguments)

    def crictl_json(self, verb: str, *arguments: str | Path) -> dict[str, Any]:
        """What crictl prints with ``-o json``."""
        decoded: dict[str, Any] = json.loads(self.crictl(verb, "-o", "json", *arguments))
        return decoded

    def grpcurl(self, verb: str) -> str:
        """What grpcurl prints for ``list`` or the full name of an rpc."""
        address = f"unix://{self.daemon.socket}"  # a bare path stopped working in 1.9.2
        return self.host.run(TOOLS / "grpcurl", "-plaintext", "-unix", address, verb)

    # -- pods

    def run_pod(self, name: str, handler: str = "", **config: Any) -> Pod:
        """Run a sandbox; ``config`` as in ``pod_config``."""
        return Pod(self, self.cri.run(pod_config(name, **config), handler))

    def remove_pod(self, pod: Pod | str) -> None:
        """Stop and remove a sandbox."""
        pod_id = pod if isinstance(pod, str) else pod.id
        self.cri.stop(pod_id)
        self.cri.remove(pod_id)

    def remove_all_pods(self) -> None:
        """Stop and remove every sandbox that the server lists."""
        for pod in self.cri.pods():
            self.remove_pod(pod.id)

    # -- the node

    def say(self, address: str, port: int, text: str = "hello") -> str:
        """Send a line to a TCP server, from the node itself, and return the answer."""
        with socket.create_connection((address, port), timeout=3) as stream, stream.makefile("rwb") as lines:
            lines.write(f"{text}\n".encode())
            lines.flush()
            return lines.readline().decode().strip()

    def reservations(self) -> dict[str, str]:
        """host-local's files: address to the id of the container it is reserved for."""
        found = [path for path in IPAM_DIR.glob("*/*") if not _KEPT_FILES.fullmatch(str(path))]
        return {path.name: path.read_text().split()[0] for path in found}

    def snapshot(self) -> Snapshot:
        """What is there now."""
        seen = self.host.leavings()
        files = {file for file in seen.files if not _KEPT_FILES.fullmatch(file)}
        files |= {str(path) for part in ("root", "state") for path in self.home.glob(f"{part}/sandboxes/*")}
        return Snapshot(
            links=seen.links - self._bridges(),
            files=frozenset(files),
            rules=frozenset(self._rules()),
            mounts=frozenset(self._mounts()),
            records=frozenset(self._records()),
        )

    def _mounts(self) -> set[str]:
        """Mount points. /run/netns itself becomes one with the first namespace pinned there, as with ``ip netns``."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return {line.split()[4] for line in lines} - {"/run/netns"}

    def _bridges(self) -> set[str]:
        """Bridges, which plugins make for all pods and never remove."""
        return {link["ifname"] for link in self.host.ip("link", "show", "type", "bridge")}

    def _rules(self) -> Iterator[str]:
        """Chains, rules and set elements, as the two tools list them."""
        for tool in ("iptables-save", "ip6tables-save"):
            lines = self.host.run(tool).splitlines()
            yield from (f"{tool}: {line.partition(' [')[0]}" for line in lines if line[:1] in ("-", ":"))
        listed = self.host.run("nft", "--stateless", "list", "ruleset").splitlines()
        yield from (f"nft: {line.strip()}" for line in listed if line.startswith("\t"))

    def _records(self) -> Iterator[str]:
        """Rows of the server's databases by their first column, read as anyone could. Settings are about no sandbox."""
        for path in self.home.glob("root/*.db"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
                for table in tables - {"settings"}:
                    yield from (f"row of {table}: {row[0]}" for row in connection.execute(f'SELECT * FROM "{table}"'))

    # -- proofs

    def leftovers(self, patience: float = 3) -> set[str]:
        """Everything of a pod that is on the node; to be asked when no pod should have anything there.

        Not of a pod: bridges, host-local's lock and last address, rules without a pod's chain or address. The kernel
        gets ``patience`` seconds to free the devices of a network namespace that is gone.
        """
        eventually(lambda: not self._leftovers(), timeout=patience)
        return self._leftovers()

    def _leftovers(self) -> set[str]:
        now, empty = self.snapshot(), self._empty
        left = now.links | now.files | now.mounts | now.records
        left -= empty.links | empty.files | empty.mounts | empty.records
        return set(left) | {rule for rule in now.rules - empty.rules if _is_of_a_pod(rule)}

    def unowned(self) -> set[str]:
        """Everything of a pod that belongs to no sandbox the server lists; to be asked when none of them is ready."""
        owned = [Pod(self, pod.id) for pod in self.cri.pods()]
        owners = {name for pod in owned for name in (pod.id, pod.info["netNamespace"]) if name}
        return {item for item in self.leftovers() if not any(owner in item for owner in owners)}


def _is_of_a_pod(rule: str) -> bool:
    """Whether a rule names a pod's own chain or a single address, as only rules for one pod do."""
    own_chain = re.search(r"\bCNI-(DN-)?[0-9a-f]{8,}", rule)
    address = re.search(r"\b10\.\d+\.\d+\.\d+(/32)?(?![\d./])|\bfd[0-9a-f:]+(/128)?(?![\w:/])", rule)
    return bool(own_chain or address)


def eventually(check: Callable[[], Any], timeout: float = 10) -> Any:
    """Call ``check`` until it returns something true, and return that; its last answer after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while not (answer := check()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer


def refusal(call: Callable[[], Any]) -> Any:
    """The error that ``call`` ends with, a grpc.Call with code and details; AssertionError when it succeeds."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")
