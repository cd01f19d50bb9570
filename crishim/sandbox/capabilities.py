"""What a pod's configuration tells the CNI plugins: CNI_ARGS and capability arguments. Pure.

Source: the CNI conventions document (``portMappings``, ``bandwidth``, ``dns``, ``aliases``, ``cgroupPath``,
``io.kubernetes.cri.pod-annotations``) and the Kubernetes network plugin documentation (bandwidth annotations).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from crishim.core.errors import InvalidArgumentError, refusal
from crishim.model.pod import PodConfig, PortMapping

INGRESS_ANNOTATION = "kubernetes.io/ingress-bandwidth"
EGRESS_ANNOTATION = "kubernetes.io/egress-bandwidth"

# Kubernetes allows 1 kbit/s to 1 Pbit/s; the burst is as large as the bandwidth plugin's field can hold.
_MIN_RATE, _MAX_RATE = 1_000, 10**15
_BURST = 2**32 - 1

_QUANTITY = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?"
)
_SUFFIXES: dict[str, Decimal] = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def cni_args(sandbox_id: str, config: PodConfig) -> tuple[tuple[str, str], ...]:
    """CNI_ARGS as Kubernetes runtimes have always passed them."""
    metadata = config.metadata
    return (
        ("IgnoreUnknown", "1"),
        ("K8S_POD_NAMESPACE", metadata.namespace),
        ("K8S_POD_NAME", metadata.name),
        ("K8S_POD_INFRA_CONTAINER_ID", sandbox_id),
        ("K8S_POD_UID", metadata.uid),
    )


def capability_args(config: PodConfig) -> dict[str, Any]:
    """Capability arguments for every plugin that declares the capability.

    Raises InvalidArgumentError naming the annotation whose bandwidth is no quantity or out of range.
    """
    args: dict[str, Any] = {"io.kubernetes.cri.pod-annotations": dict(config.annotations)}
    if mappings := [_port_mapping(mapping) for mapping in config.port_mappings if mapping.host_port > 0]:
        args["portMappings"] = mappings
    if bandwidth := _bandwidth(config.annotations):
        args["bandwidth"] = bandwidth
    if dns := config.dns:
        args["dns"] = {"servers": list(dns.servers), "searches": list(dns.searches), "options": list(dns.options)}
    if config.cgroup_parent:
        args["cgroupPath"] = config.cgroup_parent
    args["aliases"] = list(dict.fromkeys(name for name in (config.metadata.name, config.hostname) if name))
    return args


def parse_quantity(text: str) -> int:
    """A Kubernetes quantity (``10M``, ``1.5Gi``, ``2e6``) as a whole number, rounded up; raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    suffix = match["suffix"] or ""
    scale = _SUFFIXES[suffix] if suffix in _SUFFIXES else Decimal(f"1{suffix}")
    return math.ceil(Decimal(match["number"]) * scale)


def _port_mapping(mapping: PortMapping) -> dict[str, Any]:
    return {
        "hostPort": mapping.host_port,
        "containerPort": mapping.container_port,
        "protocol": mapping.protocol.name.lower(),
        "hostIP": mapping.host_ip,
    }


def _bandwidth(annotations: Mapping[str, str]) -> dict[str, int]:
    limits: dict[str, int] = {}
    for annotation, key in ((INGRESS_ANNOTATION, "ingress"), (EGRESS_ANNOTATION, "egress")):
        if annotation in annotations:
            limits |= {f"{key}Rate": _rate(annotation, annotations[annotation]), f"{key}Burst": _BURST}
    return limits


def _rate(annotation: str, text: str) -> int:
    try:
        rate = parse_quantity(text)
    except ValueError:
        raise refusal(f'config.annotations["{annotation}"]', "a quantity such as 10M", text) from None
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise InvalidArgumentError(f'config.annotations["{annotation}"]: {text} is not within 1k and 1P bit/s')
    return rate
