"""CNI_* variables out of a call."""

from pathlib import Path

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import CniError, ErrorCode
from cni_runtime.invoke.env import plugin_environment

_CALL = PluginCall(
    verb=Verb.ADD,
    type="bridge",
    config={},
    container_id="c1",
    netns="/run/netns/pod",
    ifname="eth0",
    args=(("IgnoreUnknown", "1"), ("K8S_POD_NAME", "web")),
    path=(Path("/opt/cni/bin"), Path("/usr/lib/cni")),
)


def test_every_parameter_has_its_variable() -> None:
    assert plugin_environment(_CALL, {"PATH": "/bin"}) == {
        "PATH": "/bin",
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/pod",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web",
        "CNI_PATH": "/opt/cni/bin:/usr/lib/cni",
    }


def test_what_has_no_value_is_empty_but_set() -> None:
    env = plugin_environment(PluginCall(verb=Verb.STATUS, type="bridge", config={}), {})
    assert {name for name, value in env.items() if not value} == {
        "CNI_CONTAINERID",
        "CNI_NETNS",
        "CNI_IFNAME",
        "CNI_ARGS",
        "CNI_PATH",
    }


def test_only_well_known_variables_are_inherited() -> None:
    ours = {"PATH": "/bin", "LC_ALL": "C", "https_proxy": "p", "NOTIFY_SOCKET": "/n", "TOKEN": "t", "CNI_ARGS": "old"}
    env = plugin_environment(_CALL, ours)
    assert (env["LC_ALL"], env["https_proxy"]) == ("C", "p")
    assert env.keys().isdisjoint({"NOTIFY_SOCKET", "TOKEN"})
    assert env["CNI_ARGS"] == "IgnoreUnknown=1;K8S_POD_NAME=web"


def test_there_is_a_path_in_any_case() -> None:
    assert "/usr/sbin" in plugin_environment(_CALL, {})["PATH"].split(":")


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_a_value_that_cannot_be_passed_is_refused(value: str) -> None:
    with pytest.raises(CniError, match="CNI_CONTAINERID") as caught:
        plugin_environment(PluginCall(verb=Verb.ADD, type="x", config={}, container_id=value), {})
    assert caught.value.code == ErrorCode.INVALID_ENVIRONMENT
