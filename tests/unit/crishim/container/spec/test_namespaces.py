"""Whose namespaces a container gets."""

from typing import Any

import pytest
from msgspec.structs import replace

from crishim.container.spec.namespaces import check_namespaces, id_mappings, namespaces, pid_mode
from crishim.core.errors import InvalidArgumentError
from crishim.drivers.cgroups import CgroupMode
from crishim.model.pod import IDMapping, NamespaceMode, NamespaceOptions, UserNamespace
from crishim.model.sandbox import NamespacePaths
from tests.unit.crishim.container.spec.parts import HOST, inputs, pod, pod_with, secured

PODS = [
    {"type": "network", "path": "/n/net"},
    {"type": "ipc", "path": "/n/ipc"},
    {"type": "uts", "path": "/n/uts"},
]
USERNS = UserNamespace(NamespaceMode.POD, (IDMapping(1000, 0, 10),), (IDMapping(2000, 0, 10),))


def test_usual() -> None:
    assert namespaces(inputs()) == [{"type": "mount"}, *PODS, {"type": "pid"}, {"type": "cgroup"}]


@pytest.mark.parametrize("mode", [CgroupMode.V1, CgroupMode.HYBRID])
def test_no_cgroup_namespace_before_v2(mode: CgroupMode) -> None:
    assert {"type": "cgroup"} not in namespaces(inputs(host=replace(HOST, cgroup_mode=mode)))


def test_no_cgroup_namespace_when_privileged() -> None:
    assert {"type": "cgroup"} not in namespaces(inputs(secured(privileged=True)))


def test_those_of_the_node() -> None:
    options = NamespaceOptions(NamespaceMode.NODE, NamespaceMode.NODE, NamespaceMode.NODE)
    sandbox = replace(pod_with(namespaces=options), namespaces=NamespacePaths())
    made = inputs(secured(namespaces=NamespaceOptions(pid=NamespaceMode.POD)), sandbox=sandbox)
    assert namespaces(made) == [{"type": "mount"}, {"type": "cgroup"}]


@pytest.mark.parametrize("mode", [NamespaceMode.POD, NamespaceMode.TARGET])
def test_a_pid_namespace_to_join(mode: NamespaceMode) -> None:
    config = secured(namespaces=NamespaceOptions(pid=mode, target_id="t"))
    assert {"type": "pid", "path": "/proc/7/ns/pid"} in namespaces(inputs(config, pid_namespace="/proc/7/ns/pid"))
    with pytest.raises(InvalidArgumentError, match=r"namespace_options.pid: .* needs a PID namespace to join"):
        namespaces(inputs(config))


def test_user_namespace() -> None:
    sandbox = pod_with(namespaces=NamespaceOptions(userns=USERNS))
    sandbox = replace(sandbox, namespaces=replace(sandbox.namespaces, user="/n/user"))
    assert {"type": "user", "path": "/n/user"} in namespaces(inputs(sandbox=sandbox))
    assert id_mappings(sandbox) == {
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 10}],
    }
    assert id_mappings(pod()) == {}


@pytest.mark.parametrize(
    ("of_container", "of_pod", "expected"),
    [
        (NamespaceMode.POD, NamespaceMode.CONTAINER, NamespaceMode.POD),
        (NamespaceMode.POD, NamespaceMode.NODE, NamespaceMode.NODE),
        (NamespaceMode.CONTAINER, NamespaceMode.NODE, NamespaceMode.CONTAINER),
        (NamespaceMode.TARGET, NamespaceMode.POD, NamespaceMode.TARGET),
    ],
)
def test_pid_mode(of_container: NamespaceMode, of_pod: NamespaceMode, expected: NamespaceMode) -> None:
    config = secured(namespaces=NamespaceOptions(pid=of_container))
    assert pid_mode(config, pod_with(namespaces=NamespaceOptions(pid=of_pod))) is expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pid": NamespaceMode.NODE}, r"namespace_options.pid: NODE is only possible in a pod whose sandbox has NODE"),
        ({"pid": NamespaceMode.TARGET}, r"namespace_options.target_id: expected the id of a container"),
        ({"target_id": "\0"}, r"namespace_options.target_id: expected text without NUL"),
        ({"userns": USERNS}, r"namespace_options.userns_options: expected those of the pod"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        check_namespaces(secured(namespaces=NamespaceOptions(**options)), pod())


def test_one_of_the_node_is_none() -> None:
    check_namespaces(secured(namespaces=NamespaceOptions(userns=UserNamespace())), pod())
