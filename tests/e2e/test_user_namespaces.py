"""Pods with a user namespace of their own, on an OCI runtime that reports id-mapped mounts."""

from __future__ import annotations

import functools
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from crishim.core.faultpoints import ContainerFaultPoint, FaultPoint
from crishim.rpc.pb import api_pb2 as pb
from crishim.testing.images import directory, file, image, write_oci_archive
from hack.images.catalog import static_busybox
from tests.lab.conflists import bridge, conflist
from tests.lab.containers import Containers, prepare, remove_all
from tests.lab.cri import NODE, pod_config
from tests.lab.critest import RUNTIMES
from tests.lab.daemon import PEER, Daemon, crishim
from tests.lab.kernel import shifts_ids_in_memory
from tests.lab.node import Node, Pod, eventually, refusal

pytestmark = [
    pytest.mark.skipif(PEER, reason="it is about handlers that are configured for crishim"),
    shifts_ids_in_memory,
]
NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"))
ROOT, SIZE = 196608, 65536  # on the node: what the pods' root is, and how many ids there are
IDS = [{"host_id": ROOT, "container_id": 0, "length": SIZE}, {"host_id": 300000, "container_id": 70000, "length": 10}]
USERNS = {"mode": "POD", "uids": IDS, "gids": IDS}
HOME = Path("/run/e2e")
CRISHIM = Path(sys.executable).with_name("crishim")


def server(home: Path, bin_dirs: Sequence[Path], cni: Mapping[str, Any], own: Mapping[str, Any]) -> Daemon:
    """A crishim with a handler for every OCI runtime."""
    made = crishim(home, bin_dirs, cni, own)
    handlers = {name: {"runtime_type": "any", "options": {"BinaryName": path}} for name, path in RUNTIMES.items()}
    runtime = made.settings["plugins"]["io.containerd.cri.v1.runtime"]
    runtime |= {
        "restrict_oom_score_adj": True,
        "containerd": {"default_runtime_name": "runc-current", "runtimes": handlers},
    }
    return made


@pytest.fixture
def serving() -> Iterator[Node]:
    """A node that serves; at the end nothing of any pod is left."""
    node = Node(HOME, server)
    try:
        node.serve(NETWORK, own={"plugins": "auto"})
        yield node
        remove_all(node)
        node.close()
        assert not node.leftovers()
    finally:
        print(node.daemon.tail())


def connect(node: Node, **more: Any) -> Containers:
    return Containers(grpc.insecure_channel(f"unix://{node.daemon.socket}"), userns=USERNS, **more)


def with_volumes(node: Node, path: Path) -> str:
    """An image of three layers with volumes: one that has content, of user 7, and one that is not there yet."""
    name = "localhost/volumes:1"
    content = [directory("data", uid=7, gid=8), file("data/f", b"data", uid=7, gid=8)]
    made = image(
        [static_busybox(), content, [file("etc/note", b"note")]], Cmd=["sh"], Volumes={"/data": {}, "/new": {}}
    )
    write_oci_archive(path, {name: made})
    node.host.run(CRISHIM, "image", "import", "--address", node.daemon.socket, path)
    return name


def owners(containers: Containers, container: str, *paths: str) -> list[str]:
    """User and group of files as the container sees them, and its own numbers."""
    return containers.execute(container, "stat", "-c", "%u %g", *paths).splitlines()


def test_a_pod_lives(serving: Node, tmp_path: Path) -> None:
    prepare(serving, tmp_path / "busybox.tar")
    containers = connect(serving)
    pod = Pod(serving, containers.run_pod("web"))
    container = containers.run(pod.id)
    ids = [containers.execute(container, "cat", f"/proc/self/{kind}_map").split() for kind in ("uid", "gid")]
    assert ids == [["0", str(ROOT), str(SIZE), "70000", "300000", "10"]] * 2
    assert containers.execute(container, "whoami") == "root\n"
    assert owners(containers, container, "/bin/busybox", "/", "/etc/passwd", "/dev/shm") == ["0 0"] * 4
    containers.execute(container, "touch", "/made", "/dev/shm/made")
    (made,) = HOME.glob("root/containers/*/upper/made")
    assert (made.stat().st_uid, made.stat().st_gid) == (ROOT, ROOT)
    assert serving.host.can_reach(pod.ips[0])
    containers.execute(container, "ping", "-c", "1", "-W", "3", "10.88.0.1")
    stats = containers.stub.ContainerStats(pb.ContainerStatsRequest(container_id=container)).stats
    assert (stats.memory.usage_bytes.value > 0, stats.writable_layer.inodes_used.value > 0) == (True, True)
    containers.stop(container)
    containers.remove(container)


def test_what_a_container_is_given_is_its_roots(serving: Node, tmp_path: Path) -> None:
    containers = connect(serving, shared_pid=True)
    name = with_volumes(serving, tmp_path / "volumes.tar")
    (HOME / "volume").mkdir(mode=0o700)
    (HOME / "terminated").touch()
    mounts = [
        {"host_path": str(HOME / "volume"), "container_path": "/v", "uidMappings": IDS, "gidMappings": IDS},
        {"host_path": str(HOME / "terminated"), "container_path": "/dev/end", "uidMappings": IDS, "gidMappings": IDS},
        {"image": {"image": name}, "container_path": "/i", "readonly": True, "uidMappings": IDS, "gidMappings": IDS},
        {"image": {"image": name}, "container_path": "/j", "readonly": True, "image_sub_path": "data"},
    ]
    container = containers.run(containers.run_pod("web"), image={"image": name}, mounts=mounts)
    files = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/v", "/dev/end", "/i/etc/note", "/new")
    assert owners(containers, container, *files) == ["0 0"] * len(files)
    assert owners(containers, container, "/data", "/data/f", "/i/data/f", "/j/f") == ["7 8"] * 4
    for path in ("/etc/hosts", "/v/f", "/dev/end", "/data/f", "/new/f"):
        containers.execute(container, "sh", "-c", f"echo written >> {path}")
    assert [(path.read_text(), path.stat().st_uid) for path in (HOME / "volume/f", HOME / "terminated")] == [
        ("written\n", 0),
        ("written\n", 0),
    ]
    assert "catatonit" in containers.execute(container, "cat", "/proc/1/cmdline")


def test_its_output_can_be_opened_by_name(serving: Node, tmp_path: Path) -> None:
    prepare(serving, tmp_path / "busybox.tar")
    containers = connect(serving)
    pod = containers.run_pod("web", network=NODE, log_directory=str(tmp_path))
    for user in (0, 1000, 70005):
        security = {"namespace_options": containers.options, "run_as_user": {"value": user}}
        script = "echo one > /dev/stdout; echo two > /dev/stderr; exec sleep 1000"
        more: dict[str, Any] = {"linux": {"security_context": security}, "log_path": f"{user}.log"}
        container = containers.run(pod, str(user), command=("sh", "-c", script), **more)
        log = tmp_path / f"{user}.log"
        assert eventually(functools.partial(_holds, log, "stderr F two\n"))
        assert "stdout F one\n" in log.read_text()
        assert containers.execute(container, "sh", "-c", "echo three > /dev/stdout") == "three\n"
    # The pod is on the node's network, whose devices it sees.
    assert containers.execute(container, "ls", "/sys/class/net") == serving.host.run("ls", "/sys/class/net")


def test_who_can_not_have_one_and_who_has_is_told(serving: Node) -> None:
    config = pod_config("web")
    config["linux"]["security_context"]["namespace_options"]["userns_options"] = USERNS
    for handler in ("runc", "crun"):
        refused = refusal(functools.partial(serving.cri.run, config, handler))
        assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert f"runtime handler '{handler}' cannot have user namespaces" in refused.details()
    handlers = connect(serving).stub.Status(pb.StatusRequest()).runtime_handlers
    assert {each.name for each in handlers if each.features.user_namespaces} == {"", "runc-current"}
    pod = connect(serving).run_pod("web")
    facts = json.loads(serving.host.run(CRISHIM, "explain", pod, "--json", "--address", serving.daemon.socket))
    ids = ["0-65535 (on the node 196608-262143)", "70000-70009 (on the node 300000-300009)"]
    assert facts["userns"] == {"path": f"{HOME}/state/sandboxes/{pod}/user", "uids": ids, "gids": ids}
    picture = serving.host.run(CRISHIM, "explain", pod, "--address", serving.daemon.socket)
    assert "users 0-65535 (on the node 196608-262143)" in picture


# Where a pod that has a user namespace has more than others have.
POINTS = [
    "namespaces.held",
    FaultPoint.RUN_NAMESPACES,
    FaultPoint.RUN_READY,
    ContainerFaultPoint.ROOTFS,
    FaultPoint.STOP_DETACHED,
    FaultPoint.STOP_NAMESPACES,
    FaultPoint.REMOVE_FILES,
]


def _holds(path: Path, text: str) -> bool:
    return text in path.read_text()


def live(node: Node) -> None:
    containers = connect(node)
    pod = containers.run_pod("web")
    assert containers.answers(containers.run(pod))
    node.remove_pod(pod)


def test_killed_at_every_point(serving: Node, tmp_path: Path) -> None:
    """One node for all: what a server left would be there for the next one."""
    prepare(serving, tmp_path / "busybox.tar")
    for point in POINTS:
        serving.restart(fault=f"{point}:kill")
        with pytest.raises(grpc.RpcError):
            live(serving)
        assert serving.daemon.wait() == -signal.SIGKILL
        serving.restart()
        if not serving.cri.pods():
            assert not serving.unowned(), point
        serving.remove_all_pods()
        assert not serving.unowned(), point
        assert eventually(lambda: serving.host.run("pgrep", "-c", "-x", "cat", check=False) == "0\n")
