"""Content of the files a pod gets."""

from crishim.model.pod import DNSConfig
from crishim.sandbox.files import resolv_conf


def test_resolv_conf_has_every_part_in_its_place() -> None:
    dns = DNSConfig(servers=("10.0.0.10", "fd00::a"), searches=("shop.svc", "svc"), options=("ndots:5", "edns0"))
    assert resolv_conf(dns) == b"search shop.svc svc\nnameserver 10.0.0.10\nnameserver fd00::a\noptions ndots:5 edns0\n"


def test_an_empty_dns_config_is_an_empty_file() -> None:
    assert resolv_conf(DNSConfig()) == b""
