"""SELinux labels."""

import re

import pytest
from msgspec.structs import replace

from crishim.container.spec.selinux import Labels, check_selinux, selinux_labels
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import ContainerConfig
from crishim.model.pod import SELinuxOptions
from crishim.model.sandbox import Sandbox
from tests.unit.crishim.container.spec.parts import HOST, pod, pod_with, secured

ON = replace(HOST, selinux=True, selinux_labels=True)
OFF = replace(HOST, selinux=True)
MINE = SELinuxOptions("u", "r", "t", "s0:c1")
MOUNT = "system_u:object_r:container_file_t:s0:c1"


@pytest.mark.parametrize(
    ("config", "sandbox", "expected"),
    [
        (secured(selinux=MINE), pod(), Labels("u:r:t:s0:c1", MOUNT)),
        (secured(selinux=MINE), pod_with(selinux=SELinuxOptions(type="p")), Labels("u:r:t:s0:c1", MOUNT)),
        (secured(), pod_with(selinux=MINE), Labels("u:r:t:s0:c1", MOUNT)),
        (
            secured(selinux=SELinuxOptions(level="s0:c1")),
            pod(),
            Labels("system_u:system_r:container_t:s0:c1", MOUNT),
        ),
        (secured(privileged=True), pod(), Labels()),
        (secured(privileged=True, selinux=MINE), pod(), Labels("u:r:t:s0:c1", MOUNT)),
    ],
)
def test_labels(config: ContainerConfig, sandbox: Sandbox, expected: Labels) -> None:
    assert selinux_labels(config, sandbox, ON) == expected
    assert selinux_labels(config, sandbox, HOST) == selinux_labels(config, sandbox, OFF) == Labels()


def test_a_level_of_the_pods_own() -> None:
    levels = {selinux_labels(secured(), replace(pod(), id=str(number)), ON).process for number in range(50)}
    assert len(levels) == 50
    for label in levels:
        found = re.fullmatch(r"system_u:system_r:container_t:s0:c(\d+),c(\d+)", label)
        assert found is not None
        assert 0 <= int(found[1]) < int(found[2]) < 1024


def test_containers_of_a_pod_share_it() -> None:
    assert selinux_labels(secured(), pod(), ON) == selinux_labels(secured(readonly_rootfs=True), pod(), ON)


def test_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"selinux_options.role: expected text without NUL"):
        check_selinux(secured(selinux=SELinuxOptions(role="\0")), pod(), OFF)


@pytest.mark.parametrize("level", ['s0",upperdir=/', "s0 c1", "s0:c1\n"])
def test_a_level_can_not_bring_options_into_a_mount(level: str) -> None:
    options = SELinuxOptions(level=level)
    for config, sandbox in ((secured(selinux=options), pod()), (secured(), pod_with(selinux=options))):
        with pytest.raises(InvalidArgumentError, match=r"selinux_options.level: expected a level such as s0:c1,c2"):
            check_selinux(config, sandbox, ON)
        check_selinux(config, sandbox, OFF)
