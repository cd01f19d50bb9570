"""The configuration as a whole."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from crishim.container.spec.build import build_spec
from crishim.container.spec.inputs import HostFacts, SpecInputs
from crishim.container.spec.user import resolve_user
from crishim.container.validate import check_config
from crishim.core.errors import InvalidArgumentError
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.devices import DeviceNode
from crishim.model.container import ContainerConfig, Mount, MountPropagation
from crishim.model.pod import NamespaceMode, NamespaceOptions, ProfileType, Resources, SecurityProfile, SELinuxOptions
from crishim.model.sandbox import Sandbox
from tests.unit.crishim.container.spec.parts import HOST, inputs, pod, pod_with, secured
from tests.unit.crishim.container_configs import CONFIGS

NODE_PIDS = pod_with(namespaces=NamespaceOptions(pid=NamespaceMode.NODE))
ABLE = replace(HOST, recursive_read_only=True, id_mapped_mounts=True, selinux_labels=True, apparmor=True)


def test_the_least() -> None:
    spec = build_spec(inputs())
    assert spec["ociVersion"] == "1.0.2"
    assert spec["root"] == {"path": "/root", "readonly": False}
    assert spec.keys() == {"ociVersion", "process", "root", "mounts", "annotations", "linux"}
    assert spec["linux"].keys() == {
        *("namespaces", "cgroupsPath", "resources", "devices", "maskedPaths", "readonlyPaths"),
    }


def test_the_most() -> None:
    config = replace(
        secured(
            readonly_rootfs=True,
            seccomp=SecurityProfile(),
            selinux=SELinuxOptions(),
            apparmor=SecurityProfile(ProfileType.LOCALHOST, "p"),
        ),
        mounts=(Mount("/a", "/b", propagation=MountPropagation.BIDIRECTIONAL),),
        resources=Resources(cpu_shares=2),
        tty=True,
    )
    host = replace(ABLE, apparmor_profiles=frozenset({"p"}))
    spec = build_spec(inputs(config, host=host))
    assert spec["root"]["readonly"] is True
    assert (spec["process"]["apparmorProfile"], spec["process"]["terminal"]) == ("p", True)
    assert spec["process"]["selinuxLabel"].startswith("system_u:system_r:container_t:s0:")
    assert spec["linux"]["mountLabel"].startswith("system_u:object_r:container_file_t:s0:")
    assert spec["linux"]["rootfsPropagation"] == "rshared"
    assert spec["linux"]["resources"]["cpu"] == {"shares": 2}
    assert spec["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"


def test_limits_are_those_in_force() -> None:
    made = inputs(replace(secured(), resources=Resources(cpu_shares=2)))
    updated = replace(made, container=replace(made.container, resources=Resources(cpu_shares=5)))
    assert build_spec(updated)["linux"]["resources"]["cpu"] == {"shares": 5}


def test_a_privileged_container_needs_a_privileged_pod() -> None:
    with pytest.raises(InvalidArgumentError, match=r"security_context.privileged: is only possible in a pod whose"):
        check_config(secured(privileged=True), pod(), HOST)
    check_config(secured(privileged=True), pod_with(privileged=True), HOST)


# One example of what each part refuses: that check_config runs it. The rest is in the tests of the parts.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"command": ("\0",)}, "config.command"),
    ({"envs": (("", b""),)}, "config.envs"),
    ({"mounts": (Mount(""),)}, "config.mounts"),
    ({"cdi_devices": ("x",)}, "config.CDI_devices"),
    ({"stop_signal": 99}, "config.stop_signal"),
    ({"resources": Resources(cpu_shares=-1)}, "config.linux.resources.cpu_shares"),
    ({"resources": Resources(oom_score_adj=9999)}, "config.linux.resources.oom_score_adj"),
    ({"security": secured(run_as_user=-1).security}, "config.linux.security_context.run_as_user"),
    ({"security": secured(masked_paths=("x",)).security}, "config.linux.security_context.masked_paths"),
    (
        {"security": secured(namespaces=NamespaceOptions(pid=NamespaceMode.NODE)).security},
        "config.linux.security_context.namespace_options.pid",
    ),
    (
        {"security": secured(seccomp=SecurityProfile(ProfileType.LOCALHOST, "x")).security},
        "config.linux.security_context.seccomp",
    ),
    (
        {"security": secured(apparmor=SecurityProfile(ProfileType.LOCALHOST, "x")).security},
        "config.linux.security_context.apparmor",
    ),
    (
        {"security": secured(selinux=SELinuxOptions(user="\0")).security},
        "config.linux.security_context.selinux_options.user",
    ),
]


@pytest.mark.parametrize(("more", "field"), REFUSED)
def test_check_config_names_the_field(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_config(replace(secured(), **more), pod(), HOST)
    assert str(caught.value).startswith(field)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    config=CONFIGS,
    mode=st.sampled_from([CgroupMode.V1, CgroupMode.V2]),
    sandbox=st.sampled_from(
        [pod(), pod_with(privileged=True), pod_with(namespaces=NamespaceOptions(pid=NamespaceMode.NODE))]
    ),
)
def test_any_request_is_honoured_or_refused(config: ContainerConfig, mode: CgroupMode, sandbox: Sandbox) -> None:
    host = replace(ABLE, cgroup_mode=mode)
    try:
        check_config(config, sandbox, host)
        spec = build_spec(made(config, sandbox, host))
    except InvalidArgumentError as error:
        refusal = str(error)
    else:
        refusal = "config."
        assert b"\\u0000" not in msgspec.json.encode(spec["process"])
    assert refusal.startswith("config.")


def made(config: ContainerConfig, sandbox: Sandbox, host: HostFacts) -> SpecInputs:
    return inputs(
        config,
        sandbox=sandbox,
        host=host,
        user=resolve_user(config, {}, "", ""),
        pid_namespace="/proc/7/ns/pid",
        seccomp_profile={},
        devices={each.host_path: (DeviceNode(each.host_path, "c", 1, 2),) for each in config.devices},
        image_mounts={mount.container_path: "/images/1" for mount in config.mounts},
    )
