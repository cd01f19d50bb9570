"""Values for the tests of the parts: a node that can do everything, a pod, and containers that say little."""

from typing import Any

from msgspec.structs import replace

from crishim.container.spec.inputs import HostFacts, PodFiles, SpecInputs, User
from crishim.drivers.cgroups import CgroupMode
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ContainerSecurity, ImageSpec
from crishim.model.pod import NamespaceMode, NamespaceOptions, PodConfig, PodMetadata, SandboxSecurity
from crishim.model.sandbox import NamespacePaths, Sandbox

HOST = HostFacts(cgroup_mode=CgroupMode.V2)
OWN_PID = NamespaceOptions(pid=NamespaceMode.CONTAINER)


def pod(**more: Any) -> Sandbox:
    """A pod with namespaces of its own; ``more`` are parts of its configuration."""
    return Sandbox(
        id="pod1",
        config=PodConfig(PodMetadata("web", "u1", "shop"), **more),
        runtime_handler="crun",
        created_at=1,
        boot_id="b",
        namespaces=NamespacePaths(net="/n/net", ipc="/n/ipc", uts="/n/uts"),
    )


def pod_with(**more: Any) -> Sandbox:
    """A pod with these security settings."""
    return pod(security=SandboxSecurity(**more))


def asked(**more: Any) -> ContainerConfig:
    """What was asked for: a shell, and ``more``."""
    return replace(ContainerConfig(ContainerMetadata("c"), ImageSpec("sha256:1"), command=("sh",)), **more)


def secured(**more: Any) -> ContainerConfig:
    """A shell with these security settings."""
    return asked(security=replace(ContainerSecurity(namespaces=OWN_PID), **more))


def inputs(config: ContainerConfig | None = None, **more: Any) -> SpecInputs:
    """All that a configuration is made of."""
    config = config or secured()
    container = Container(
        id="c1",
        sandbox_id="pod1",
        config=config,
        runtime_handler="crun",
        created_at=1,
        boot_id="b",
        resources=config.resources,
    )
    made = SpecInputs(
        container=container,
        sandbox=pod(),
        image_config={},
        rootfs="/root",
        files=PodFiles("/p/hostname", "/p/hosts", "/p/resolv.conf", "/p/shm"),
        user=User(),
        host=HOST,
        hostname="node",
    )
    return replace(made, **more)
