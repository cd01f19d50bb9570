from __future__ import annotations

import pytest

from cni_runtime.net.nft import Element, Holding, Owner
from cni_runtime.plugins.portmap.config import Forward, PortmapConfig
from cni_runtime.plugins.portmap.table import PREFIX, describe, elements, portmap_table, rival_of

PLAIN = PortmapConfig()
V4 = Forward(4, "tcp", "", 8080, "10.1.0.2", "10.1.0.0/24", 80)
V6 = Forward(6, "tcp", "", 8080, "fd00::2", "fd00::/64", 80)
ON_ONE = Forward(4, "udp", "192.0.2.1", 53, "10.1.0.2", "10.1.0.0/24", 5353)


def stated(*found: Element) -> set[str]:
    return {f"{one.set} {one.key}{' : ' if one.value else ''}{one.value}" for one in found}


def test_a_port_of_all_addresses() -> None:
    assert stated(*elements(PLAIN, (V4,))) == {
        "any4 tcp . 8080 : 10.1.0.2 . 80",
        "back4 tcp . 8080 . 10.1.0.2",
        "subnets4 10.1.0.0/24 . 10.1.0.0/24",
    }


def test_only_the_subnet_is_shared() -> None:
    assert [one.set for one in elements(PLAIN, (V4, V6), host6="fd00::1") if one.shared] == ["subnets4", "subnets6"]


def test_a_port_of_one_address() -> None:
    assert "one4 udp . 192.0.2.1 . 53 : 10.1.0.2 . 5353" in stated(*elements(PLAIN, (ON_ONE,)))


def test_loopback_of_ipv6_needs_an_address_of_the_host() -> None:
    own = stated(*elements(PLAIN, (V6,), host6="fd00::1"))
    assert {"loopback6 tcp . 8080 : fd00::1", "answers6 tcp . 8080 . fd00::1"} <= own
    assert not [one for one in elements(PLAIN, (V6,)) if one.set == "loopback6"]


@pytest.mark.parametrize(("host", "present"), [("::1", True), ("2001:db8::1", False)])
def test_loopback_of_ipv6_is_only_for_ports_of_loopback(host: str, present: bool) -> None:
    forward = Forward(6, "tcp", host, 8080, "fd00::2", "fd00::/64", 80)
    assert any(one.set == "loopback6" for one in elements(PLAIN, (forward,), host6="fd00::1")) is present


def test_without_snat_there_is_only_the_translation() -> None:
    found = elements(PortmapConfig(snat=False), (V4, V6), host6="fd00::1")
    assert stated(*found) == {"any4 tcp . 8080 : 10.1.0.2 . 80", "any6 tcp . 8080 : fd00::2 . 80"}


def test_with_masq_all_everybody_is_hidden() -> None:
    own = stated(*elements(PortmapConfig(masq_all=True), (V4, V6)))
    assert {"hide4 tcp . 8080 . 10.1.0.2", "hide6 tcp . 8080 . fd00::2"} <= own
    assert not [one for one in own if one.startswith(("back", "subnets"))]


def test_a_port_for_all_and_for_one_address_has_no_element_twice() -> None:
    twice = elements(PLAIN, (V6, Forward(6, "tcp", "::1", 8080, "fd00::2", "fd00::/64", 80)), host6="fd00::1")
    assert len(twice) == len({(one.set, one.key) for one in twice})


@pytest.mark.parametrize(
    ("mine", "theirs", "excluded"),
    [
        ("", "any4 tcp . 8080", True),
        ("", "one4 tcp . 192.0.2.1 . 8080", True),
        ("192.0.2.1", "any4 tcp . 8080", True),
        ("192.0.2.1", "one4 tcp . 192.0.2.1 . 8080", True),
        ("192.0.2.1", "one4 tcp . 192.0.2.2 . 8080", False),
        ("", "any4 udp . 8080", False),
        ("", "any4 tcp . 8081", False),
        ("", "any6 tcp . 8080", False),
        ("", "back4 tcp . 8080 . 10.1.0.3", False),
    ],
)
def test_who_stands_in_the_way(mine: str, theirs: str, excluded: bool) -> None:
    name, _, key = theirs.partition(" ")
    holding = Holding(Owner("net", "other", "eth0"), (Element(name, key, "10.1.0.9 . 1"),))
    forward = Forward(4, "tcp", mine, 8080, "10.1.0.2", "10.1.0.0/24", 80)
    assert bool(rival_of((forward,))(holding)) is excluded


def test_a_port_is_described_for_people() -> None:
    assert describe(Element("any4", "tcp . 8080")) == "tcp host port 8080"
    assert describe(Element("one6", "udp . ::1 . 53")) == "udp host port 53 of ::1"


def test_networks_without_conditions_share_one_table() -> None:
    assert portmap_table(PLAIN) == portmap_table(PortmapConfig(snat=False, masq_all=True, mark_masq_bit=5))
    assert portmap_table(PLAIN).name == PREFIX


def test_conditions_make_a_table_of_their_own() -> None:
    one, two = PortmapConfig(conditions_v4=("ip saddr 1.2.3.4",)), PortmapConfig(conditions_v6=("ip6 saddr ::2",))
    tables = [portmap_table(config) for config in (PLAIN, one, two)]
    assert len({table.name for table in tables}) == 3
    assert "meta nfproto ipv4 ip saddr 1.2.3.4 fib daddr type local goto ports4" in tables[1].body
    assert all(table.name.startswith(PREFIX) for table in tables)
