"""What is refused before anything is touched, and that the message names the field."""

import pytest

from crishim.core.errors import CrishimError, InvalidArgumentError
from crishim.drivers.cgroups import CgroupDriver
from crishim.model.pod import (
    NamespaceMode,
    NamespaceOptions,
    PodConfig,
    PodMetadata,
    PortMapping,
    Protocol,
    SandboxSecurity,
    UserNamespace,
)
from crishim.sandbox.validate import check_config, check_handler

METADATA = PodMetadata(name="web", uid="u1", namespace="shop")


def with_namespaces(**modes: NamespaceMode | UserNamespace) -> PodConfig:
    return PodConfig(METADATA, security=SandboxSecurity(namespaces=NamespaceOptions(**modes)))  # type: ignore[arg-type]


def with_port(container_port: int, host_port: int, host_ip: str = "") -> PodConfig:
    return PodConfig(METADATA, port_mappings=(PortMapping(Protocol.TCP, container_port, host_port, host_ip),))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (PodConfig(METADATA, hostname="-x"), "config.hostname"),
        (PodConfig(METADATA, hostname="h" * 65), "config.hostname"),
        (with_namespaces(network=NamespaceMode.CONTAINER), "namespace_options.network"),
        (with_namespaces(ipc=NamespaceMode.TARGET), "namespace_options.ipc"),
        (with_namespaces(pid=NamespaceMode.TARGET), "namespace_options.pid"),
        (with_namespaces(userns=UserNamespace(NamespaceMode.POD)), "userns_options.uids: expected 1 to 340 mappings"),
        (with_port(0, 80), r"port_mappings\[0\].container_port"),
        (with_port(80, 65536), r"port_mappings\[0\].host_port"),
        (with_port(80, 80, "localhost"), r"port_mappings\[0\].host_ip"),
        (PodConfig(METADATA, cgroup_parent="/kubepods/../x"), "cgroup_parent"),
        (PodConfig(METADATA, sysctls={"kernel.panic": "1"}), "kernel.panic"),
    ],
)
def test_refused_with_the_field_named(config: PodConfig, named: str) -> None:
    with pytest.raises(CrishimError, match=named):
        check_config(config, CgroupDriver.CGROUPFS)


def test_an_ordinary_pod_passes() -> None:
    check_config(
        PodConfig(METADATA, hostname="web-0.shop", sysctls={"net.ipv4.ip_forward": "1"}), CgroupDriver.CGROUPFS
    )


def test_no_handler_means_the_default_one() -> None:
    check_handler("", {"crun", "runc"})


def test_an_unknown_handler_is_refused_naming_the_known_ones() -> None:
    with pytest.raises(InvalidArgumentError, match="crun, runc; found 'kata'"):
        check_handler("kata", {"runc", "crun"})
