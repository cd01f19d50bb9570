"""ptp on a real kernel."""

from __future__ import annotations

import pytest

from cni_runtime.errors import PluginError
from tests.netns.plugins.conftest import Config, Pods

pytestmark = pytest.mark.anyio

PTP: Config = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "ptp",
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    },
}


async def test_pods_reach_the_host_and_each_other_at_once(pods: Pods) -> None:
    first, second = await pods.add("a", PTP), await pods.add("b", PTP)
    for position in (0, 1):
        assert pods.host.can_reach(pods.address(first, position))
        assert pods.ping("b", pods.address(first, position))
    assert [one["name"] for one in second["interfaces"]] == [pods.host_end(second), "eth0"]


async def test_an_address_can_move_to_another_pod_at_once(pods: Pods) -> None:
    for pod in ("a", "b", "c"):
        await pods.add(pod, PTP, ips=["10.1.0.9"])
        assert pods.host.can_reach("10.1.0.9"), pod
        await pods.delete(pod, PTP)
        assert not pods.host.can_reach("10.1.0.9"), pod


async def test_check(pods: Pods) -> None:
    answer = await pods.add("a", PTP)
    await pods.check("a", PTP, answer)
    pods.host.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:01", netns=pods.netns["a"])
    with pytest.raises(PluginError, match="interface eth0 has MAC 02:00:00:00:00:01, expected"):
        await pods.check("a", PTP, answer)


async def test_a_gateway_is_needed(pods: Pods) -> None:
    ipam = {"type": "static", "addresses": [{"address": "10.1.0.5/24"}]}
    with pytest.raises(PluginError, match="address without a gateway"):
        await pods.add("a", {**PTP, "ipam": ipam})


@pytest.mark.parametrize(
    ("addresses", "with_routes"),
    [
        ({"10.1.0.5/32": "169.254.1.1", "fd00:1::5/128": "fd00:9::1"}, False),
        ({"10.1.0.5/32": "169.254.1.1"}, True),
        ({"fd00:1::5/128": "fd00:9::1"}, True),
        ({"10.1.0.5/24": "192.0.2.1", "fd00:1::5/64": "fd00:9::1"}, True),
    ],
)
async def test_a_gateway_may_lie_in_no_subnet(pods: Pods, addresses: dict[str, str], *, with_routes: bool) -> None:
    listed = [{"address": address, "gateway": gateway} for address, gateway in addresses.items()]
    routes = [
        route for route in PTP["ipam"]["routes"] if any((":" in route["dst"]) == (":" in one) for one in addresses)
    ]
    config = {**PTP, "ipam": {"type": "static", "addresses": listed, "routes": routes if with_routes else []}}
    answer = await pods.add("a", config)
    for address, gateway in addresses.items():
        assert pods.ping("a", gateway)
        assert pods.host.can_reach(address.partition("/")[0])
    await pods.check("a", config, answer)
    await pods.delete("a", {**config, "prevResult": answer})
    await pods.invoker.aclose()  # does at once what would wait
    assert pods.host.links() == set()


async def test_routes_through_another_gateway_of_the_subnet(pods: Pods) -> None:
    route = {"dst": "192.0.2.0/24", "gw": "10.1.0.9"}
    ipam = {"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}], "routes": [route]}
    await pods.add("a", {**PTP, "ipam": ipam})
    (found,) = pods.host.ip("route", "show", "192.0.2.0/24", netns=pods.netns["a"])
    assert found["gateway"] == "10.1.0.9"


@pytest.mark.parametrize(
    ("addresses", "gateway"),
    [
        (("10.1.0.5/24", "10.1.0.6/24"), "10.1.0.1"),
        (("10.1.0.5/32", "10.1.0.6/32"), "169.254.1.1"),
        (("fd00:1::5/64", "fd00:1::6/64"), "fd00:1::1"),
    ],
)
async def test_two_addresses_with_one_gateway(pods: Pods, addresses: tuple[str, str], gateway: str) -> None:
    listed = [{"address": address, "gateway": gateway} for address in addresses]
    config = {**PTP, "ipMasq": True, "ipam": {"type": "static", "addresses": listed}}
    answer = await pods.add("a", config)
    assert pods.ping("a", gateway)
    assert all(pods.host.can_reach(address.partition("/")[0]) for address in addresses)
    await pods.check("a", config, answer)


async def test_two_interfaces_of_a_pod(pods: Pods) -> None:
    await pods.add("a", PTP)
    other = {**PTP, "name": "other", "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}}
    await pods.add("a", other, "net1")
    await pods.delete("a", PTP)
    assert pods.host.can_reach("10.2.0.2")
