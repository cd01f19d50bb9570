"""The CRI validation suite, critest 1.36, whole, on both of Debian's OCI runtimes.

What it may skip is here by name: what this machine or its OCI runtime lacks, and one spec that cannot be had. What
only the runtimes lack runs on a newer one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.critest import WEBSOCKET, outcome, run_suite, serving_containers
from tests.lab.kernel import shifts_ids_in_memory
from tests.lab.node import Node

# 122 with five benchmarks, which run only when asked for, and one spec that is left out.
SPECS = 116

# It pulls an image of one digest from its registry, and nobody can make another image of that digest. What it looks
# at is looked at in test_an_image_by_its_digest.
LEFT_OUT = "public image with digest should be pulled and removed"

# Spec name to reason. Older runtimes (crun before 1.8.6) do not tell that they can do recursive read-only mounts, and
# those without id-mapped mounts (runc before 1.2, crun before 1.9) can have no user namespaces.
NEWER_CAN = {
    r"Container Mount Readonly .* recursive readonly ": "runtime does not implement recursive readonly mounts",
    r"Security Context UserNamespaces ": "no runtime handler found which supports user namespaces",
}
MAY_SKIP = NEWER_CAN | {r"AppArmor ": "AppArmor is disabled on this host"}

OF_DEBIAN = pytest.mark.parametrize("container_node", ["crun", "runc"], indirect=True)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def container_node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node that runs containers; everything must be gone at the end."""
    with serving_containers(Path("/run/e2e"), request.param) as node:
        yield node
        node.crictl("rmi", "--all")
        assert not node.leftovers()
        print(node.daemon.tail())


@OF_DEBIAN
def test_the_whole_suite(container_node: Node, tmp_path: Path) -> None:
    found = outcome(run_suite(container_node.daemon.socket, tmp_path / "report.json", f"-ginkgo.skip={LEFT_OUT}"))
    assert found.failed == {}
    assert {name: reason for name, reason in found.skipped.items() if not may_skip(name, reason)} == {}
    assert len(found.passed) + len(found.skipped) == SPECS


@shifts_ids_in_memory
@pytest.mark.parametrize("container_node", ["runc-current"], indirect=True)
def test_what_newer_runtimes_can(container_node: Node, tmp_path: Path) -> None:
    focus = f"-ginkgo.focus={'|'.join(NEWER_CAN)}"
    found = outcome(run_suite(container_node.daemon.socket, tmp_path / "report.json", focus))
    assert (found.failed, found.skipped, len(found.passed)) == ({}, {}, 10)


@OF_DEBIAN
def test_streaming_over_websocket(container_node: Node, tmp_path: Path) -> None:
    arguments = ("-ginkgo.focus=Streaming", *WEBSOCKET)
    found = outcome(run_suite(container_node.daemon.socket, tmp_path / "report.json", *arguments))
    assert (found.failed, found.skipped, len(found.passed)) == ({}, {}, 5)


@OF_DEBIAN
def test_an_image_by_its_digest(container_node: Node) -> None:
    container_node.crictl("pull", "registry.k8s.io/pause:3.9")
    (digest,) = container_node.crictl_json("inspecti", "registry.k8s.io/pause:3.9")["status"]["repoDigests"]
    container_node.crictl("rmi", "registry.k8s.io/pause:3.9")
    container_node.crictl("pull", digest)
    (image,) = container_node.crictl_json("images")["images"]
    assert (image["repoTags"], image["repoDigests"]) == ([], [digest])
    container_node.crictl("rmi", digest)
    assert container_node.crictl_json("images")["images"] == []


def may_skip(name: str, reason: str) -> bool:
    """Whether a spec may be skipped for this reason."""
    return any(re.search(pattern, name) and reason == allowed for pattern, allowed in MAY_SKIP.items())
