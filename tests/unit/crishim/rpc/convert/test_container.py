"""Container configurations and filters from the wire: what is kept, what is refused and how the refusal reads."""

from collections.abc import Callable

import pytest
from google.protobuf import text_format

from crishim.core.errors import InvalidArgumentError
from crishim.model.container import (
    Capabilities,
    ContainerConfig,
    ContainerFilter,
    ContainerMetadata,
    ContainerSecurity,
    Device,
    ImageSpec,
    Mount,
    MountPropagation,
    State,
)
from crishim.model.pod import GroupsPolicy, IDMapping, NamespaceMode, ProfileType, Resources, SecurityProfile
from crishim.rpc.convert.container import container_config, container_filter
from crishim.rpc.pb import api_pb2 as pb

NAMED = 'metadata { name: "web" attempt: 2 } image { image: "sha256:1" } '


def converted(text: str) -> ContainerConfig:
    return container_config("config", text_format.Merge(NAMED + text, pb.ContainerConfig()))


def test_the_least() -> None:
    assert converted("") == ContainerConfig(ContainerMetadata("web", 2), ImageSpec("sha256:1"))


KEPT: list[tuple[str, Callable[[ContainerConfig], object], object]] = [
    ('image { user_specified_image: "web:1" }', lambda config: config.image.user_specified_image, "web:1"),
    ('command: "a" command: ""', lambda config: config.command, ("a", "")),
    ('envs { key: "A" value: "\\377" } envs { key: "A" }', lambda config: config.envs, (("A", b"\xff"), ("A", b""))),
    (
        'devices { host_path: "/dev/a" container_path: "/dev/b" permissions: "r" }',
        lambda config: config.devices,
        (Device("/dev/b", "/dev/a", "r"),),
    ),
    ('CDI_devices { name: "v/c=d" }', lambda config: config.cdi_devices, ("v/c=d",)),
    ("stop_signal: SIGNAL_SIGQUIT", lambda config: config.stop_signal, 18),
    ("linux { resources { cpu_shares: 2 } }", lambda config: config.resources, Resources(cpu_shares=2)),
    ("linux {}", lambda config: config.security, ContainerSecurity()),
    (
        'mounts { container_path: "/a" host_path: "/b" readonly: true recursive_read_only: true '
        'uidMappings { host_id: 1 length: 2 } mount_options: "noexec" propagation: PROPAGATION_BIDIRECTIONAL }',
        lambda config: config.mounts,
        (
            Mount(
                "/a",
                "/b",
                readonly=True,
                recursive_read_only=True,
                uid_mappings=(IDMapping(1, 0, 2),),
                mount_options=("noexec",),
                propagation=MountPropagation.BIDIRECTIONAL,
            ),
        ),
    ),
    (
        'mounts { container_path: "/a" image { image: "i" image_ref: "i@d" } image_sub_path: "s" }',
        lambda config: config.mounts,
        (Mount("/a", image=ImageSpec("i", image_ref="i@d"), image_sub_path="s"),),
    ),
]


@pytest.mark.parametrize(("text", "part", "expected"), KEPT)
def test_kept(text: str, part: Callable[[ContainerConfig], object], expected: object) -> None:
    assert part(converted(text)) == expected


SECURITY_KEPT: list[tuple[str, ContainerSecurity]] = [
    ("run_as_user {}", ContainerSecurity(run_as_user=0)),
    ('run_as_username: "a" run_as_group {}', ContainerSecurity(run_as_username="a", run_as_group=0)),
    ("supplemental_groups_policy: Strict", ContainerSecurity(supplemental_groups_policy=GroupsPolicy.STRICT)),
    (
        'capabilities { add_capabilities: "A" drop_capabilities: "B" add_ambient_capabilities: "C" }',
        ContainerSecurity(capabilities=Capabilities(("A",), ("B",), ("C",))),
    ),
    ('apparmor_profile: "localhost/p"', ContainerSecurity(apparmor=SecurityProfile(ProfileType.LOCALHOST, "p"))),
    (
        'apparmor_profile: "p" apparmor { profile_type: Unconfined }',
        ContainerSecurity(apparmor=SecurityProfile(ProfileType.UNCONFINED)),
    ),
    (
        'seccomp_profile_path: "runtime/default"',
        ContainerSecurity(seccomp=SecurityProfile()),
    ),
]


@pytest.mark.parametrize(("text", "expected"), SECURITY_KEPT)
def test_security_kept(text: str, expected: ContainerSecurity) -> None:
    assert converted(f"linux {{ security_context {{ {text} }} }}").security == expected


def test_namespaces() -> None:
    options = converted('linux { security_context { namespace_options { pid: TARGET target_id: "t" } } }')
    assert options.security.namespaces.pid is NamespaceMode.TARGET
    assert options.security.namespaces.target_id == "t"


SECURITY = "config.linux.security_context"
REFUSED = [
    ('metadata { name: "a/b" }', "config.metadata.name: expected text without control characters /; found 'a/b'"),
    ("mounts {} mounts { propagation: 3 }", "config.mounts[1].propagation: expected PRIVATE or HOST_TO_CONTAINER"),
    ("mounts { image {} }", "config.mounts[0].image.image: must not be empty"),
    ("stop_signal: 66", "config.stop_signal: expected SIGNAL_RUNTIME_DEFAULT or "),
    (
        'linux { security_context { run_as_user {} run_as_username: "a" } }',
        f"{SECURITY}.run_as_username: is not possible together with run_as_user",
    ),
    ("linux { security_context { seccomp { profile_type: 3 } } }", f"{SECURITY}.seccomp.profile_type: expected"),
    ('linux { security_context { apparmor_profile: "p" } }', f"{SECURITY}.apparmor_profile: expected runtime/default"),
    ("linux { security_context { namespace_options { pid: 4 } } }", f"{SECURITY}.namespace_options.pid: expected"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        converted(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('image { image: "i" }', "config.metadata: must be set"),
        ('metadata {} image { image: "i" }', "config.metadata.name: must not be empty"),
        ('metadata { name: "n" }', "config.image.image: must not be empty"),
    ],
)
def test_a_container_needs_a_name_and_an_image(text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        container_config("config", text_format.Parse(text, pb.ContainerConfig()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ContainerFilter()),
        ('id: "ab" pod_sandbox_id: "cd"', ContainerFilter(id="ab", sandbox_id="cd")),
        ("state {}", ContainerFilter(state=State.CREATED)),
        ("state { state: CONTAINER_EXITED }", ContainerFilter(state=State.EXITED)),
        ("state { state: CONTAINER_UNKNOWN }", ContainerFilter(state=State.CREATING)),
        ('label_selector { key: "a" value: "b" }', ContainerFilter(labels={"a": "b"})),
    ],
)
def test_filter(text: str, expected: ContainerFilter) -> None:
    assert container_filter(text_format.Parse(text, pb.ContainerFilter())) == expected


def test_filter_with_an_unknown_state() -> None:
    with pytest.raises(InvalidArgumentError, match=r"filter.state.state: expected CONTAINER_CREATED or .*; found 7"):
        container_filter(text_format.Parse("state { state: 7 }", pb.ContainerFilter()))
