"""SELinux keeps containers to themselves, on a node that enforces it and has a policy for them.

Debian has none: hack/vm --selinux adds tests/lab/selinux.cil.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.lab.conflists import bridge, conflist
from tests.lab.containers import GROUP, Containers, prepare, remove_all
from tests.lab.cri import pod_config
from tests.lab.daemon import PEER, Daemon, crishim
from tests.lab.node import Node, eventually, refusal

_ENFORCE = Path("/sys/fs/selinux/enforce")
_ENFORCED = _ENFORCE.exists() and _ENFORCE.read_text() == "1"
pytestmark = [
    pytest.mark.skipif(PEER, reason="the directories of the peer have no labels here"),
    pytest.mark.skipif(not _ENFORCED, reason="the node does not enforce SELinux"),
]
NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"))
SERVICE = "system_u:system_r:initrc_t:s0"  # as what systemd starts
ATTRIBUTE = "security.selinux"
CURRENT = ("cat", "/proc/self/attr/current")


def server(home: Path, bin_dirs: Sequence[Path], cni: Mapping[str, Any], own: Mapping[str, Any]) -> Daemon:
    made = crishim(home, bin_dirs, cni, own, run_by=("runcon", SERVICE))
    made.settings["plugins"]["io.containerd.cri.v1.runtime"]["enable_selinux"] = True
    return made


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Node]:
    """A node with an image that serves; at the end nothing of any container is left."""
    node = Node(Path("/run/e2e"), server)
    try:
        node.serve(NETWORK, own={"plugins": "auto"})
        prepare(node, tmp_path / "busybox.tar")
        yield node
        remove_all(node)
        node.close()
    finally:
        print(node.daemon.tail())


def connect(node: Node, **more: Any) -> Containers:
    return Containers(grpc.insecure_channel(f"unix://{node.daemon.socket}"), **more)


def asking(**security: object) -> dict[str, object]:
    """Configuration of a container with a PID namespace of its own and ``security``."""
    return {"security_context": {"namespace_options": {"pid": "CONTAINER"}, **security}}


def label(text: str) -> tuple[str, str]:
    """The type and the level of a label."""
    _user, _role, kind, level = text.strip("\0\n ").split(":", 3)
    return kind, level


def fails(containers: Containers, container: str, *command: str) -> bool:
    """Whether SELinux keeps a command from its work."""
    with pytest.raises(AssertionError, match="Permission denied"):
        containers.execute(container, *command)
    return True


@pytest.mark.parametrize("shared_pid", [False, True])
def test_the_containers_of_a_pod_have_its_level(serving: Node, shared_pid: bool) -> None:
    containers = connect(serving, shared_pid=shared_pid)
    one, two = containers.run_pod("one"), containers.run_pod("two")
    found = [
        label(containers.execute(container, *CURRENT))
        for container in (containers.run(one, "a"), containers.run(one, "b"), containers.run(two, "a"))
    ]
    assert [kind for kind, _ in found] == ["container_t"] * 3
    assert found[0] == found[1] != found[2]


def test_a_container_can_do_its_work(serving: Node) -> None:
    containers = connect(serving)
    container = containers.run(containers.run_pod("web"))
    for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        containers.execute(container, "cat", path)
    for path in ("/etc/new", "/dev/shm/new", "/tmp", "/root"):
        containers.execute(container, "touch", path)
    containers.execute(container, "cp", "/bin/echo", "/etc/echo")
    assert containers.execute(container, "/etc/echo", "ran") == "ran\n"


def test_a_terminal_can_be_used(serving: Node) -> None:
    containers = connect(serving)
    pod = containers.run_pod("web", log_directory=str(serving.home))
    containers.run(pod, command=("sh", "-c", "echo said >/dev/tty; sleep 1000"), tty=True, log_path="said.log")
    assert eventually(lambda: "said" in (serving.home / "said.log").read_text())


def test_only_what_is_asked_for_is_relabelled(serving: Node) -> None:
    volumes = [serving.home / name for name in ("asked", "plain")]
    for volume in volumes:
        (volume / "below").mkdir(parents=True)
        (volume / "below/file").write_text("content")
    mounts = [
        {"container_path": f"/{volume.name}", "host_path": str(volume), "selinux_relabel": volume.name == "asked"}
        for volume in volumes
    ]
    containers = connect(serving)
    container = containers.run(containers.run_pod("web"), mounts=mounts)
    assert containers.execute(container, "cat", "/asked/below/file") == "content"
    containers.execute(container, "touch", "/asked/below/new")
    assert fails(containers, container, "cat", "/plain/below/file")
    del mounts[0]["selinux_relabel"]
    other = containers.run(containers.run_pod("other"), mounts=mounts)
    assert fails(containers, other, "cat", "/asked/below/file")


def test_a_privileged_container_is_not_confined(serving: Node) -> None:
    secret = serving.home / "secret"
    secret.mkdir()
    (secret / "file").write_text("content")
    mounts = [{"container_path": "/secret", "host_path": str(secret)}]
    containers = connect(serving)
    config = pod_config("web")
    config["linux"] |= {"cgroup_parent": GROUP, "security_context": {"privileged": True}}
    pod = containers.sandboxes.run(config)
    container = containers.run(pod, mounts=mounts, linux=asking(privileged=True))
    assert containers.execute(container, "cat", "/secret/file") == "content"
    assert label(containers.execute(container, *CURRENT))[0] != "container_t"


def test_a_level_can_be_asked_for(serving: Node) -> None:
    containers = connect(serving)
    pod = containers.run_pod("web")
    container = containers.run(pod, linux=asking(selinux_options={"level": "s0:c5,c6"}))
    assert label(containers.execute(container, *CURRENT)) == ("container_t", "s0:c5,c6")
    assert containers.answers(container)


@pytest.mark.parametrize("asked", [{"type": "nonsense_t"}, {"type": "t" * 5000}, {"level": "s9"}, {"user": "nobody_u"}])
def test_a_label_that_the_policy_lacks_is_refused(serving: Node, asked: Mapping[str, str]) -> None:
    containers = connect(serving)
    pod = containers.run_pod("web")
    error = refusal(lambda: containers.create(pod, linux=asking(selinux_options=asked)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "selinux_options: expected a label that the node's SELinux policy has" in error.details()


def test_the_layers_have_their_label_after_a_restart(serving: Node) -> None:
    serving.restart()
    containers = connect(serving)
    assert containers.answers(containers.run(containers.run_pod("web")))
    found = {check["name"]: check["ok"] for check in json.loads(serving.crictl_json("info")["preflight"])}
    assert found["SELinux labels"]


def test_what_a_container_wrote_keeps_its_label(serving: Node) -> None:
    containers = connect(serving)
    container = containers.run(containers.run_pod("web"))
    containers.execute(container, "touch", "/etc/new")
    kept = serving.home / "root/containers"
    written = kept / container / "upper/etc/new"
    before, own = os.getxattr(kept, ATTRIBUTE), os.getxattr(written, ATTRIBUTE)
    os.setxattr(kept, ATTRIBUTE, b"system_u:object_r:var_lib_t:s0")
    serving.restart()
    assert (os.getxattr(kept, ATTRIBUTE), os.getxattr(written, ATTRIBUTE)) == (before, own)
