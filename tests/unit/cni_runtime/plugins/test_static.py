from __future__ import annotations

from typing import Any

import pytest

from cni_runtime.errors import CniError, ConfigError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.static import Static, static_result
from tests.unit.cni_runtime.plugins.conftest import MakeCall

IPAM = {"addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}], "dns": {"domain": "a"}}


OWN = ("10.1.0.5/24", "10.1.0.1")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [OWN]),
        ({"cni_args": {"IP": "10.2.0.5/24"}}, [OWN, ("10.2.0.5/24", "")]),
        (
            {"cni_args": {"IP": "10.2.0.5/24,fd00::5/64", "GATEWAY": "10.2.0.1, fd00::1"}},
            [OWN, ("10.2.0.5/24", "10.2.0.1"), ("fd00::5/64", "fd00::1")],
        ),
        ({"args": {"cni": {"ips": ["10.4.0.5/24"]}}}, [("10.4.0.5/24", "")]),
        ({"args": {"cni": {"ips": ["10.4.0.5/24"]}}, "runtimeConfig": {"ips": ["fd00::5/64"]}}, [("fd00::5/64", "")]),
    ],
)
def test_whose_addresses_win(
    call: MakeCall, context: Context, more: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    result = static_result(call("static", ipam=IPAM, **more), context)
    assert [(ip.address, ip.gateway) for ip in result.ips] == expected
    assert result.dns.domain == "a"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ipam": {"addresses": [{"address": "10.1.0.5"}]}}, "CIDR"),
        ({"ipam": {"addresses": [{}]}}, "address"),
        ({"ipam": IPAM, "runtimeConfig": {"ips": ["10.1.0.5"]}}, "CIDR"),
        ({"ipam": {"addresses": [{"address": "10.1.0.5/24"}] * 2}, "cniVersion": "0.2.0"}, "more than one address"),
    ],
)
def test_what_cannot_be(call: MakeCall, context: Context, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        static_result(call("static", **options), context)


@pytest.mark.anyio
async def test_check_compares_gateways(call: MakeCall, context: Context) -> None:
    def previous(gateway: str) -> dict[str, Any]:
        return {"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.5/24", "gateway": gateway}]}

    await Static().check(call("static", ipam=IPAM, prevResult=previous("10.1.0.1")), context)
    with pytest.raises(CniError, match=r"has gateway 10\.1\.0\.9"):
        await Static().check(call("static", ipam=IPAM, prevResult=previous("10.1.0.9")), context)
