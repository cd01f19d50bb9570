"""Content of the files a pod gets."""

from pathlib import Path

import pytest

from crishim.model.pod import DNSConfig
from crishim.sandbox.files import file_tree, resolv_conf
from crishim.sandbox.layout import Layout
from crishim.testing.world import example_pod


def test_resolv_conf_has_every_part_in_its_place() -> None:
    dns = DNSConfig(servers=("10.0.0.10", "fd00::a"), searches=("shop.svc", "svc"), options=("ndots:5", "edns0"))
    assert resolv_conf(dns) == b"search shop.svc svc\nnameserver 10.0.0.10\nnameserver fd00::a\noptions ndots:5 edns0\n"


@pytest.mark.parametrize("dns", [None, DNSConfig()])
def test_a_pod_that_asks_for_no_dns_has_that_of_the_node(dns: DNSConfig | None) -> None:
    paths = Layout(Path("/kept"), Path("/run")).paths("pod")
    tree = file_tree(paths, example_pod(dns=dns), "web")
    assert tree.copies[str(paths.resolv_conf)] == "/etc/resolv.conf"
    assert str(paths.resolv_conf) not in tree.files
