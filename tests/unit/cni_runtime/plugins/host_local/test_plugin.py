from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.host_local.config import host_local_config
from cni_runtime.plugins.host_local.plugin import Figures, HostLocal
from cni_runtime.plugins.host_local.resolv import parse_resolv_conf
from cni_runtime.result import DNS
from tests.unit.cni_runtime.plugins.conftest import MakeCall

pytestmark = pytest.mark.anyio

TINY = {"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.3"}


@pytest.fixture
def plugin() -> HostLocal:
    return HostLocal()


def of(call: PluginCall, container: str) -> PluginCall:
    return structs.replace(call, container_id=container)


async def test_an_address_of_each_set_with_routes(call: MakeCall, context: Context, plugin: HostLocal) -> None:
    ipam = {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    result = await plugin.add(call("host-local", ipam=ipam), context)
    assert [(ip.address, ip.gateway) for ip in result.ips] == [("10.1.0.2/24", "10.1.0.1"), ("fd00::2/64", "fd00::1")]
    assert [route.dst for route in result.routes] == ["0.0.0.0/0"]


async def test_addresses_go_round(call: MakeCall, context: Context, plugin: HostLocal) -> None:
    one = call("host-local", ipam=TINY)
    given: list[str] = []
    for container in "abc":
        given += [ip.address for ip in (await plugin.add(of(one, container), context)).ips]
        await plugin.delete(of(one, container), context)
    assert given == ["10.1.0.2/24", "10.1.0.3/24", "10.1.0.2/24"]


async def test_exhaustion_names_range_and_count(call: MakeCall, context: Context, plugin: HostLocal) -> None:
    one = call("host-local", ipam=TINY)
    for container in "ab":
        await plugin.add(of(one, container), context)
    assert await plugin.figures(one, context) == (Figures("10.1.0.1-10.1.0.3", 2, 0),)
    with pytest.raises(CniError, match=r"range set 0 \(10\.1\.0\.1-10\.1\.0\.3\): all 2 are reserved") as caught:
        await plugin.add(of(one, "c"), context)
    assert caught.value.nothing_done


async def test_a_set_that_is_exhausted_leaves_the_others_alone(
    call: MakeCall, context: Context, plugin: HostLocal
) -> None:
    two = call("host-local", ipam={"ranges": [[{"subnet": "10.2.0.0/24"}], [TINY]]})
    await plugin.add(call("host-local", ipam={"ranges": [[{"subnet": "10.2.0.0/24"}], [TINY]]}), context)
    await plugin.add(of(two, "b"), context)
    with pytest.raises(CniError, match="range set 1"):
        await plugin.add(of(two, "d"), context)
    assert (await plugin.figures(two, context))[0].free == 253 - 2


async def test_a_second_add_is_refused_and_changes_nothing(call: MakeCall, context: Context, plugin: HostLocal) -> None:
    one = call("host-local", ipam=TINY)
    await plugin.add(one, context)
    with pytest.raises(CniError, match="allocated to container c already"):
        await plugin.add(one, context)
    await plugin.check(one, context)


@pytest.mark.parametrize(
    "asked",
    [
        {"runtimeConfig": {"ips": ["10.1.0.3"]}},
        {"args": {"cni": {"ips": ["10.1.0.3/24"]}}},
        {"cni_args": {"IP": "10.1.0.3"}},
    ],
)
async def test_an_address_can_be_asked_for(
    call: MakeCall, context: Context, plugin: HostLocal, asked: dict[str, Any]
) -> None:
    one = call("host-local", ipam=TINY, **asked)
    assert (await plugin.add(one, context)).ips[0].address == "10.1.0.3/24"
    with pytest.raises(CniError, match=r"10\.1\.0\.3 is reserved by container c"):
        await plugin.add(of(one, "other"), context)


@pytest.mark.parametrize(
    ("address", "message"), [("10.1.0.1", "is the gateway"), ("10.9.0.1", "in no range: 10.9.0.1")]
)
async def test_addresses_that_cannot_be_given(
    call: MakeCall, context: Context, plugin: HostLocal, address: str, message: str
) -> None:
    one = call("host-local", ipam=TINY, runtimeConfig={"ips": [address]})
    with pytest.raises(CniError, match=message):
        await plugin.add(one, context)
    assert (await plugin.figures(one, context))[0].free == 2


async def test_check_and_gc(call: MakeCall, context: Context, plugin: HostLocal) -> None:
    one = call("host-local", ipam=TINY)
    with pytest.raises(CniError, match="no address of container c"):
        await plugin.check(one, context)
    await plugin.add(one, context)
    await plugin.check(one, context)
    await plugin.gc(call("host-local", verb=Verb.GC, ipam=TINY, **{"cni.dev/valid-attachments": []}), context)
    assert (await plugin.figures(one, context))[0].free == 2


async def test_delete_of_what_never_was_makes_no_directory(call: MakeCall, context: Context, plugin: HostLocal) -> None:
    await plugin.delete(call("host-local", ipam=TINY), context)
    assert not context.data.exists()


async def test_where_the_files_are(call: MakeCall, context: Context, plugin: HostLocal, tmp_path: Path) -> None:
    await plugin.add(call("host-local", ipam={**TINY, "dataDir": str(tmp_path / "mine")}), context)
    assert (tmp_path / "mine" / "net" / "10.1.0.2").exists()


async def test_dns_out_of_a_file(call: MakeCall, context: Context, plugin: HostLocal, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 10.0.0.1\n")
    result = await plugin.add(call("host-local", ipam={**TINY, "resolvConf": str(tmp_path / "resolv.conf")}), context)
    assert result.dns == DNS(nameservers=("10.0.0.1",))


def test_sets_of_the_runtime_come_first_then_the_old_form(call: MakeCall, context: Context) -> None:
    ranges = {"ranges": [[{"subnet": "10.3.0.0/24"}]]}
    runtime = {"ipRanges": [[{"subnet": "10.2.0.0/24"}]]}
    config = host_local_config(call("host-local", ipam={**TINY, **ranges}, runtimeConfig=runtime), context)
    assert [str(ranges[0].subnet) for ranges in config.sets] == ["10.2.0.0/24", "10.1.0.0/24", "10.3.0.0/24"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ipam": {}}, "no IP ranges"),
        ({"ipam": {"subnet": 5}}, r"Expected `str`.*\$\.subnet"),
        ({"ipam": {"ranges": [{}]}}, r"\$\.ranges\[0\]"),
        ({"ipam": TINY, "name": "../../etc"}, "invalid network name"),
        ({"ipam": TINY, "runtimeConfig": {"ips": ["x"]}}, "requested address"),
        ({"ipam": {**TINY, "routes": [{"dst": "x"}]}}, r"routes\[0\]\.dst"),
        ({"ipam": {"ranges": [[TINY], [{"subnet": "10.2.0.0/24"}]]}, "cniVersion": "0.2.0"}, "more than one address"),
    ],
)
def test_configurations_that_cannot_be(call: MakeCall, context: Context, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        host_local_config(call("host-local", **options), context)


def test_a_version_that_knows_one_address_of_a_family(call: MakeCall, context: Context) -> None:
    ipam = {"ranges": [[TINY], [{"subnet": "10.2.0.0/24"}]]}
    with pytest.raises(ConfigError, match=r"^network net, plugin host-local: CNI version 0\.2\.0 does not know"):
        host_local_config(call("host-local", ipam=ipam, cniVersion="0.2.0"), context)


def test_resolv_conf() -> None:
    text = (
        "# c\n; c\nnameserver 10.0.0.1 x\nnameserver\ndomain a b\nsearch a b\noptions ndots:5\noptions rotate\nfoo bar"
    )
    expected = DNS(nameservers=("10.0.0.1",), domain="a", search=("a", "b"), options=("ndots:5", "rotate"))
    assert parse_resolv_conf(text) == expected
