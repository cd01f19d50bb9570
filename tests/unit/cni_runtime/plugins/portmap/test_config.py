from __future__ import annotations

import logging
from typing import Any

import pytest

from cni_runtime.errors import ConfigError
from cni_runtime.plugins.base import Context, require_previous
from cni_runtime.plugins.portmap.config import forwards, port_mappings, portmap_config
from tests.unit.cni_runtime.plugins.conftest import MakeCall

PREVIOUS = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "cni0"}, {"name": "veth0"}, {"name": "eth0", "sandbox": "/run/netns/c"}],
    "ips": [
        {"address": "10.9.9.9/24", "interface": 0},
        {"address": "10.1.0.2/24", "interface": 2},
        {"address": "10.1.0.3/24", "interface": 2},
        {"address": "fd00::2/64"},
    ],
}


def wanted(call: MakeCall, *mappings: dict[str, Any]) -> list[tuple[str, str, int, str, int]]:
    made = call("portmap", runtimeConfig={"portMappings": list(mappings)}, prevResult=PREVIOUS)
    found = forwards(made, require_previous(made), port_mappings(made))
    return [(one.protocol, one.host, one.host_port, one.pod, one.pod_port) for one in found]


def test_a_mapping_is_for_the_first_address_of_each_family_of_the_pod(call: MakeCall) -> None:
    expected = [("tcp", "", 8080, "10.1.0.2", 80), ("tcp", "", 8080, "fd00::2", 80)]
    assert wanted(call, {"hostPort": 8080, "containerPort": 80}) == expected


@pytest.mark.parametrize(
    ("host_ip", "expected"),
    [
        ("192.0.2.1", [("192.0.2.1", "10.1.0.2")]),
        ("0.0.0.0", [("", "10.1.0.2")]),
        ("::", [("", "fd00::2")]),
        ("2001:DB8:0::1", [("2001:db8::1", "fd00::2")]),
        ("::ffff:192.0.2.1", [("192.0.2.1", "10.1.0.2")]),
        ("", [("", "10.1.0.2"), ("", "fd00::2")]),
        (None, [("", "10.1.0.2"), ("", "fd00::2")]),
    ],
)
def test_the_hosts_address_chooses_the_family(
    call: MakeCall, host_ip: str | None, expected: list[tuple[str, str]]
) -> None:
    found = wanted(call, {"hostPort": 1, "containerPort": 2, "protocol": "UDP", "hostIP": host_ip})
    assert [(host, pod) for _, host, _, pod, _ in found] == expected


def test_the_same_mapping_twice_counts_once(call: MakeCall) -> None:
    mapping = {"hostPort": 1, "containerPort": 2, "hostIP": "192.0.2.1"}
    assert len(wanted(call, mapping, mapping)) == 1


def test_one_port_to_two_targets_is_refused(call: MakeCall) -> None:
    with pytest.raises(ConfigError, match="tcp host port 1 is mapped to both 2 and 3"):
        wanted(call, {"hostPort": 1, "containerPort": 2}, {"hostPort": 1, "containerPort": 3})


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"hostPort": 0, "containerPort": 1}, r">= 1 .*portMappings\[0\].hostPort"),
        ({"hostPort": 1, "containerPort": 65536}, r"<= 65535 .*containerPort"),
        ({"hostPort": 1}, "containerPort"),
        ({"hostPort": 1, "containerPort": 1, "protocol": "icmp"}, "expected protocol tcp, udp or sctp, got 'icmp'"),
        ({"hostPort": 1, "containerPort": 1, "hostIP": "localhost"}, "hostIP: 'localhost'"),
    ],
)
def test_a_bad_mapping_is_refused_by_name(call: MakeCall, mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wanted(call, mapping)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "ebpf"}, "backend: expected 'iptables' or 'nftables', got 'ebpf'"),
        ({"markMasqBit": 32}, r"<= 31 .*markMasqBit"),
        ({"markMasqBit": 3, "externalSetMarkChain": "X"}, "cannot both be given"),
        ({"backend": "nftables", "externalSetMarkChain": "X"}, "nftables does not go with externalSetMarkChain"),
        ({"backend": "nftables", "conditionsV6": ["-s", "::1"]}, "nftables does not go with conditionsV6"),
        ({"backend": "iptables", "conditionsV4": ["ip", "saddr", "1.2.3.4"]}, "iptables does not go with conditionsV4"),
        ({"snat": "yes"}, "snat"),
        ({"conditionsV4": ["-m", "recent"]}, "-m recent cannot be translated"),
    ],
)
def test_bad_options_are_refused_by_name(
    call: MakeCall, context: Context, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        portmap_config(call("portmap", **options), context)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"backend": None, "snat": None},
        {"backend": "iptables", "externalSetMarkChain": "KUBE-MARK-MASQ", "conditionsV4": ["-s", "1.2.3.4"]},
        {"backend": "nftables", "markMasqBit": 31, "masqAll": True, "conditionsV6": ["ip6 saddr ::2"]},
    ],
)
def test_every_option_of_the_reference_plugin_is_known(
    call: MakeCall, context: Context, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        portmap_config(call("portmap", **options), context)
    assert caplog.text == ""
