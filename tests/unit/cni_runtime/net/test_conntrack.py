from __future__ import annotations

import ipaddress
import struct

import pytest

from cni_runtime.net import codec
from cni_runtime.net.conntrack import connection_of, list_request


def direction(kind: int, source: str, destination: str, ports: tuple[int, int], protocol: int = 17) -> bytes:
    first = 1 if "." in source else 3
    packed = [ipaddress.ip_address(address).packed for address in (source, destination)]
    addresses = [codec.attribute(first + at, value) for at, value in enumerate(packed)]
    numbers = [codec.attribute(at, struct.pack(">H", number)) for at, number in enumerate(ports, 2)]
    proto = codec.nested(2, codec.u8(1, protocol), *numbers)
    return codec.nested(kind, codec.nested(1, *addresses), proto)


@pytest.mark.parametrize(
    ("family", "client", "host", "pod"),
    [(4, "192.0.2.2", "192.0.2.1", "10.1.0.2"), (6, "2001:db8::2", "2001:db8::1", "fd00::2")],
)
def test_a_translated_connection_tells_who_answers(family: int, client: str, host: str, pod: str) -> None:
    original, reply = direction(1, client, host, (4000, 8080)), direction(2, pod, client, (80, 4000))
    found = connection_of(family, bytes(4) + original + reply + codec.attribute(12, b"\0\0\0\7"))
    assert (found.source, found.destination, found.destination_port) == (client, host, 8080)
    assert (found.protocol, found.replies_from) == (17, pod)
    assert found.identity == original + codec.attribute(12, b"\0\0\0\7")


def test_the_zone_is_part_of_what_a_connection_is_known_by() -> None:
    zone = codec.attribute(18, b"\0\5")
    assert zone in connection_of(4, bytes(4) + direction(1, "1.1.1.1", "2.2.2.2", (1, 2)) + zone).identity


def test_what_is_not_said_is_nothing() -> None:
    found = connection_of(4, bytes(4))
    assert (found.protocol, found.destination_port, found.replies_from) == (0, 0, "0.0.0.0")


def test_the_kernel_is_asked_for_one_port() -> None:
    body = list_request(6, 17, {8080}).body
    assert body[0] == 10
    assert codec.attribute(3, struct.pack(">H", 8080)) in body
    assert codec.u8(1, 17) in body


def test_of_several_ports_the_kernel_is_not_told() -> None:
    body = list_request(4, 17, {53, 8080}).body
    assert codec.u8(1, 17) in body
    assert codec.attribute(3, struct.pack(">H", 53)) not in body
