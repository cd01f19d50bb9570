from __future__ import annotations

import logging

import pytest
from msgspec import Struct
from msgspec.structs import replace

from cni_runtime.errors import CniError, ConfigError
from cni_runtime.plugins.base import (
    Context,
    argument,
    cni_arguments,
    decode,
    decode_ipam,
    decode_some_ipam,
    dns_or,
    netns_of,
    pod_interface,
    require_previous,
    result_part,
    runtime_config,
    valid_attachments,
)
from cni_runtime.plugins.delegate import IpamConfig, ipam_of
from cni_runtime.result import DNS, Result, Route
from tests.unit.cni_runtime.plugins.conftest import MakeCall


class Options(Struct, frozen=True, rename="camel"):
    is_gateway: bool = False
    mtu: int = 0


def test_options_are_known_in_any_case_and_null_is_not_said(call: MakeCall, context: Context) -> None:
    assert decode(call("x", isgateway=True, MTU=None), Options, context) == Options(True)


class Nested(Struct, frozen=True, rename="camel"):
    ports: tuple[tuple[Options, ...], ...] = ()
    port: Options | None = None
    other: dict[str, int] = {}


def test_options_inside_others_are_known_in_any_case_too(call: MakeCall, context: Context) -> None:
    given = call("x", Ports=[[{"ISGATEWAY": True, "foo": 1}], [{"MTU": None}]], port={"Mtu": 5}, other={"MTU": 7})
    assert decode(given, Nested, context) == Nested(((Options(True),), (Options(),)), Options(mtu=5), {"MTU": 7})
    assert decode_ipam(call("x", IPAM={"MTU": 5}), Options, context) == Options(mtu=5)
    assert result_part(given, routes=[{"DST": "10.0.0.0/8", "Gw": "10.0.0.1"}]).routes == (
        Route(dst="10.0.0.0/8", gw="10.0.0.1"),
    )


def test_options_that_every_plugin_has_are_known_in_any_case_too(call: MakeCall) -> None:
    given = call("x", DNS={"domain": "a"}, Args={"CNI": {"mtu": 5}}, RuntimeConfig={"mtu": 6})
    assert dns_or(given, DNS()) == DNS(domain="a")
    assert (cni_arguments(given, Options).mtu, runtime_config(given, Options).mtu) == (5, 6)


def test_of_two_spellings_the_last_one_that_says_something_counts(call: MakeCall, context: Context) -> None:
    twice = call("x", ipam={"type": "a", "mtu": 1}, IPAM={"type": "b", "mtu": 2}, Ipam=None)
    assert ipam_of(twice) == IpamConfig("b")
    assert decode_some_ipam(twice, Options) == Options(mtu=2)


def test_an_unknown_option_is_named_once(call: MakeCall, context: Context, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            decode(call("x", isGatway=True, dns={}, ipam={}, runtimeConfig={}), Options, context)
    assert [record.getMessage() for record in caplog.records] == [
        "network net: plugin x does not know the option 'isGatway' and ignores it"
    ]


@pytest.mark.parametrize("value", ["1500", True, 1.5, [], {}])
def test_a_wrong_type_is_named_with_its_path(call: MakeCall, context: Context, value: object) -> None:
    with pytest.raises(ConfigError, match=r"network net, plugin x: Expected `int`.*\$\.mtu"):
        decode(call("x", mtu=value), Options, context)


@pytest.mark.parametrize("ipam", [None, [], "host-local"])
def test_an_ipam_plugin_needs_its_object(call: MakeCall, context: Context, ipam: object) -> None:
    with pytest.raises(ConfigError, match=r"\$\.ipam"):
        decode_ipam(call("x", ipam=ipam), Options, context)


def test_capability_arguments_that_are_no_object_count_as_none(call: MakeCall) -> None:
    assert runtime_config(call("x", runtimeConfig=[]), Options) == Options()


def test_an_argument_by_its_name(call: MakeCall) -> None:
    assert argument(call("x", cni_args={"ip": "10.0.0.1"}), "IP") == "10.0.0.1"
    assert argument(call("x"), "IP") == ""
    twice = replace(call("x"), args=(("IP", "10.0.0.1"), ("IP", "10.0.0.2")))
    assert argument(twice, "IP") == "10.0.0.2"


def test_own_dns_wins_over_that_of_ipam(call: MakeCall) -> None:
    ipam = DNS(nameservers=("10.0.0.2",))
    assert dns_or(call("x", dns={"domain": "a"}), ipam) == DNS(domain="a")
    assert dns_or(call("x"), ipam) == ipam
    with pytest.raises(ConfigError):
        dns_or(call("x", dns={"search": 1}), ipam)


def test_gc_without_a_list_of_attachments_does_nothing(call: MakeCall) -> None:
    listed = call("x", **{"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}]})
    assert valid_attachments(listed) == {("a", "eth0")}
    assert valid_attachments(call("x", **{"cni.dev/valid-attachments": None})) == frozenset()
    with pytest.raises(ConfigError, match=r"without cni\.dev/valid-attachments"):
        valid_attachments(call("x"))


@pytest.mark.parametrize("version", ["", None])
def test_a_result_is_in_the_first_version_when_nothing_else_is_said(call: MakeCall, version: str | None) -> None:
    previous = require_previous(call("x", cniVersion=version, prevResult={"ip4": {"ip": "10.1.0.2/24"}}))
    assert [ip.address for ip in previous.ips] == ["10.1.0.2/24"]


def test_a_previous_result_that_is_missing(call: MakeCall) -> None:
    with pytest.raises(ConfigError, match=r"network net, plugin .*: expected a prevResult"):
        require_previous(call("x"))


def test_the_interface_of_the_pod_is_the_one_in_its_namespace(call: MakeCall) -> None:
    listed = [{"name": "eth0", "sandbox": sandbox, "mac": mac} for sandbox, mac in (("", "02:01"), ("/pod", "02:02"))]
    asked = replace(call("x", prevResult={"cniVersion": "1.0.0", "interfaces": listed}), netns="/pod")
    assert pod_interface(asked, require_previous(asked)).mac == "02:02"
    with pytest.raises(ConfigError, match=r"network net, plugin x: prevResult does not have .* eth0 in /pod"):
        pod_interface(asked, Result())


def test_a_namespace_that_is_missing(call: MakeCall) -> None:
    with pytest.raises(CniError, match=r"network net, plugin x: expected the container's network namespace"):
        netns_of(replace(call("x"), netns=""))
