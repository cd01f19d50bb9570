"""Network configurations out of JSON text, good and hostile."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cni_runtime.conf.parse import MAX_BYTES, MAX_DEPTH, parse_network_list, parse_plugin, with_plugins
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import ConfigError, ErrorCode

SOURCE = "/etc/cni/net.d/10-net.conflist"
BRIDGE = {"type": "bridge", "bridge": "cni0", "isGateway": True}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True, "mac": False}}


def _text(**changes: Any) -> str:
    body = {"cniVersion": "1.0.0", "name": "net", "plugins": [BRIDGE, PORTMAP], **changes}
    return json.dumps({key: value for key, value in body.items() if value is not ...})


def test_a_network_list() -> None:
    text = _text(disableCheck=True, disableGC="TRUE")
    network = parse_network_list(text, SOURCE)
    assert (network.name, network.cni_version, network.source, network.raw) == ("net", "1.0.0", SOURCE, text)
    assert [plugin.type for plugin in network.plugins] == ["bridge", "portmap"]
    assert network.plugins[0].raw == BRIDGE
    assert network.capabilities == {"portMappings"}
    assert network.disable_check and network.disable_gc  # noqa: PT018


def test_bytes_and_text_are_the_same() -> None:
    assert parse_network_list(_text(name="a").encode(), SOURCE) == parse_network_list(_text(name="a"), SOURCE)


def test_a_single_configuration_is_a_list_of_one() -> None:
    text = json.dumps({"cniVersion": "0.4.0", "name": "net", **BRIDGE})
    network = parse_network_list(text, SOURCE, single=True)
    assert (network.name, network.cni_version, len(network.plugins)) == ("net", "0.4.0", 1)
    assert network.plugins[0].raw["bridge"] == "cni0"
    assert parse_network_list(network.raw, SOURCE) == network


def test_plugins_of_other_files_are_part_of_the_raw_text() -> None:
    network = with_plugins(parse_network_list(_text(), SOURCE), [parse_plugin('{"type": "tuning"}', "x")])
    assert [plugin.type for plugin in network.plugins] == ["bridge", "portmap", "tuning"]
    assert parse_network_list(network.raw, SOURCE) == network


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cniVersion": ...}, "0.1.0"),
        ({"cniVersion": "0.3.1"}, "0.3.1"),
        ({"cniVersions": ["0.4.0", "1.1.0", "9.0.0"]}, "1.1.0"),
        ({"cniVersion": ..., "cniVersions": ["0.4.0"]}, "0.4.0"),
    ],
)
def test_the_version_is_the_highest_known(changes: dict[str, Any], expected: str) -> None:
    assert parse_network_list(_text(**changes), SOURCE).cni_version == expected


@pytest.mark.parametrize(
    ("changes", "path", "reason"),
    [
        ({"name": ...}, "$.name", "found nothing"),
        ({"name": 7}, "$.name", "found a number, expected a string"),
        ({"name": "../../etc"}, "$.name", "invalid network name"),
        ({"name": "a\0b"}, "$.name", "invalid network name"),
        ({"cniVersion": 1.0}, "$.cniVersion", "found a number"),
        ({"cniVersion": "0.5.0"}, "$.cniVersion", "'0.5.0', expected one of"),
        ({"cniVersions": "1.0.0"}, "$.cniVersions", "found a string, expected a list"),
        ({"cniVersions": ["1.0.0", None]}, "$.cniVersions[1]", "found null"),
        ({"plugins": ...}, "$.plugins", "found nothing, expected a list of at least one plugin"),
        ({"plugins": ..., "loadOnlyInlinedPlugins": True}, "$.plugins", "found nothing"),
        ({"plugins": []}, "$.plugins", "found an empty list"),
        ({"plugins": None}, "$.plugins", "found null"),
        ({"plugins": {"type": "bridge"}}, "$.plugins", "found an object, expected a list"),
        ({"plugins": [BRIDGE, "portmap"]}, "$.plugins[1]", "found a string, expected an object"),
        ({"plugins": [{}]}, "$.plugins[0].type", "found nothing, expected the name of a plugin"),
        ({"plugins": [{"type": True}]}, "$.plugins[0].type", "found true or false, expected a string"),
        ({"plugins": [{"type": "../../bin/sh"}]}, "$.plugins[0].type", "without a path"),
        ({"plugins": [{"type": ".."}]}, "$.plugins[0].type", "without a path"),
        ({"plugins": [{"type": "x", "capabilities": []}]}, "$.plugins[0].capabilities", "found an empty list"),
        (
            {"plugins": [{"type": "x", "capabilities": {"a\n": 1}}]},
            r"$.plugins[0].capabilities['a\n']",
            "found a number",
        ),
        ({"disableCheck": "yes"}, "$.disableCheck", "found a string, expected true or false"),
        ({"disableGC": None}, "$.disableGC", "found null"),
        ({"loadOnlyInlinedPlugins": 1}, "$.loadOnlyInlinedPlugins", "found a number"),
    ],
)
def test_an_error_names_source_path_found_and_expected(changes: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_network_list(_text(**changes), SOURCE)
    assert str(caught.value).startswith(f"{SOURCE}: {path}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"name": "\xff"}', "not JSON"),
        (b'{"name": "\\ud800"}', "not JSON"),
        (b"\0" * 100, "not JSON"),
        (b'{"mtu": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"[]", "$: found an empty list, expected an object"),
        (b"null", "$: found null, expected an object"),
        (b"[" * 500_000, "nested deeper"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "nested deeper than 64"),
        (b" " * (MAX_BYTES + 1), "larger than 1048576 bytes"),
    ],
)
@pytest.mark.parametrize("single", [True, False])
def test_hostile_bytes(data: bytes, reason: str, single: bool) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_network_list(data, SOURCE, single=single)
    assert str(caught.value).startswith(f"{SOURCE}: {reason}")
    assert caught.value.code == ErrorCode.INVALID_NETWORK_CONFIG


def test_a_single_configuration_is_not_a_list() -> None:
    with pytest.raises(ConfigError, match=r"\$\.type: found nothing"):
        parse_network_list(_text(), SOURCE, single=True)


def test_what_becomes_too_large_or_too_deep_as_a_list_is_refused_at_once() -> None:
    large = parse_plugin(json.dumps({"type": "x", "data": "x" * (MAX_BYTES - 100)}), "a")
    with pytest.raises(ConfigError, match="larger than"):
        with_plugins(parse_network_list(_text(), SOURCE), [large])
    deep = f'{{"name": "net", "type": "x", "a": {"[" * (MAX_DEPTH - 2)}{"]" * (MAX_DEPTH - 2)}}}'
    with pytest.raises(ConfigError, match="nested deeper"):
        parse_network_list(deep, SOURCE, single=True)


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
_KEYS = ["name", "cniVersion", "cniVersions", "plugins", "type", "capabilities", "disableCheck", "disableGC"]
_good_plugins = st.builds(
    lambda extra, capabilities: {**extra, "type": "bridge", "capabilities": capabilities},
    st.dictionaries(st.text(max_size=8), _json, max_size=3),
    st.dictionaries(st.text(max_size=8), st.booleans(), max_size=3),
)


def _parse_or_error(data: bytes | str, *, single: bool) -> NetworkList | None:
    try:
        return parse_network_list(data, SOURCE, single=single)
    except ConfigError as exc:
        assert SOURCE in str(exc)  # noqa: PT017
        return None


@given(st.binary(max_size=200) | st.text(max_size=200), st.booleans())
@example("\ud800", False)
@example(b"\xff\xfe", True)
def test_any_bytes_are_a_network_or_a_typed_error(data: bytes | str, single: bool) -> None:
    _parse_or_error(data, single=single)


@given(
    st.dictionaries(st.sampled_from(_KEYS), _json | st.just("net") | _good_plugins.map(lambda p: [p])), st.booleans()
)
def test_any_object_is_a_network_or_a_typed_error(obj: dict[str, Any], single: bool) -> None:
    network = _parse_or_error(json.dumps(obj), single=single)
    assert network is None or parse_network_list(network.raw, SOURCE) == network


@given(st.lists(_good_plugins, min_size=1, max_size=3))
def test_plugins_pass_through_unchanged(plugins: list[dict[str, Any]]) -> None:
    network = parse_network_list(json.dumps({"name": "net", "plugins": plugins}), SOURCE)
    assert [plugin.raw for plugin in network.plugins] == plugins
    assert network.capabilities == {key for p in plugins for key, value in p["capabilities"].items() if value}
