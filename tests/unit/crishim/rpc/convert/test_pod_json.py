"""The JSON of a pod configuration is the message itself, so reading it back gives the same configuration."""

import msgspec
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from crishim.model.pod import (
    DNSConfig,
    GroupsPolicy,
    NamespaceOptions,
    PodConfig,
    PodMetadata,
    PortMapping,
    ProfileType,
    Protocol,
    Resources,
    SandboxSecurity,
    SecurityProfile,
    SELinuxOptions,
)
from crishim.rpc.convert.pod import pod_config
from crishim.rpc.convert.pod_json import pod_config_json
from crishim.rpc.pb import api_pb2 as pb
from tests.unit.crishim.container_configs import INT64, MODE, UINT32, USERNS

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
WORD = st.text("abz09.:-", min_size=1, max_size=8)
WORDS = st.lists(WORD, max_size=2).map(tuple)
INT32 = st.integers(-(2**31), 2**31 - 1)

NAMESPACES = st.builds(NamespaceOptions, MODE, MODE, MODE, TEXT, st.none() | USERNS)
PROFILE = st.builds(SecurityProfile, st.sampled_from(ProfileType), WORD)
SELINUX = st.builds(SELinuxOptions, TEXT, TEXT, TEXT, TEXT)
SECURITY = st.builds(
    SandboxSecurity,
    namespaces=NAMESPACES,
    selinux=st.none() | SELINUX,
    run_as_user=INT64,
    run_as_group=st.none() | INT64,
    readonly_rootfs=st.booleans(),
    supplemental_groups=st.lists(INT64, max_size=2).map(tuple),
    supplemental_groups_policy=st.sampled_from(GroupsPolicy),
    privileged=st.booleans(),
    seccomp=st.none() | PROFILE,
    apparmor=st.none() | PROFILE,
)
RESOURCES = st.builds(
    Resources,
    cpu_period=INT64,
    cpu_quota=INT64,
    cpu_shares=INT64,
    memory_limit_in_bytes=INT64,
    oom_score_adj=INT64,
    cpuset_cpus=TEXT,
    cpuset_mems=TEXT,
    hugepage_limits=st.dictionaries(TEXT, st.integers(0, 2**64 - 1), max_size=2),
    unified=st.dictionaries(TEXT, TEXT, max_size=2),
    memory_swap_limit_in_bytes=INT64,
)
CONFIGS = st.builds(
    PodConfig,
    metadata=st.builds(PodMetadata, WORD, WORD, WORD, UINT32),
    hostname=TEXT,
    log_directory=st.just("") | TEXT.map("/".__add__),
    dns=st.none() | st.builds(DNSConfig, WORDS, WORDS, WORDS),
    port_mappings=st.lists(st.builds(PortMapping, st.sampled_from(Protocol), INT32, INT32, TEXT), max_size=2).map(
        tuple
    ),
    labels=st.dictionaries(TEXT, TEXT, max_size=2),
    annotations=st.dictionaries(TEXT, TEXT, max_size=2),
    cgroup_parent=TEXT,
    security=st.just(SandboxSecurity()) | SECURITY,
    sysctls=st.dictionaries(TEXT, TEXT, max_size=2),
    overhead=st.none() | RESOURCES,
    resources=st.none() | RESOURCES,
)


@given(CONFIGS)
def test_round_trip(config: PodConfig) -> None:
    text = msgspec.json.encode(pod_config_json(config)).decode()
    assert pod_config("config", json_format.Parse(text, pb.PodSandboxConfig())) == config


POD = PodMetadata("a", "u", "n")
NAMES = {"name": "a", "uid": "u", "namespace": "n"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PodConfig(POD), {"metadata": NAMES}),
        (PodConfig(POD, security=pod_config("", pb.PodSandboxConfig(metadata=NAMES)).security), {"metadata": NAMES}),
        (PodConfig(POD, dns=DNSConfig()), {"metadata": NAMES, "dns_config": {}}),
        (
            PodConfig(replace(POD, attempt=1), security=SandboxSecurity(run_as_user=0)),
            {"metadata": {**NAMES, "attempt": 1}, "linux": {"security_context": {"run_as_user": {"value": 0}}}},
        ),
    ],
)
def test_what_is_unset_is_left_out(config: PodConfig, expected: object) -> None:
    assert pod_config_json(config) == expected
