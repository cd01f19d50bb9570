from __future__ import annotations

from typing import Any

import pytest

from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net.inspect import Link
from cni_runtime.net.shaping import AddIfb, LimitSending, RedirectReceived
from cni_runtime.net.tc import INGRESS, ROOT, Qdisc, TokenBucket
from cni_runtime.plugins.bandwidth.config import (
    BandwidthConfig,
    Limits,
    bandwidth_config,
    bandwidth_plan,
    compare,
    ifb_name,
    limits_of,
)
from cni_runtime.plugins.base import Context
from tests.unit.cni_runtime.plugins.conftest import MakeCall

BUCKET, OTHER = TokenBucket(1_000_000, 125_000, 1), TokenBucket(2_000_000, 150_000, 1)
VETH, IFB = Link("veth0", 3), AddIfb("bwp1", "02:00:00:00:00:01", 1500, "net c")
NOTHING = Qdisc("noqueue", ROOT)


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ({}, BandwidthConfig()),
        ({"ingressRate": 8, "ingressBurst": 9}, BandwidthConfig(ingress_rate=8, ingress_burst=9)),
        (
            {"runtimeConfig": {"bandwidth": {"egressRate": 8, "egressBurst": 9}}},
            BandwidthConfig(egress_rate=8, egress_burst=9),
        ),
        ({"ingressRate": 0, "runtimeConfig": {"bandwidth": {"egressRate": 8}}}, BandwidthConfig(ingress_rate=0)),
    ],
)
def test_the_configuration_wins_over_the_runtime(
    call: MakeCall, context: Context, options: dict[str, Any], config: BandwidthConfig
) -> None:
    assert bandwidth_config(call("bandwidth", **options), context) == config


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ingressRate": 8}, "ingressRate and ingressBurst go together"),
        ({"egressBurst": 8}, "egressRate and egressBurst go together"),
        ({"ingressRate": 7, "ingressBurst": 8}, "less than one byte"),
        ({"ingressRate": 8, "ingressBurst": 8 * (2**32 - 1)}, "more than 4 GB"),
        ({"ingressRate": -1}, "Expected `int` >= 0"),
        ({"ingressRate": 2**64}, "Expected `int`"),
    ],
)
def test_bad_limits(call: MakeCall, context: Context, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        bandwidth_config(call("bandwidth", **options), context)


def test_limits() -> None:
    limits = limits_of(BandwidthConfig(8_000_000, 800_000, 0, 0), 15.625)
    assert limits == Limits(ingress=TokenBucket(1_000_000, 125_000, 1_562_500))
    assert not limits_of(BandwidthConfig(0, 0), 15.625)


@pytest.mark.parametrize(
    ("limits", "effects"),
    [
        (Limits(ingress=BUCKET), [LimitSending("veth0", BUCKET)]),
        (Limits(egress=OTHER), [IFB, LimitSending("bwp1", OTHER), RedirectReceived("veth0", "bwp1")]),
        (
            Limits(BUCKET, OTHER),
            [LimitSending("veth0", BUCKET), IFB, LimitSending("bwp1", OTHER), RedirectReceived("veth0", "bwp1")],
        ),
    ],
)
def test_plan(limits: Limits, effects: list[object]) -> None:
    assert list(bandwidth_plan(limits, VETH, IFB, (NOTHING,))) == effects


@pytest.mark.parametrize(
    ("limits", "kind"),
    [(Limits(ingress=BUCKET), "tbf"), (Limits(egress=BUCKET), "ingress"), (Limits(egress=BUCKET), "clsact")],
)
def test_what_another_has_set_is_left_alone(limits: Limits, kind: str) -> None:
    with pytest.raises(CniError, match=f"veth0 has a limit or a filter of its own already .*{kind}"):
        bandwidth_plan(limits, VETH, IFB, (Qdisc(kind, INGRESS),))


def test_the_name_of_the_ifb() -> None:
    assert ifb_name("n", "c") == "bwpc97b5d9d7737"
    assert len(ifb_name("net", "c" * 64)) == 15


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ((Qdisc("tbf", ROOT, BUCKET),), ""),
        ((NOTHING,), "veth0 has no limit"),
        ((Qdisc("tbf", ROOT, OTHER),), "veth0 has the limit .*2000000.* expected .*1000000"),
    ],
)
def test_compare(found: tuple[Qdisc, ...], problem: str) -> None:
    if not problem:
        compare("veth0", BUCKET, found)
        return
    with pytest.raises(CniError, match=problem):
        compare("veth0", BUCKET, found)
