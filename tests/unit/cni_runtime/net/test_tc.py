from __future__ import annotations

import pytest

from cni_runtime.net import pyroute, tc
from cni_runtime.net.rtnl import Rtm
from cni_runtime.net.tc import ROOT, TokenBucket, token_bucket

TICKS = 15.625


@pytest.mark.parametrize(
    ("rate", "burst", "bucket"),
    [
        (8_000_000, 800_000, TokenBucket(1_000_000, 125_000, 1_562_500)),
        (8_000, 80_000, TokenBucket(1_000, 10_025, 156_250_000)),
        (8 * 2**33, 8_000_000, TokenBucket(2**33, 215_748_364, 1_812)),
        # What has no place in 32 bits wraps around, with other programs too.
        (1_000_000, 2**32 - 1, TokenBucket(125_000, 536_874_036, 2_684_354_435)),
        (8_000, 2**32 - 1, TokenBucket(1_000, 536_870_936, 2_684_338_935)),
    ],
)
def test_token_bucket(rate: int, burst: int, bucket: TokenBucket) -> None:
    assert token_bucket(rate, burst, 0.025, TICKS) == bucket


@pytest.mark.parametrize("rate", [1_000_000, 2**33])
def test_a_bucket_survives_the_way_to_the_kernel(rate: int) -> None:
    bucket = TokenBucket(rate, 5, 7)
    request = tc.add_token_bucket(3, bucket)
    message = pyroute.decode_traffic_control(request.body)
    assert request.type == Rtm.NEWQDISC
    assert (message["index"], message["parent"], message["handle"]) == (3, ROOT, 0x10000)
    assert tc._qdisc(message) == tc.Qdisc("tbf", ROOT, bucket)


def test_a_redirect_steals_every_packet() -> None:
    message = pyroute.decode_traffic_control(tc.add_redirect(3, 9).body)
    path = ("TCA_OPTIONS", "TCA_U32_ACT", "TCA_ACT_PRIO_1", "TCA_ACT_OPTIONS", "TCA_MIRRED_PARMS")
    found = pyroute.attribute(message, *path)
    assert (found["ifindex"], found["eaction"], found["action"]) == (9, 1, 4)
    assert (message["index"], message["parent"], message["info"]) == (3, 0xFFFF0000, 0x10300)


def test_an_attribute_that_is_not_there() -> None:
    message = pyroute.decode_traffic_control(tc.add_ingress(3).body)
    assert pyroute.attribute(message, "TCA_KIND") == "ingress"
    assert pyroute.attribute(message, "TCA_OPTIONS", "TCA_TBF_PARMS") is None
