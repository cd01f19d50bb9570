from __future__ import annotations

import pytest

from cni_runtime.errors import ConfigError
from cni_runtime.plugins.portmap.conditions import translate


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((), ""),
        (("",), ""),
        (("ip saddr 1.2.3.4",), "ip saddr 1.2.3.4"),
        (("ip", "saddr", "{ 1.2.3.4, 5.6.7.8 }"), "ip saddr { 1.2.3.4, 5.6.7.8 }"),
        (("-s", "1.2.3.0/24"), "ip saddr 1.2.3.0/24"),
        (("!", "-d", "1.2.3.4"), "ip daddr != 1.2.3.4"),
        (("--source", "1.2.3.4,1.2.3.5", "!", "-i", "eth0"), 'ip saddr { 1.2.3.4, 1.2.3.5 } iifname != "eth0"'),
        (("-i", "eth+"), 'iifname "eth*"'),
        (("-p", "tcp", "-m", "tcp", "--sport", "1024:2048"), "meta l4proto tcp th sport 1024-2048"),
        (("-m", "addrtype", "!", "--src-type", "LOCAL"), "fib saddr type != local"),
        (("-m", "mark", "--mark", "0x1/0xff"), "meta mark and 0xff == 0x1"),
        (("-m", "mark", "!", "--mark", "7"), "meta mark != 7"),
        (("-m", "comment", "--comment", "some words; and more", "-s", "1.2.3.4"), "ip saddr 1.2.3.4"),
    ],
)
def test_conditions_become_nfts_own(conditions: tuple[str, ...], expected: str) -> None:
    assert translate(conditions, 4) == expected


def test_the_family_decides_on_the_header() -> None:
    assert translate(("-s", "fd00::/8"), 6) == "ip6 saddr fd00::/8"


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (("-m", "recent", "--rcheck"), "-m recent cannot be translated"),
        (("-o", "eth0"), "-o eth0 cannot be translated"),
        (("-s",), "expected a value for '-s'"),
        (("-s", "1.2.3.4; drop"), "expected a value for '-s'"),
        (("ip saddr 1.2.3.4 accept; drop",), "more than a condition"),
        (("ip saddr 1.2.3.4\naccept",), "more than a condition"),
    ],
)
def test_what_is_no_condition_is_refused(conditions: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        translate(conditions, 4)
