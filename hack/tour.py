"""A guided tour: one pod gets its IP from crishim, runs a container, and gives all back. Run by hack/quickstart."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from hack.hugetlb import mounted_hugetlb
from tests.lab.cri import connect, pod_config
from tests.lab.daemon import Daemon, DaemonError, crishim

BRIDGE = "crishim0"
NO_EXECUTABLES: list[Path] = []  # every plugin of the tour is built in
IMAGE = "docker.io/library/busybox:latest"
SCRIPT = "echo I am $(hostname), and this is my address:; ip -4 -o addr show eth0; exec sleep 1000"
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
NETNS_DIR = Path("/run/netns")
CNI_DIRECTORIES = [Path("/var/lib/cni/results"), Path("/var/lib/cni")]

NETWORK = """\
{
  "cniVersion": "1.0.0", "name": "quickstart",
  "plugins": [
    {"type": "bridge", "bridge": "BRIDGE",
     "isGateway": true, "ipMasq": true,
     "ipam": {"type": "host-local", "dataDir": "DATA",
              "ranges": [[{"subnet": "SUBNET"}]],
              "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"""
POD = {"name": "hello", "namespace": "quickstart", "uid": "1"}

console = Console(highlight=False)


def main() -> int:
    """Give the tour; the exit status says whether everything was as it should be."""
    subnet = unused_subnet()
    with ExitStack() as undo:
        home = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="crishim-")))
        undo.enter_context(restored_network())
        undo.enter_context(mounted_hugetlb())
        before = of_pods(home)
        server = crishim(home, NO_EXECUTABLES, {}, {"plugins": "auto"})
        write_network(server, subnet)
        start(server)
        undo.callback(server.stop)
        try:
            run_a_pod(server)
        except Exception:
            console.print(server.tail(), style="red", markup=False)
            raise
        left = wait_until_gone(home, before)
        show_what_is_left(left)
    if not left:
        console.print("\nNext: [bold]sudo hack/test[/], [bold]crishim serve[/], README.md.")
    return len(left)


def write_network(server: Daemon, subnet: str) -> None:
    """Write the one network list that the pod will be attached to."""
    file = server.conf_dir / "10-quickstart.conflist"
    content = NETWORK.replace("BRIDGE", BRIDGE).replace("DATA", str(server.home / "ipam")).replace("SUBNET", subnet)
    file.write_text(content)
    step("A CNI network: a bridge, addresses out of an unused subnet, and port mappings.")
    console.print(f"   {file}", style="dim")
    console.print(Padding(Syntax(content.rstrip(), "json", theme="ansi_dark", background_color="default"), (0, 3)))


def start(server: Daemon) -> None:
    """Start the server and wait until it serves."""
    step("The server, on a unix socket and a private root.")
    command("crishim serve --config", server.home / "config.toml", "--address", server.socket, "…")
    started = time.perf_counter()
    server.start()
    console.print(f"   serving after {time.perf_counter() - started:.1f} s")


def run_a_pod(server: Daemon) -> None:
    """Run, explain, ping, stop and remove one pod."""
    with connect(server.socket) as runtime:
        step("A pod, through the gRPC API that kubelet uses: RunPodSandbox.")
        started = time.perf_counter()
        config = pod_config("hello", metadata=POD, hostname="hello", log_directory=str(server.home / "logs"))
        pod = runtime.run(config)
        address = runtime.status(pod).status.network.ip
        console.print(f"   [bold green]{address}[/] after {(time.perf_counter() - started) * 1000:.0f} ms")
        try:
            step("How did it get that address?")
            run(str(Path(sys.executable).with_name("crishim")), "explain", pod[:13], "--address", str(server.socket))
            step("Does it answer?")
            run("ping", "-c", "2", "-i", "0.2", address)
            run_a_container(server, pod)
        finally:
            step("StopPodSandbox gives everything back, RemovePodSandbox forgets the pod.")
            runtime.stop(pod)
            runtime.remove(pod)


def run_a_container(server: Daemon, pod: str) -> None:
    """Import an image; create, start, ask, read and stop one container of it."""
    step("An image without a registry: busybox, assembled from Debian's package.")
    archive, program = server.home / "busybox.tar", Path(sys.executable).with_name("crishim")
    subprocess.run([sys.executable, "hack/images/archive", archive, IMAGE], check=True)
    run(str(program), "image", "import", str(archive), "--address", str(server.socket))
    with grpc.insecure_channel(f"unix://{server.socket}") as channel:
        stub = RuntimeServiceStub(channel)
        step("A container in the pod: CreateContainer, StartContainer.")
        started = time.perf_counter()
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name="main"),
            image=pb.ImageSpec(image=IMAGE),
            command=["sh", "-c", SCRIPT],
            log_path="main.log",
        )
        config.linux.security_context.namespace_options.pid = pb.CONTAINER
        container = stub.CreateContainer(pb.CreateContainerRequest(pod_sandbox_id=pod, config=config)).container_id
        stub.StartContainer(pb.StartContainerRequest(container_id=container))
        console.print(f"   {container[:13]} runs after {(time.perf_counter() - started) * 1000:.0f} ms")
        step("A command inside, ExecSync, and the container's log.")
        command("ps")
        answer = stub.ExecSync(pb.ExecSyncRequest(container_id=container, cmd=["ps"], timeout=10))
        console.print(Padding(answer.stdout.decode().rstrip(), (0, 3)), markup=False)
        command("cat", server.home / "logs/main.log")
        console.print(Padding((server.home / "logs/main.log").read_text().rstrip(), (0, 3)), markup=False)
        step("StopContainer, RemoveContainer.")
        stub.StopContainer(pb.StopContainerRequest(container_id=container, timeout=1))
        stub.RemoveContainer(pb.RemoveContainerRequest(container_id=container))


def show_what_is_left(left: set[str]) -> None:
    """Say what the pod has left behind, which should be nothing."""
    for item in sorted(left):
        console.print(f"   [bold red]left behind:[/] {item}")
    if not left:
        console.print("   no network namespace, no veth, no mount, no reservation, no directory is left")


def wait_until_gone(home: Path, before: set[str]) -> set[str]:
    """What is left of the pod. The kernel takes a moment to free the devices of a namespace that is gone."""
    end = time.monotonic() + 3
    while (left := of_pods(home) - before) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def of_pods(home: Path) -> set[str]:
    """Everything on the machine that a pod of this server could own."""
    files = [*NETNS_DIR.glob("cni-*"), *home.glob("ipam/*/*.*.*.*"), *home.glob("*/sandboxes/*")]
    mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    veths = (f"veth {link['ifname']}" for link in ip("link", "show", "type", "veth") if link)
    return {*map(str, files), *veths, *(f"mount {at}" for at in mounts if at.startswith(str(home)))}


def unused_subnet() -> str:
    """A /24 that no route of this machine overlaps."""
    routes = {route["dst"] for route in ip("route", "show", "table", "all")} - {"default"}
    taken = [ipaddress.ip_network(route, strict=False) for route in routes if ":" not in route]
    candidates = ipaddress.IPv4Network("10.200.0.0/16").subnets(new_prefix=24)
    return str(next(subnet for subnet in candidates if not any(subnet.overlaps(other) for other in taken)))


@contextmanager
def restored_network() -> Iterator[None]:
    """Take away what the plugins make once for all pods, and put back the sysctl that they set for the machine."""
    if any(link["ifname"] == BRIDGE for link in ip("link", "show")):
        raise SystemExit(f"there is a device {BRIDGE} already; remove it with: ip link delete {BRIDGE}")
    forwarding = IP_FORWARD.read_text()
    new_directories = [path for path in CNI_DIRECTORIES if not path.exists()]
    try:
        yield
    finally:
        for directory in new_directories:
            with suppress(OSError):  # another runtime may have begun to use it
                directory.rmdir()
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
        IP_FORWARD.write_text(forwarding)


def ip(*arguments: str) -> list[dict[str, str]]:
    """What ``ip -json`` says."""
    answer = subprocess.run(["ip", "-json", *arguments], check=True, capture_output=True, text=True).stdout
    found: list[dict[str, str]] = json.loads(answer or "[]")
    return found


def step(text: str) -> None:
    """Announce what comes next."""
    console.print(f"\n[bold blue]●[/] [bold]{text}[/]")


def command(*argv: object) -> None:
    """Show a command."""
    console.print(f"   $ {' '.join(map(str, argv))}", style="dim")


def run(*argv: str) -> None:
    """Show a command and run it."""
    command(Path(argv[0]).name, *argv[1:])
    subprocess.run(argv, check=True)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DaemonError as error:
        raise SystemExit(str(error)) from None
