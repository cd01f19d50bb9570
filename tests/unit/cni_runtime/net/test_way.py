from __future__ import annotations

import pytest

from cni_runtime.net.sockets import NetlinkSocket
from cni_runtime.net.way import Way, way_request, way_to


@pytest.mark.parametrize(("address", "header"), [("10.1.0.2", b"\x02\x20"), ("fd00::2", b"\x0a\x80")])
def test_the_whole_address_is_asked_for(address: str, header: bytes) -> None:
    assert way_request(address).body[:2] == header


def test_the_way_to_this_machine_itself() -> None:
    with NetlinkSocket() as netlink:
        assert way_to(netlink, "127.0.0.1") == Way("lo", "127.0.0.1")
