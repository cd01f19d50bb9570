"""The control group of a container."""

import pytest
from msgspec.structs import replace

from crishim.container.spec.cgroup import cgroups_path
from tests.unit.crishim.container.spec.parts import HOST, pod


@pytest.mark.parametrize(
    ("parent", "systemd", "expected"),
    [
        ("/kubepods/pod1", False, "/kubepods/pod1/c1"),
        ("kubepods/pod1/", False, "/kubepods/pod1/c1"),
        ("", False, "/crishim/c1"),
        ("/kubepods.slice/kubepods-pod1.slice", True, "kubepods-pod1.slice:crishim:c1"),
        ("kubepods-pod1.slice/", True, "kubepods-pod1.slice:crishim:c1"),
        ("", True, "system.slice:crishim:c1"),
    ],
)
def test_path(parent: str, systemd: bool, expected: str) -> None:
    assert cgroups_path("c1", pod(cgroup_parent=parent), replace(HOST, systemd_cgroup=systemd)) == expected
