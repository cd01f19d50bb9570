"""What an executable plugin answers to what it is told, as far as no kernel is needed."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.standalone import answer, plugin_call
from cni_runtime.versions import SUPPORTED

ATTACHMENT = {"CNI_CONTAINERID": "c", "CNI_NETNS": "/run/netns/gone", "CNI_IFNAME": "eth0"}
CONFIG = {"cniVersion": "1.1.0", "name": "net", "type": "static", "ipam": {"type": "static", "addresses": []}}


def ask(verb: str, stdin: bytes | dict[str, Any] = b"{}", **environ: str) -> tuple[int, Any]:
    data = json.dumps(stdin).encode() if isinstance(stdin, dict) else stdin
    status, output = answer("static", {"CNI_COMMAND": verb, **environ}, lambda: data)
    return status, json.loads(output) if output else None


@pytest.mark.parametrize("stdin", [{"cniVersion": "0.4.0"}, {"cniVersion": "99.0.0"}, b"", b"no json"])
def test_version_is_always_answered(stdin: bytes | dict[str, Any]) -> None:
    status, reply = ask("VERSION", stdin)
    assert (status, reply["supportedVersions"]) == (0, list(SUPPORTED))
    assert reply["cniVersion"] == (stdin["cniVersion"] if isinstance(stdin, dict) else "1.1.0")


@pytest.mark.parametrize(
    ("verb", "environ", "named"),
    [
        ("", {}, "CNI_COMMAND"),
        ("add", {}, "'add'"),
        ("ADD", {}, "CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS"),
        ("CHECK", {"CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0"}, "CNI_NETNS"),
        ("DEL", {"CNI_CONTAINERID": "c"}, "CNI_IFNAME"),
        ("ADD", {**ATTACHMENT, "CNI_CONTAINERID": "a/b"}, "container ID"),
        ("ADD", {**ATTACHMENT, "CNI_IFNAME": "a b"}, "interface name"),
        ("ADD", {**ATTACHMENT, "CNI_ARGS": "K"}, "CNI_ARGS"),
        ("ADD", {**ATTACHMENT, "CNI_ARGS": "=V"}, "CNI_ARGS"),
        ("DEL", {**ATTACHMENT, "CNI_NETNS": "/proc/self/ns/net"}, "namespace of the host"),
    ],
)
def test_a_wrong_environment_is_error_4(verb: str, environ: dict[str, str], named: str) -> None:
    status, error = ask(verb, CONFIG, **environ)
    assert (status, error["code"]) == (1, 4)
    assert named in error["msg"]


@pytest.mark.parametrize(
    ("stdin", "code"),
    [
        (b"", 6),
        (b"[]", 6),
        (b"[" * 100_000, 6),
        ({**CONFIG, "cniVersion": "99.0.0"}, 1),
        ({**CONFIG, "cniVersion": "1.0.0"}, 1),
        ({**CONFIG, "name": ""}, 7),
        ({**CONFIG, "name": None}, 7),
        ({**CONFIG, "name": 5}, 7),
    ],
)
def test_a_wrong_configuration_has_its_code(stdin: bytes | dict[str, Any], code: int) -> None:
    status, error = ask("STATUS", stdin)
    assert (status, error["code"]) == (1, code)


def test_the_error_has_the_version_of_the_configuration() -> None:
    assert ask("GC", {**CONFIG, "cniVersion": "0.4.0"})[1]["cniVersion"] == "0.4.0"


def test_an_unknown_plugin_type_is_no_executable_in_the_path() -> None:
    status, output = answer("nothing", {"CNI_COMMAND": "STATUS"}, lambda: json.dumps(CONFIG).encode())
    error = json.loads(output)
    assert (status, error["code"]) == (1, 50)
    assert error["msg"].startswith("executable not found")


def test_the_call_has_everything() -> None:
    environ = {**ATTACHMENT, "CNI_ARGS": "K8S_POD_UID=;IgnoreUnknown=1;IP=10.1.0.5", "CNI_PATH": "/a::/b"}
    assert plugin_call("static", Verb.ADD, CONFIG, environ) == PluginCall(
        verb=Verb.ADD,
        type="static",
        config=CONFIG,
        container_id="c",
        netns="/run/netns/gone",
        ifname="eth0",
        args=(("K8S_POD_UID", ""), ("IgnoreUnknown", "1"), ("IP", "10.1.0.5")),
        path=(Path("/a"), Path("/b")),
    )


def test_the_own_namespace_can_be_allowed() -> None:
    environ = {**ATTACHMENT, "CNI_NETNS": f"/proc/{os.getpid()}/ns/net", "CNI_NETNS_OVERRIDE": "1"}
    assert plugin_call("static", Verb.ADD, CONFIG, environ).netns == environ["CNI_NETNS"]
