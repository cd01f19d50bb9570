"""Results of every CNI version."""

import ipaddress
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_runtime.errors import CniError, DecodeError, VersionError
from cni_runtime.ip import not_mapped
from cni_runtime.result import DNS, Interface, IPConfig, Result, Route, decode_result, encode_result
from cni_runtime.versions import SUPPORTED

FULL = Result(
    interfaces=(
        Interface(name="cni0", mac="aa:bb:cc:dd:ee:01"),
        Interface(
            name="eth0", mac="aa:bb:cc:dd:ee:02", mtu=1450, sandbox="/run/netns/a", socket_path="/s", pci_id="0:1"
        ),
    ),
    ips=(
        IPConfig(address="10.1.0.5/16", gateway="10.1.0.1", interface=1),
        IPConfig(address="fd00::5/64", gateway="fd00::1", interface=1),
    ),
    routes=(
        Route(dst="0.0.0.0/0"),
        Route(dst="::/0", gw="fd00::1", mtu=1400, advmss=1360, priority=5, table=0, scope=0),
    ),
    dns=DNS(nameservers=("10.1.0.1",), domain="local", search=("a", "b"), options=("ndots:5",)),
)
LISTS = [version for version in SUPPORTED if version >= "0.3.0"]
FAMILIES = ["0.1.0", "0.2.0"]


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_current_versions_lose_nothing(version: str) -> None:
    encoded = encode_result(FULL, version)
    assert encoded["cniVersion"] == version
    assert decode_result(json.loads(json.dumps(encoded))) == FULL


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0"])
def test_list_versions_state_the_family_and_lose_parts_of_interfaces(version: str) -> None:
    encoded = encode_result(FULL, version)
    assert [ip["version"] for ip in encoded["ips"]] == ["4", "6"]
    interfaces = (FULL.interfaces[0], Interface(name="eth0", mac="aa:bb:cc:dd:ee:02", sandbox="/run/netns/a"))
    assert decode_result(encoded) == msgspec.structs.replace(FULL, interfaces=interfaces)


@pytest.mark.parametrize("version", FAMILIES)
def test_the_first_versions_have_one_address_per_family(version: str) -> None:
    encoded = encode_result(msgspec.structs.replace(FULL, ips=(*FULL.ips, IPConfig(address="10.9.9.9/8"))), version)
    assert encoded == {
        "cniVersion": version,
        "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
        "ip6": {"ip": "fd00::5/64", "gateway": "fd00::1", "routes": [{"dst": "::/0", "gw": "fd00::1"}]},
        "dns": {"nameservers": ["10.1.0.1"], "domain": "local", "search": ["a", "b"], "options": ["ndots:5"]},
    }


@pytest.mark.parametrize("version", FAMILIES)
def test_the_first_versions_can_be_read(version: str) -> None:
    ip4 = {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]}
    result = decode_result({"cniVersion": version, "ip4": ip4, "ip6": {"ip": "FD00:0::5/64"}, "dns": {}})
    assert [ip.address for ip in result.ips] == ["10.1.0.5/16", "fd00::5/64"]
    assert result.routes == (Route(dst="0.0.0.0/0"),)


@pytest.mark.parametrize("version", SUPPORTED)
def test_nothing_is_written_for_nothing(version: str) -> None:
    assert encode_result(Result(), version) == {"cniVersion": version}


@pytest.mark.parametrize("version", LISTS)
def test_null_stands_for_nothing(version: str) -> None:
    obj = {"cniVersion": version, "interfaces": None, "ips": [{"address": "10.0.0.1/8", "gateway": None}], "dns": None}
    assert decode_result(obj) == Result(ips=(IPConfig(address="10.0.0.1/8"),))


def test_a_result_without_a_version_is_in_the_assumed_one() -> None:
    ips = {"ips": [{"address": "10.0.0.1/8"}]}
    assert decode_result(ips) == Result()
    assert decode_result({"cniVersion": "", **ips}, assume="0.4.0").ips == (IPConfig(address="10.0.0.1/8"),)


def test_the_minus_one_of_early_plugins_means_no_interface() -> None:
    result = decode_result({"cniVersion": "0.3.0", "ips": [{"address": "10.0.0.1/8", "interface": -1}]})
    assert result.ips[0].interface is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"ips": [{"address": "10.0.0.1/8"}, {"address": 7}]}, "$.ips[1].address"),
        ({"ips": [{"address": "10.0.0.1"}]}, "$.ips[0].address"),
        ({"ips": [{"address": "10.0.0.1/255.0.0.0"}]}, "$.ips[0].address"),
        ({"ips": [{"address": "10.0.0.1/33"}]}, "$.ips[0].address"),
        ({"ips": [{"address": "fe80::1%eth0/64"}]}, "$.ips[0].address"),
        ({"ips": [{"address": "10.0.0.1/8", "gateway": "gw"}]}, "$.ips[0].gateway"),
        ({"ips": [{"address": "10.0.0.1/8", "interface": 0}]}, "$.ips[0].interface"),
        ({"ips": [{"address": "10.0.0.1/8", "interface": 10**30}]}, "$.ips[0].interface"),
        ({"ips": [{}]}, "$.ips[0]"),
        ({"ips": [None]}, "$.ips[0]"),
        ({"ips": "x"}, "$.ips"),
        ({"interfaces": [{"name": "a", "mtu": -1}]}, "$.interfaces[0].mtu"),
        ({"interfaces": [{"mac": "x"}]}, "$.interfaces[0]"),
        ({"routes": [{"dst": "default"}]}, "$.routes[0].dst"),
        ({"routes": [{"dst": "0.0.0.0/0", "gw": "1.2.3.4.5"}]}, "$.routes[0].gw"),
        ({"dns": {"search": ["a", 1]}}, "$.dns.search[1]"),
    ],
)
def test_an_error_says_where(body: dict[str, Any], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_result({"cniVersion": "1.0.0", **body})
    assert f"`{path}`" in caught.value.details


@pytest.mark.parametrize("version", ["0.5.0", "1", "x" * 1000])
def test_an_unknown_version_is_refused(version: str) -> None:
    with pytest.raises(VersionError):
        decode_result({"cniVersion": version})
    with pytest.raises(VersionError):
        encode_result(Result(), version)


def test_an_address_of_the_other_family_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"\$\.ip4\.ip"):
        decode_result({"cniVersion": "0.2.0", "ip4": {"ip": "fd00::1/64"}})


_texts = st.text(max_size=20)
_v4 = st.ip_addresses(v=4).map(str)
_v6 = st.ip_addresses(v=6).filter(lambda address: address == not_mapped(address)).map(str)
_cidrs = st.one_of(
    st.builds("{}/{}".format, _v4, st.integers(0, 32)), st.builds("{}/{}".format, _v6, st.integers(0, 128))
)
_numbers = st.integers(0, 2**32 - 1)
_interfaces = st.builds(
    Interface, name=_texts, mac=_texts, mtu=_numbers, sandbox=_texts, socket_path=_texts, pci_id=_texts
)
_routes = st.builds(
    Route,
    dst=_cidrs,
    gw=st.just("") | _v4 | _v6,
    mtu=_numbers,
    advmss=_numbers,
    priority=_numbers,
    table=st.none() | _numbers,
    scope=st.none() | _numbers,
)
_tuples = st.lists(_texts, max_size=3).map(tuple)


@st.composite
def _results(draw: st.DrawFn) -> Result:
    interfaces = tuple(draw(st.lists(_interfaces, max_size=3)))
    index = st.integers(0, len(interfaces) - 1) if interfaces else st.none()
    ips = st.builds(IPConfig, address=_cidrs, gateway=st.just("") | _v4 | _v6, interface=st.none() | index)
    return Result(
        interfaces=interfaces,
        ips=tuple(draw(st.lists(ips, max_size=3))),
        routes=tuple(draw(st.lists(_routes, max_size=3))),
        dns=draw(st.builds(DNS, nameservers=_tuples, domain=_texts, search=_tuples, options=_tuples)),
    )


@given(_results(), st.sampled_from(["1.0.0", "1.1.0"]))
def test_any_result_survives_the_current_versions(result: Result, version: str) -> None:
    assert decode_result(json.loads(json.dumps(encode_result(result, version)))) == result


@given(_results(), st.sampled_from(SUPPORTED))
def test_what_a_version_can_say_it_says_again(result: Result, version: str) -> None:
    once = encode_result(result, version)
    assert encode_result(decode_result(json.loads(json.dumps(once))), version) == once


@given(_results(), st.sampled_from(LISTS))
def test_every_list_version_keeps_addresses_and_routes(result: Result, version: str) -> None:
    again = decode_result(encode_result(result, version))
    assert (again.ips, again.routes, again.dns) == (result.ips, result.routes, result.dns)


@given(_results(), st.sampled_from(FAMILIES))
def test_the_first_address_of_each_family_is_kept(result: Result, version: str) -> None:
    first: dict[int, str] = {}
    for ip in result.ips:
        first.setdefault(ipaddress.ip_interface(ip.address).version, ip.address)
    assert [ip.address for ip in decode_result(encode_result(result, version)).ips] == [first[v] for v in sorted(first)]


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
_keys = ["interfaces", "ips", "routes", "dns", "ip4", "ip6"]


@given(st.sampled_from(SUPPORTED), st.dictionaries(st.sampled_from(_keys), _json))
def test_any_object_is_a_result_or_a_typed_error(version: str, body: dict[str, Any]) -> None:
    try:
        assert isinstance(decode_result({"cniVersion": version, **body}), Result)
    except CniError as exc:
        assert exc.code in (1, 6)  # noqa: PT017
