"""What people see of containers and images through crictl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cri import pod_config
from tests.lab.critest import serving_containers
from tests.lab.node import Node, eventually

BUSYBOX = "registry.k8s.io/e2e-test-images/busybox:1.29-2"
CONFIG = {
    "metadata": {"name": "main", "attempt": 2},
    "image": {"image": BUSYBOX},
    "command": ["sh", "-c", "echo hello; exec sleep 1000"],
    "labels": {"io.kubernetes.pod.name": "web", "io.kubernetes.pod.namespace": "tests"},
    "log_path": "main.log",
    "linux": {"resources": {"memory_limit_in_bytes": 64 << 20}},
}


@pytest.fixture
def container_node() -> Iterator[Node]:
    """A node with the image; everything must be gone at the end."""
    with serving_containers(Path("/run/e2e"), "crun") as node:
        node.crictl("pull", BUSYBOX)
        yield node
        node.remove_all_pods()
        node.crictl("rmi", "--all")
        assert not node.leftovers()


def run_container(node: Node) -> str:
    """The id of a running container."""
    pod, container = node.home / "pod.json", node.home / "container.json"
    (node.home / "logs").mkdir()
    pod.write_text(json.dumps(pod_config("web", log_directory=str(node.home / "logs"))))
    container.write_text(json.dumps(CONFIG))
    made = node.crictl("create", node.crictl("runp", pod).strip(), container, pod).strip()
    node.crictl("start", made)
    return made


def listed(node: Node, *arguments: str) -> list[dict[str, Any]]:
    """What ``crictl ps`` lists."""
    found: list[dict[str, Any]] = node.crictl_json("ps", *arguments)["containers"]
    return found


def test_a_container_is_seen_all_its_life(container_node: Node) -> None:
    container = run_container(container_node)
    (row,) = container_node.crictl("ps").splitlines()[1:]
    assert row.split()[:2] == [container[:13], BUSYBOX]
    assert row.split()[-6:] == ["Running", "main", "2", listed(container_node)[0]["podSandboxId"][:13], "web", "tests"]
    container_node.crictl("stop", container)
    assert listed(container_node) == []
    assert [each["state"] for each in listed(container_node, "-a")] == ["CONTAINER_EXITED"]
    container_node.crictl("rm", container)
    assert listed(container_node, "-a") == []


def test_a_running_container_is_described(container_node: Node) -> None:
    container = run_container(container_node)
    (image,) = container_node.crictl_json("images")["images"]
    shown = container_node.crictl_json("inspect", container)
    status, info = shown["status"], shown["info"]
    assert (status["image"]["image"], status["imageId"]) == (BUSYBOX, image["id"])
    assert status["imageRef"] in image["repoDigests"]
    assert status["resources"]["linux"]["memoryLimitInBytes"] == str(64 << 20)
    arguments = Path(f"/proc/{info['pid']}/cmdline")
    assert eventually(lambda: arguments.read_bytes() == b"sleep\x001000\x00")  # an OCI runtime waits for no execve(2)
    assert info["runtimeSpec"]["process"]["args"] == CONFIG["command"]


def test_its_usage_is_told(container_node: Node) -> None:
    container = run_container(container_node)
    (usage,) = container_node.crictl_json("stats", container)["stats"]
    filesystems = container_node.crictl_json("imagefsinfo")["status"]
    (places,), (images,) = filesystems["containerFilesystems"], filesystems["imageFilesystems"]
    assert int(usage["memory"]["workingSetBytes"]["value"]) > 0
    assert int(usage["memory"]["availableBytes"]["value"]) < 64 << 20
    assert usage["writableLayer"]["fsId"] == places["fsId"] == images["fsId"]


def test_its_usage_is_watched(container_node: Node) -> None:
    """In two samples, of which crictl wants the second one to be newer."""
    container = run_container(container_node)
    (row,) = container_node.crictl("stats", container).splitlines()[1:]
    assert row.split()[:2] == [container[:13], "main"]
    assert container_node.crictl("statsp").splitlines()[1].startswith("web")


def test_it_is_talked_to(container_node: Node) -> None:
    container = run_container(container_node)
    assert eventually(lambda: container_node.crictl("logs", container)) == "hello\n"
    for how in ((), ("-s",)):
        assert container_node.crictl("exec", *how, container, "echo", "hello").strip() == "hello"


def test_an_image_is_described(container_node: Node) -> None:
    (image,) = container_node.crictl_json("images")["images"]
    shown = container_node.crictl_json("inspecti", BUSYBOX)
    assert (shown["status"]["id"], shown["status"]["repoTags"]) == (image["id"], [BUSYBOX])
    assert shown["info"]["imageSpec"]["config"]["Cmd"] == ["sh"]
    assert int(image["size"]) > 1 << 20
