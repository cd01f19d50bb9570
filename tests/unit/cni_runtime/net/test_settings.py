from __future__ import annotations

import msgspec
import pytest

from cni_runtime.net.inspect import Link
from cni_runtime.net.settings import Settings, set_settings, settings_of

LINK = Link("eth0", 2, mac="02:00:00:00:00:01", mtu=1500, promiscuous=True, all_multicast=True, queue_length=1000)


@pytest.mark.parametrize(
    ("wanted", "before"),
    [
        (Settings(mac="02:00:00:00:00:02"), Settings(mac=LINK.mac)),
        (Settings(promisc=True, mtu=9000), Settings(promisc=True, mtu=1500)),
        (Settings(allmulti=False, queue_length=0), Settings(allmulti=True, queue_length=1000)),
        (Settings(), Settings()),
    ],
)
def test_only_what_will_change_is_kept(wanted: Settings, before: Settings) -> None:
    assert settings_of(LINK, wanted) == before


def test_the_file_has_the_reference_plugins_names() -> None:
    full = Settings(mac="aa", promisc=False, mtu=1500, allmulti=True, queue_length=0)
    assert list(msgspec.to_builtins(full).items()) == [
        ("mac", "aa"),
        ("promisc", False),
        ("mtu", 1500),
        ("allmulti", True),
        ("txQLen", 0),
    ]
    assert msgspec.to_builtins(Settings()) == {}


def test_one_request_for_each_setting() -> None:
    full = Settings(mac="02:00:00:00:00:02", promisc=False, mtu=1400, allmulti=True, queue_length=0)
    assert len(set_settings(2, full)) == 5
    assert set_settings(2, Settings()) == []
