"""Names that reach plugins, file names and the kernel."""

from collections.abc import Callable

import pytest

from cni_runtime import names
from cni_runtime.errors import CniError, ConfigError, ErrorCode

HOSTILE = ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b", "a\nb", "-a", "a b", "ü", "a\n", "\ud800"]


@pytest.mark.parametrize("name", ["a", "0", "a.b", "a_b-c", "A1" * 100])
def test_good_names_pass(name: str) -> None:
    assert names.network_name(name) == names.container_id(name) == name


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("check", [names.network_name, names.container_id])
def test_bad_names_are_refused(check: Callable[[str], str], name: str) -> None:
    with pytest.raises(CniError) as caught:
        check(name)
    assert caught.value.code in (ErrorCode.INVALID_NETWORK_CONFIG, ErrorCode.INVALID_ENVIRONMENT, 3)


def test_a_missing_container_id_has_its_own_code() -> None:
    with pytest.raises(CniError) as caught:
        names.container_id("")
    assert caught.value.code == ErrorCode.UNKNOWN_CONTAINER


@pytest.mark.parametrize("name", ["bridge", "host-local", "my.plugin", "Ünïcode", "a" * 255, "...", "with space"])
def test_a_plugin_type_is_a_file_name(name: str) -> None:
    assert names.plugin_type(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/bin/sh", "..\\x", "a\0", "a\nb", "a" * 256, "ü" * 128, "\ud800"]
)
def test_a_plugin_type_with_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="plugin type"):
        names.plugin_type(name)


@pytest.mark.parametrize("name", ["eth0", "a" * 15, "eth0.100", "veth@x", "ü"])
def test_good_interface_names_pass(name: str) -> None:
    assert names.interface_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a" * 16, "ü" * 8, "a/b", "a:b", "a b", "a\u00a0b", "a\0", "\ud800"])
def test_bad_interface_names_are_refused(name: str) -> None:
    with pytest.raises(CniError) as caught:
        names.interface_name(name)
    assert caught.value.code == ErrorCode.INVALID_ENVIRONMENT


@pytest.mark.parametrize("pair", [("", "v"), ("k;", "v"), ("k", "v;IgnoreUnknown=1"), ("k", "a=b"), ("k", "\0")])
def test_arguments_that_would_become_others_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(CniError, match="CNI_ARGS"):
        names.generic_args([pair])


def test_good_arguments_pass() -> None:
    assert names.generic_args([("K8S_POD_NAME", "web-0"), ("EMPTY", "")]) == (("K8S_POD_NAME", "web-0"), ("EMPTY", ""))


@pytest.mark.parametrize("text", ["02:00:5e:00:53:0A", "02-00-5E-00-53-0a", "0200.5e00.530A"])
def test_a_mac_address_in_the_forms_that_are_common(text: str) -> None:
    assert names.mac_address(text) == "02:00:5e:00:53:0a"


@pytest.mark.parametrize(
    "text", ["", "02:00:5e:00:53", "2:0:5e:0:53:a", "0200.5e00", "0200.5e00.530a.0000", "0200 5e00 530a"]
)
def test_what_is_no_mac_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="MAC"):
        names.mac_address(text)
