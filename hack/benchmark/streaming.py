"""Bytes through exec and port-forward of crishim and of containerd: kubectl's clients, in turns, on real containers."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from msgspec import Struct, field
from rich import box
from rich.table import Table

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from hack.benchmark.contenders import CGROUP, IMAGE, PEER, Contender, contenders
from hack.benchmark.rounds import in_turns
from tests.lab.cri import pod_config, run_request
from tests.lab.daemon import TOOLS

MIB = 1 << 20
GOAL = 0.5
"""Of the peer's bytes per second, over SPDY."""

SPDY, WEBSOCKET = TRANSPORTS = ("spdy", "websocket")
_OUTPUT = "exec, output"
_BLOCK = 1 << 16
_SOURCE_PORT, _SINK_PORT = 7000, 7001
_SECONDS = 120  # for one stream
_END = "end\n"
_SINK = "cat > /dev/null; echo end"
# The newest version in a WebSocket that the peer serves. In it a client cannot end its input.
_OLD = ["-protocols", "v4.channel.k8s.io"]


class StreamingLoad(Struct, frozen=True):
    """What goes through each kind of stream, ``rounds`` times."""

    mib: int
    rounds: int

    @property
    def size(self) -> int:
        """The same in bytes."""
        return self.mib * MIB

    @property
    def source(self) -> str:
        """The command that writes it."""
        return f"dd if=/dev/zero bs={_BLOCK} count={self.size // _BLOCK} 2> /dev/null"

    @property
    def sink(self) -> str:
        """The command that reads it, and says so without having to be told of an end."""
        return f"dd of=/dev/null bs={_BLOCK} count={self.size // _BLOCK} iflag=fullblock 2> /dev/null; echo end"


class Memory(Struct, frozen=True):
    """The resident set of a server (MiB) before a stream, its largest meanwhile, and after."""

    before: float
    peak: float
    after: float


class Streamed(Struct):
    """MiB per second of each round, and memory in the last; no rates: the server does not serve this."""

    rates: list[float] = field(default_factory=list)
    memory: Memory | None = None


# By the kind of stream, transport, and server.
Rates = dict[tuple[str, str, str], Streamed]


def compare_streams(load: StreamingLoad, progress: Callable[[str], Any]) -> Rates:
    """Start both servers with a pod on each and stream. Nothing is left on the machine."""
    measured: Rates = defaultdict(Streamed)
    with contenders(["crun"], "builtin") as servers:
        nodes = [_Node(server, load) for server in servers]
        for node in nodes:  # what is loaded with the first stream is not for any one to answer for
            node.client(["exec", node.exec_url("true", stdin=False)])
        for (name, order), kind, transport in product(in_turns(load.rounds, nodes), _KINDS, TRANSPORTS):
            for node in order:
                progress(f"{name}: {node.name}, {kind}, {transport}")
                _stream(node, kind, transport, measured[kind, transport, node.name])
        for node in nodes:
            node.close()
    return measured


def streaming_table(load: StreamingLoad, measured: Rates) -> Table:
    """Medians of the rates, and their ratio, ours to theirs; the memory of the servers."""
    ours = next(name for _, _, name in measured if name != PEER)
    title = f"MiB/s, medians of {load.rounds} rounds with {load.mib} MiB; resident MiB before, at the peak, after"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("stream", "over"):
        table.add_column(heading, no_wrap=True)
    for heading in (ours, PEER, "ratio", "goal", f"{ours}\nmemory", f"{PEER}\nmemory"):
        table.add_column(heading, justify="right")
    for kind, transport in product(_KINDS, TRANSPORTS):
        sides = [measured[kind, transport, name] for name in (ours, PEER)]
        goal = f"≥ {GOAL}" if transport == SPDY else ""
        table.add_row(kind, transport, *map(_rate, sides), _ratio(*sides), goal, *map(_memory, sides))
    return table


def _rate(side: Streamed) -> str:
    return f"{median(side.rates):.0f}" if side.rates else "none"


def _ratio(ours: Streamed, theirs: Streamed) -> str:
    return f"{median(ours.rates) / median(theirs.rates):.2f}" if ours.rates and theirs.rates else ""


def _memory(side: Streamed) -> str:
    return f"{side.memory.before:.0f} {side.memory.peak:.0f} {side.memory.after:.0f}" if side.memory else ""


def _stream(node: _Node, kind: str, transport: str, into: Streamed) -> None:
    argv = [*_KINDS[kind](node), "-transport", transport]
    if transport == WEBSOCKET and kind == _OUTPUT:
        argv += _OLD
    before = node.resident("VmRSS")
    node.forget_peak()
    begun = time.perf_counter()
    succeeded = node.client(argv)
    seconds = time.perf_counter() - begun
    if succeeded:
        into.rates.append(node.load.mib / seconds)
        into.memory = Memory(before, node.resident("VmHWM"), node.resident("VmRSS"))


class _Node:
    """A server with a pod, and clients in the server's network namespace."""

    def __init__(self, contender: Contender, load: StreamingLoad) -> None:
        self.name, self.load = contender.name, load
        self._pid = _server_of(contender.server.socket)
        self._channel = grpc.insecure_channel(f"unix://{contender.server.socket}")
        self.stub = RuntimeServiceStub(self._channel)
        listeners = {_SOURCE_PORT: load.source, _SINK_PORT: load.sink}
        script = " & ".join(f"nc -ll -p {port} -e sh -c '{command}'" for port, command in listeners.items())
        config = pod_config("streams", linux={"cgroup_parent": f"/{CGROUP}"})
        self.pod = self.stub.RunPodSandbox(run_request(config)).pod_sandbox_id
        self.container = self._run(config, ["sh", "-c", script])

    def _run(self, pod: dict[str, Any], command: list[str]) -> str:
        config = {"metadata": {"name": "main"}, "image": {"image": IMAGE}, "command": command, "linux": {}}
        request = pb.CreateContainerRequest(
            pod_sandbox_id=self.pod,
            config=ParseDict(config, pb.ContainerConfig()),
            sandbox_config=ParseDict(pod, pb.PodSandboxConfig()),
        )
        container = str(self.stub.CreateContainer(request).container_id)
        self.stub.StartContainer(pb.StartContainerRequest(container_id=container))
        return container

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def exec_url(self, script: str, *, stdin: bool) -> str:
        """Where a shell's output can be had, and its input given."""
        request = pb.ExecRequest(container_id=self.container, cmd=["sh", "-c", script], stdin=stdin, stdout=True)
        return str(self.stub.Exec(request).url)

    def forward_url(self, port: int) -> str:
        """Where connections to the pod can be had."""
        return str(self.stub.PortForward(pb.PortForwardRequest(pod_sandbox_id=self.pod, port=[port])).url)

    def client(self, argv: list[str]) -> bool:
        """Run a client to its end; whether it succeeded, as none does with what a server does not serve."""
        command = ["nsenter", f"--net=/proc/{self._pid}/ns/net", str(TOOLS / "streamclient"), *argv]
        quiet = subprocess.DEVNULL
        done = subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, check=False, timeout=_SECONDS)
        return done.returncode == 0

    def resident(self, name: str) -> float:
        """VmRSS or VmHWM of the server, MiB."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) / 1024

    def forget_peak(self) -> None:
        """Let VmHWM begin anew, see proc(5)."""
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")


def _server_of(address: Path) -> int:
    """The process that listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(address))
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def _exec_out(node: _Node) -> list[str]:
    return ["exec", node.exec_url(node.load.source, stdin=False)]


def _exec_in(node: _Node) -> list[str]:
    return ["exec", node.exec_url(_SINK, stdin=True), "-zeros", str(node.load.size)]


# Neither side ends a forwarded connection before it has everything: the peer cuts the other off a second later.


def _forward_out(node: _Node) -> list[str]:
    return ["forward", node.forward_url(_SOURCE_PORT), str(_SOURCE_PORT), "-exchange", str(node.load.size)]


def _forward_in(node: _Node) -> list[str]:
    url, answer = node.forward_url(_SINK_PORT), str(len(_END))
    return ["forward", url, str(_SINK_PORT), "-exchange", answer, "-zeros", str(node.load.size)]


_KINDS: Mapping[str, Callable[[_Node], list[str]]] = {
    _OUTPUT: _exec_out,
    "exec, input": _exec_in,
    "port-forward, from the pod": _forward_out,
    "port-forward, to the pod": _forward_in,
}
