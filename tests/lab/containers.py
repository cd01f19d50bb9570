"""Containers on a node under test: busybox out of an archive, so that no registry is needed."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import RuntimeServiceStub
from tests.lab.conflists import ROOT
from tests.lab.cri import Runtime, pod_config
from tests.lab.node import Node, eventually

IMAGE = "docker.io/library/busybox:latest"
# Control groups are the whole machine's, also those of a throw-away host: another run must not meet ours.
GROUP = f"/crishim-tests-{secrets.token_hex(4)}"
_CGROUPS = Path("/sys/fs/cgroup")
_CONTAINER = 1  # NamespaceMode.CONTAINER


def prepare(node: Node, archive: Path) -> None:
    """Give a node that serves the image; done once for a node, as the image outlives the server."""
    subprocess.run([sys.executable, ROOT / "hack/images/archive", archive, IMAGE], check=True)
    program = Path(sys.executable).with_name("crishim")
    subprocess.run([program, "image", "import", "--address", node.daemon.socket, archive], check=True)


class Containers:
    """The container calls of CRI, blocking. Errors are grpc.RpcError.

    ``shared_pid``: use the pod's PID namespace. ``userns`` is the user namespace of every pod. ``options`` are the
    namespace options of every container.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        *,
        shared_pid: bool = False,
        userns: Mapping[str, object] | None = None,
    ) -> None:
        self.sandboxes, self.stub = Runtime(channel), RuntimeServiceStub(channel)
        self._pod_options: dict[str, object] = {"userns_options": userns} if userns else {}
        self.options = self._pod_options | ({} if shared_pid else {"pid": _CONTAINER})

    def run_pod(self, name: str, *, log_directory: str = "", **options: object) -> str:
        """A sandbox with a control group below GROUP; its id. ``options`` are further namespace options."""
        config = _sandbox(name, self._pod_options | options)
        return self.sandboxes.run(config | {"log_directory": log_directory})

    def create(self, pod: str, name: str = "main", command: Sequence[str] = ("sleep", "1000"), **more: Any) -> str:
        """A container that waits for its start; its id. ``more`` is further configuration of it."""
        config = {
            "metadata": {"name": name},
            "image": {"image": IMAGE},
            "command": list(command),
            "linux": {"security_context": {"namespace_options": self.options}},
            **more,
        }
        request = pb.CreateContainerRequest(
            pod_sandbox_id=pod,
            config=ParseDict(config, pb.ContainerConfig()),
            sandbox_config=ParseDict(_sandbox("any"), pb.PodSandboxConfig()),
        )
        return str(self.stub.CreateContainer(request, timeout=60).container_id)

    def start(self, container: str) -> None:
        """Let it run."""
        self.stub.StartContainer(pb.StartContainerRequest(container_id=container), timeout=60)

    def run(self, pod: str, name: str = "main", **more: Any) -> str:
        """Create and start."""
        container = self.create(pod, name, **more)
        self.start(container)
        return container

    def stop(self, container: str) -> None:
        """End it at once."""
        self.stub.StopContainer(pb.StopContainerRequest(container_id=container, timeout=0), timeout=60)

    def remove(self, container: str) -> None:
        """Forget it."""
        self.stub.RemoveContainer(pb.RemoveContainerRequest(container_id=container), timeout=60)

    def states(self) -> dict[str, int]:
        """The state of every container, by id."""
        listed = self.stub.ListContainers(pb.ListContainersRequest(), timeout=60).containers
        return {container.id: container.state for container in listed}

    def execute(self, container: str, *command: str) -> str:
        """What a command in it prints."""
        request = pb.ExecSyncRequest(container_id=container, cmd=command, timeout=10)
        answer = self.stub.ExecSync(request, timeout=30)
        assert answer.exit_code == 0, answer.stderr
        return str(answer.stdout.decode())

    def answers(self, container: str) -> bool:
        """Whether a command can be run in it."""
        return self.execute(container, "echo", "alive") == "alive\n"


def leftovers(node: Node) -> set[str]:
    """Everything of a container that is on the node; to be asked when there is none."""
    home = node.home
    found = {str(path) for pattern in ("state/containers/*", "root/containers/*") for path in home.glob(pattern)}
    found |= {str(path) for name in ("notes", "exits", "execs") for path in home.glob(f"state/oci/{name}/*")}
    found |= {line for line in Path("/proc/self/mountinfo").read_text().split() if f"{home}/root/containers" in line}
    found |= {str(path) for path in _CGROUPS.glob(f"*{GROUP}/*") if path.is_dir()}
    found |= {record for record in node.snapshot().records if record.startswith(("row of containers", "row of holds"))}
    return found | {line for line in node.host.run("ps", "-eo", "args").splitlines() if _is_of_container(line, home)}


def _is_of_container(command: str, home: Path) -> bool:
    """Whether a command line is that of a monitor, or of an infra process."""
    return "conmon" in command.split(maxsplit=1)[0] or command.startswith(f"/catatonit -P {home}")


def remove_all(node: Node) -> None:
    """Remove all pods, and the control group of the tests; nothing of any container may be left."""
    node.remove_all_pods()
    assert eventually(lambda: not leftovers(node), timeout=5), leftovers(node)
    remove_group()


def remove_group() -> None:
    """Remove the control group of the tests, which is empty by then."""
    for directory in _CGROUPS.glob(f"*{GROUP}"):
        directory.rmdir()


def _sandbox(name: str, options: Mapping[str, object] | None = None) -> dict[str, object]:
    config = pod_config(name)
    config["linux"]["security_context"]["namespace_options"] |= options or {}
    config["linux"]["cgroup_parent"] = GROUP
    return config
