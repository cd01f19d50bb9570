"""What statuses and lists show of a sandbox, and which sandboxes a filter message means."""

import msgspec
import pytest
from google.protobuf import text_format

from crishim.core.errors import InvalidArgumentError
from crishim.model.pod import (
    IDMapping,
    NamespaceMode,
    NamespaceOptions,
    PodConfig,
    PodMetadata,
    SandboxSecurity,
    UserNamespace,
)
from crishim.model.sandbox import Sandbox, SandboxFilter, State
from crishim.rpc.convert.sandbox import network_status, sandbox_filter, sandbox_item, sandbox_status
from crishim.rpc.convert.security import namespace_fields, namespace_options
from crishim.rpc.pb import api_pb2 as pb

SANDBOX = Sandbox(
    id="abc",
    config=PodConfig(
        PodMetadata("web", "u1", "default", 2),
        labels={"app": "web"},
        annotations={"note": "\n byte for byte "},
        security=SandboxSecurity(NamespaceOptions(network=NamespaceMode.NODE)),
    ),
    runtime_handler="crun",
    created_at=17,
    boot_id="b",
    state=State.READY,
    ips=("10.0.0.2", "fd00::2", "10.1.0.2"),
)
SHOWN = """
id: "abc" metadata { name: "web" uid: "u1" namespace: "default" attempt: 2 } created_at: 17 runtime_handler: "crun"
labels { key: "app" value: "web" } annotations { key: "note" value: "\\n byte for byte " }
"""


def test_item() -> None:
    assert pb.PodSandbox(**sandbox_item(SANDBOX)) == text_format.Parse(SHOWN, pb.PodSandbox())


def test_status() -> None:
    more = """
    network { ip: "10.0.0.2" additional_ips { ip: "fd00::2" } additional_ips { ip: "10.1.0.2" } }
    linux { namespaces { options { network: NODE } } }
    """
    assert pb.PodSandboxStatus(**sandbox_status(SANDBOX)) == text_format.Parse(SHOWN + more, pb.PodSandboxStatus())


def test_without_addresses() -> None:
    assert network_status(()) == {}


@pytest.mark.parametrize("state", State)
def test_only_a_ready_sandbox_is_ready(state: State) -> None:
    shown = sandbox_status(msgspec.structs.replace(SANDBOX, state=state))["state"]
    assert (shown == pb.SANDBOX_READY) == (state is State.READY)


def test_namespaces_round_trip() -> None:
    userns = UserNamespace(NamespaceMode.POD, (IDMapping(1, 2, 3),), (IDMapping(4, 5, 6),))
    options = NamespaceOptions(NamespaceMode.NODE, NamespaceMode.CONTAINER, NamespaceMode.POD, "t", userns)
    assert namespace_options("", pb.NamespaceOption(**namespace_fields(options))) == options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", SandboxFilter()),
        ('id: "ab"', SandboxFilter(id="ab")),
        ("state {}", SandboxFilter(ready=True)),
        ("state { state: SANDBOX_NOTREADY }", SandboxFilter(ready=False)),
        ('label_selector { key: "a" value: "b" }', SandboxFilter(labels={"a": "b"})),
    ],
)
def test_filter(text: str, expected: SandboxFilter) -> None:
    assert sandbox_filter(text_format.Parse(text, pb.PodSandboxFilter())) == expected


def test_filter_with_an_unknown_state() -> None:
    with pytest.raises(InvalidArgumentError, match=r"filter.state.state: expected SANDBOX_READY or .*; found 5"):
        sandbox_filter(text_format.Parse("state { state: 5 }", pb.PodSandboxFilter()))
