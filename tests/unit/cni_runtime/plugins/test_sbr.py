from __future__ import annotations

from itertools import islice

import pytest

from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net.plan import Plan
from cni_runtime.net.routes import RouteSpec
from cni_runtime.net.rules import AddRule, Rule
from cni_runtime.net.tables import EmptyMainTable, FillTable, KernelRoute
from cni_runtime.plugins.sbr import (
    SbrConfig,
    Seen,
    addresses_of,
    belongs,
    free_tables,
    sbr_plan,
)
from cni_runtime.result import Interface, IPConfig, Result
from tests.unit.cni_runtime.plugins.conftest import MakeCall

V4 = IPConfig(address="10.1.0.2/24", gateway="10.1.0.1", interface=0)
V6 = IPConfig(address="fd00::2/64", interface=0)
SUBNET = KernelRoute("10.1.0.0/24", 254, b"1", source="10.1.0.2")
DEFAULT = KernelRoute("0.0.0.0/0", 254, b"2", gateway="10.1.0.1")
ON_LINK = KernelRoute("fd00::/64", 254, b"3")
LOCAL = KernelRoute("10.1.0.2/32", 255, b"4", source="10.1.0.2")
ELSEWHERE = KernelRoute("192.0.2.0/24", 254, b"5", gateway="10.2.0.1")


def test_whose_addresses_count(call: MakeCall) -> None:
    ips = (V4, IPConfig(address="10.9.0.2/24"), IPConfig(address="10.8.0.2/24", interface=1))
    result = Result(interfaces=(Interface(name="eth0"), Interface(name="other")), ips=ips)
    assert addresses_of(call("sbr"), result) == ips[:2]
    with pytest.raises(ConfigError, match="no addresses"):
        addresses_of(call("sbr"), Result())


@pytest.mark.parametrize(
    ("route", "ip", "expected"),
    [(SUBNET, V4, True), (DEFAULT, V4, True), (ON_LINK, V4, True), (DEFAULT, V6, False), (ELSEWHERE, V4, False)],
)
def test_which_routes_belong_to_an_address(route: KernelRoute, ip: IPConfig, expected: bool) -> None:
    assert belongs(route, ip) is expected


def test_free_tables() -> None:
    assert list(islice(free_tables(frozenset({254, 100, 102})), 3)) == [101, 103, 104]


def test_a_table_for_each_address_and_the_main_table_last() -> None:
    seen = Seen(2, (SUBNET, LOCAL, DEFAULT, ON_LINK), (Rule(100), Rule(254)), frozenset({101, 254}))
    assert sbr_plan(SbrConfig(), seen, (V4, V6)) == (
        AddRule(Rule(102, "10.1.0.2")),
        FillTable(102, 2, RouteSpec("0.0.0.0/0", "10.1.0.1", table=102), (SUBNET, DEFAULT, ON_LINK)),
        AddRule(Rule(103, "fd00::2")),
        FillTable(103, 2, None, (ON_LINK,)),
        EmptyMainTable((SUBNET, DEFAULT, ON_LINK)),
    )


def test_a_table_of_somebody_else_gets_rules_only() -> None:
    plan: Plan = sbr_plan(SbrConfig(table=7), Seen(2, (SUBNET,)), (V4, V6))
    assert plan == (AddRule(Rule(7, "10.1.0.2")), AddRule(Rule(7, "fd00::2")))


def test_a_rule_that_is_there_already() -> None:
    with pytest.raises(CniError, match=r"from 10\.1\.0\.2 to table 7 already"):
        sbr_plan(SbrConfig(table=7), Seen(2, rules=(Rule(7, "10.1.0.2", 100),)), (V4,))
