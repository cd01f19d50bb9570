"""Requests about routing rules and copies of routes, without a kernel."""

from __future__ import annotations

import socket
import struct

import pytest

from cni_runtime.net import codec, rules, tables
from cni_runtime.net.routes import RouteSpec, add_route
from cni_runtime.net.rtnl import Rta
from cni_runtime.net.rules import Rule
from cni_runtime.net.tables import KernelRoute


@pytest.mark.parametrize("rule", [Rule(100, "10.1.0.2", 0), Rule(1000, "fd00::2", 5)])
def test_a_rule_survives_the_way_to_the_kernel(rule: Rule) -> None:
    assert rules._rule(rules.add_rule(rule).body) == rule


def test_a_rule_for_a_subnet_is_none_for_an_address() -> None:
    body = bytearray(rules.add_rule(Rule(100, "10.1.0.0")).body)
    body[2] = 24
    assert rules._rule(bytes(body)) == Rule(100, "", 0)


def test_a_route_keeps_all_but_table_flags_and_state() -> None:
    spec = RouteSpec("192.0.2.0/24", "10.1.0.1", source="10.1.0.2", priority=7, mtu=1300)
    cloned_and_onlink = struct.pack("=I", 0x204)
    request = add_route(4, spec)
    body = request.body[:8] + cloned_and_onlink + request.body[12:] + codec.attribute(12, bytes(32))
    route = tables._route(body)
    assert (route.destination, route.gateway, route.source) == ("192.0.2.0/24", "10.1.0.1", "10.1.0.2")
    moved = tables.put_route(route, 300).body
    assert moved[8:12] == struct.pack("=I", 0x4)
    found, expected = codec.attributes(moved, 12), codec.attributes(request.body, 12)
    assert found == {**expected, Rta.TABLE: struct.pack("=I", 300)}


def test_a_default_route_of_ipv6() -> None:
    header = struct.pack("=BBBBBBBBI", socket.AF_INET6, 0, 0, 0, 254, 3, 0, 1, 0)
    assert tables._route(header) == KernelRoute("::/0", 254, header)
