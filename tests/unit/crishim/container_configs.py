"""Container configurations for property tests: any that can come over the wire, few parts of them far from sensible."""

from typing import Any

from hypothesis import strategies as st

from crishim.model.container import (
    Capabilities,
    ContainerConfig,
    ContainerMetadata,
    ContainerSecurity,
    Device,
    ImageSpec,
    Mount,
    MountPropagation,
)
from crishim.model.pod import (
    GroupsPolicy,
    IDMapping,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    Resources,
    SecurityProfile,
    SELinuxOptions,
    UserNamespace,
)


def _has_one_user(security: ContainerSecurity) -> bool:
    users = (security.run_as_user is not None) + bool(security.run_as_username)
    return users == 1 or (users == 0 and security.run_as_group is None)


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A configuration has many parts: with half of each odd, hardly one would be sensible as a whole."""
    return st.integers(0, 19).flatmap(lambda number: usual if number else odd)


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
NAME = st.text("abz09.-", min_size=1, max_size=6)
VALUE = mostly(NAME.map(str.encode), st.binary(max_size=4))
PATH = mostly(st.text("ab./", min_size=1, max_size=6).map("/x".__add__), TEXT)
TEXTS = st.lists(mostly(NAME, TEXT), max_size=2).map(tuple)
MAP = st.dictionaries(TEXT, TEXT, max_size=2)
INT64 = st.integers(-(2**63), 2**63 - 1)
NUMBER = mostly(st.integers(0, 3), INT64)
UINT32 = st.integers(0, 2**32 - 1)
MODE = st.sampled_from(NamespaceMode)
CAPABILITY = mostly(st.sampled_from(["ALL", "NET_ADMIN", "CAP_CHOWN", "sys_admin"]), TEXT)

IMAGE = st.builds(ImageSpec, NAME, MAP, TEXT, TEXT, TEXT)
EXTENTS = st.lists(st.builds(IDMapping, UINT32, UINT32, UINT32), max_size=2).map(tuple)
USERNS = st.builds(UserNamespace, st.sampled_from([NamespaceMode.POD, NamespaceMode.NODE]), EXTENTS, EXTENTS)
PROFILE = st.builds(SecurityProfile, st.sampled_from(ProfileType), NAME | NAME.map("/".__add__))
MOUNT = st.builds(
    Mount,
    container_path=PATH,
    host_path=PATH,
    readonly=st.booleans(),
    selinux_relabel=st.booleans(),
    propagation=st.sampled_from(MountPropagation),
    uid_mappings=EXTENTS,
    gid_mappings=EXTENTS,
    recursive_read_only=mostly(st.just(value=False), st.booleans()),
    image=mostly(st.none(), IMAGE),
    image_sub_path=TEXT,
    mount_options=st.lists(mostly(st.just("noexec"), TEXT), max_size=2).map(tuple),
)
RESOURCES = st.builds(
    Resources,
    cpu_period=NUMBER,
    cpu_quota=NUMBER,
    cpu_shares=NUMBER,
    memory_limit_in_bytes=NUMBER,
    oom_score_adj=mostly(st.integers(-1000, 1000), INT64),
    cpuset_cpus=mostly(st.just("0-3,7"), TEXT),
    cpuset_mems=mostly(st.just("0"), TEXT),
    hugepage_limits=st.dictionaries(mostly(st.just("2MB"), TEXT), st.integers(0, 2**64 - 1), max_size=2),
    unified=st.dictionaries(mostly(st.just("memory.high"), TEXT), TEXT, max_size=2),
    memory_swap_limit_in_bytes=NUMBER,
)
SECURITY = st.builds(
    ContainerSecurity,
    capabilities=st.builds(Capabilities, *3 * [st.lists(CAPABILITY, max_size=2).map(tuple)]),
    privileged=st.booleans(),
    namespaces=st.builds(NamespaceOptions, MODE, MODE, MODE, NAME, mostly(st.none(), USERNS)),
    selinux=st.none() | st.builds(SELinuxOptions, TEXT, TEXT, TEXT, TEXT),
    run_as_user=st.none() | NUMBER,
    run_as_group=st.none() | NUMBER,
    run_as_username=mostly(st.just(""), TEXT),
    readonly_rootfs=st.booleans(),
    supplemental_groups=st.lists(NUMBER, max_size=2).map(tuple),
    supplemental_groups_policy=st.sampled_from(GroupsPolicy),
    no_new_privs=st.booleans(),
    masked_paths=st.lists(PATH, max_size=2).map(tuple),
    readonly_paths=st.lists(PATH, max_size=2).map(tuple),
    seccomp=st.none() | PROFILE,
    apparmor=st.none() | PROFILE,
).filter(_has_one_user)
CONFIGS = st.builds(
    ContainerConfig,
    metadata=st.builds(ContainerMetadata, NAME, UINT32),
    image=IMAGE,
    command=TEXTS,
    args=TEXTS,
    working_dir=PATH,
    envs=st.lists(st.tuples(mostly(NAME, TEXT), mostly(NAME.map(str.encode), st.binary(max_size=4))), max_size=2).map(
        tuple
    ),
    mounts=st.lists(MOUNT, max_size=2).map(tuple),
    devices=st.lists(st.builds(Device, PATH, PATH, mostly(st.text("rwm", max_size=3), TEXT)), max_size=2).map(tuple),
    cdi_devices=st.lists(mostly(st.just("vendor/class=a"), TEXT), max_size=2).map(tuple),
    labels=MAP,
    annotations=MAP,
    log_path=mostly(NAME, TEXT),
    stdin=st.booleans(),
    stdin_once=st.booleans(),
    tty=st.booleans(),
    stop_signal=st.integers(0, 65),
    resources=st.just(Resources()) | RESOURCES,
    security=st.just(ContainerSecurity()) | SECURITY,
)
