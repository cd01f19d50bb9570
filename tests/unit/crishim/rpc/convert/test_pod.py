"""Pod configurations from the wire: what is kept, what is refused and how the refusal reads."""

from collections.abc import Callable

import pytest
from google.protobuf import text_format

from crishim.core.errors import InvalidArgumentError
from crishim.model.pod import (
    DNSConfig,
    NamespaceMode,
    PodConfig,
    PodMetadata,
    PortMapping,
    ProfileType,
    Protocol,
    SecurityProfile,
)
from crishim.rpc.convert.pod import pod_config
from crishim.rpc.pb import api_pb2 as pb

NAMED = 'metadata { name: "web" namespace: "default" uid: "u1" attempt: 3 } '


def converted(text: str) -> PodConfig:
    return pod_config("config", text_format.Merge(NAMED + text, pb.PodSandboxConfig()))


def test_metadata() -> None:
    assert converted("") == PodConfig(metadata=PodMetadata("web", "u1", "default", 3))


KEPT: list[tuple[str, Callable[[PodConfig], object], object]] = [
    ('labels { key: "a" value: " b\\n" }', lambda config: config.labels, {"a": " b\n"}),
    ('annotations { key: "" value: "" }', lambda config: config.annotations, {"": ""}),
    ("dns_config {}", lambda config: config.dns, DNSConfig()),
    ('dns_config { servers: "1.1.1.1" }', lambda config: config.dns, DNSConfig(servers=("1.1.1.1",))),
    (
        'port_mappings { protocol: SCTP container_port: 80 host_port: 8080 host_ip: "::" }',
        lambda config: config.port_mappings,
        (PortMapping(Protocol.SCTP, 80, 8080, "::"),),
    ),
    ('linux { cgroup_parent: "/k" }', lambda config: config.cgroup_parent, "/k"),
    ('linux { sysctls { key: "a.b" value: "1" } }', lambda config: config.sysctls, {"a.b": "1"}),
    ("linux { resources { cpu_shares: 2 } }", lambda config: config.resources and config.resources.cpu_shares, 2),
    ("linux {}", lambda config: config.overhead, None),
    (
        "linux { security_context { namespace_options { network: NODE } } }",
        lambda config: config.namespaces.network,
        NamespaceMode.NODE,
    ),
    (
        "linux { security_context { namespace_options { } } }",
        lambda config: config.namespaces.userns,
        None,
    ),
    ("linux { security_context { run_as_user {} } }", lambda config: config.security.run_as_user, 0),
    ("linux { security_context {} }", lambda config: config.security.run_as_user, None),
]


@pytest.mark.parametrize(("text", "part", "expected"), KEPT)
def test_kept(text: str, part: Callable[[PodConfig], object], expected: object) -> None:
    assert part(converted(text)) == expected


@pytest.mark.parametrize(
    ("text", "profile"),
    [
        ("seccomp { profile_type: Unconfined }", SecurityProfile(ProfileType.UNCONFINED)),
        ('seccomp_profile_path: "runtime/default"', SecurityProfile()),
        ('seccomp_profile_path: "unconfined"', SecurityProfile(ProfileType.UNCONFINED)),
        ('seccomp_profile_path: "localhost//p.json"', SecurityProfile(ProfileType.LOCALHOST, "/p.json")),
        (
            'seccomp { profile_type: RuntimeDefault } seccomp_profile_path: "unconfined"',
            SecurityProfile(),
        ),
        ("", None),
    ],
)
def test_seccomp_in_its_two_spellings(text: str, profile: SecurityProfile | None) -> None:
    assert converted(f"linux {{ security_context {{ {text} }} }}").security.seccomp == profile


NAMESPACES = "config.linux.security_context.namespace_options"
SECURITY = "config.linux.security_context"
REFUSED = [
    ('metadata { name: "a\\nb" }', "config.metadata.name: expected text without control characters / ; =; found"),
    ('metadata { name: "../a" }', "config.metadata.name: expected"),
    ('metadata { namespace: "a;K8S_POD_UID=1" }', "config.metadata.namespace: expected"),
    ('metadata { uid: "a=b" }', "config.metadata.uid: expected"),
    ('log_directory: "logs"', "config.log_directory: expected an absolute path; found 'logs'"),
    ('dns_config { servers: "a\\nb" }', "config.dns_config.servers[0]: expected one word; found 'a\\nb'"),
    ('dns_config { searches: "a" searches: "" }', "config.dns_config.searches[1]: expected one word; found ''"),
    ('dns_config { options: " " }', "config.dns_config.options[0]: expected one word"),
    ("port_mappings {} port_mappings { protocol: 9 }", "config.port_mappings[1].protocol: expected TCP or UDP or SCTP"),
    ("linux { security_context { namespace_options { pid: 4 } } }", f"{NAMESPACES}.pid: expected POD or CONTAINER"),
    ("linux { security_context { namespace_options { ipc: -1 } } }", f"{NAMESPACES}.ipc: expected POD or CONTAINER"),
    (
        "linux { security_context { namespace_options { userns_options { mode: TARGET } } } }",
        f"{NAMESPACES}.userns_options.mode: expected POD or NODE; found 'TARGET'",
    ),
    ("linux { security_context { run_as_group {} } }", f"{SECURITY}.run_as_group: is only possible together with"),
    (
        "linux { security_context { supplemental_groups_policy: 2 } }",
        f"{SECURITY}.supplemental_groups_policy: expected Merge or Strict; found 2",
    ),
    ("linux { security_context { seccomp { profile_type: 7 } } }", f"{SECURITY}.seccomp.profile_type: expected"),
    (
        "linux { security_context { apparmor { profile_type: Localhost } } }",
        f"{SECURITY}.apparmor.localhost_ref: must not be empty",
    ),
    ('linux { security_context { seccomp_profile_path: "localhost/" } }', f"{SECURITY}.seccomp_profile_path: expected"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        converted(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config.metadata: must be set"),
        ('metadata { namespace: "n" }', "config.metadata.name: must not be empty"),
        ('metadata { name: "n" }', "config.metadata.namespace: must not be empty"),
    ],
)
def test_a_pod_needs_a_name(text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        pod_config("config", text_format.Parse(text, pb.PodSandboxConfig()))
