from __future__ import annotations

import pytest

from cni_runtime.net.way import way_request


@pytest.mark.parametrize(("address", "header"), [("10.1.0.2", b"\x02\x20"), ("fd00::2", b"\x0a\x80")])
def test_the_whole_address_is_asked_for(address: str, header: bytes) -> None:
    assert way_request(address).body[:2] == header
