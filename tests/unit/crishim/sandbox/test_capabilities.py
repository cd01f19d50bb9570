"""What the CNI plugins are told about a pod."""

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.model.pod import DNSConfig, PodConfig, PodMetadata, PortMapping, Protocol
from crishim.sandbox.capabilities import capability_args, cni_args, parse_quantity

METADATA = PodMetadata(name="web", uid="u1", namespace="shop")


def test_cni_args_name_the_pod() -> None:
    args = dict(cni_args("abc", PodConfig(METADATA)))
    assert args == {
        "IgnoreUnknown": "1",
        "K8S_POD_NAMESPACE": "shop",
        "K8S_POD_NAME": "web",
        "K8S_POD_INFRA_CONTAINER_ID": "abc",
        "K8S_POD_UID": "u1",
    }


def test_only_ports_of_the_host_are_mapped() -> None:
    mapped = PortMapping(Protocol.UDP, container_port=53, host_port=5353, host_ip="127.0.0.1")
    args = capability_args(PodConfig(METADATA, port_mappings=(mapped, PortMapping(Protocol.TCP, 80, 0))))
    assert args["portMappings"] == [{"hostPort": 5353, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"}]


def test_no_ports_no_argument() -> None:
    assert "portMappings" not in capability_args(PodConfig(METADATA))


def test_dns_aliases_cgroup_and_annotations_are_passed_as_they_are() -> None:
    config = PodConfig(
        METADATA,
        hostname="web-0",
        dns=DNSConfig(servers=("10.0.0.10",), searches=("svc",), options=("ndots:5",)),
        annotations={"k": "v"},
        cgroup_parent="/kubepods/pod1",
    )
    assert capability_args(config) == {
        "io.kubernetes.cri.pod-annotations": {"k": "v"},
        "dns": {"servers": ["10.0.0.10"], "searches": ["svc"], "options": ["ndots:5"]},
        "aliases": ["web", "web-0"],
        "cgroupPath": "/kubepods/pod1",
    }


def test_bandwidth_annotations_become_bits_per_second() -> None:
    config = PodConfig(METADATA, annotations={"kubernetes.io/ingress-bandwidth": "10M"})
    assert capability_args(config)["bandwidth"] == {"ingressRate": 10_000_000, "ingressBurst": 2**32 - 1}


@pytest.mark.parametrize("text", ["fast", "", "1", "-5M", "2E", "1e999"])
def test_a_bad_bandwidth_names_the_annotation(text: str) -> None:
    config = PodConfig(METADATA, annotations={"kubernetes.io/egress-bandwidth": text})
    with pytest.raises(InvalidArgumentError, match=r"kubernetes\.io/egress-bandwidth"):
        capability_args(config)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("10M", 10**7), ("1.5Gi", 3 * 2**29), ("2e6", 2_000_000), ("100m", 1), (".5k", 500), ("3E", 3 * 10**18)],
)
def test_quantities(text: str, value: int) -> None:
    assert parse_quantity(text) == value
