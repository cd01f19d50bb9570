"""Container configurations for property tests: any that can come over the wire, most of them far from sensible."""

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
    IDMapping,
    NamespaceMode,
    NamespaceOptions,
    Resources,
    SecurityProfile,
    SELinuxOptions,
    UserNamespace,
)


def _has_one_user(security: ContainerSecurity) -> bool:
    users = (security.run_as_user is not None) + bool(security.run_as_username)
    return users == 1 or (users == 0 and security.run_as_group is None)


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
NAME = st.text("abz09.-", min_size=1, max_size=6)
PATH = st.text("ab./", max_size=6).map("/".__add__) | TEXT
TEXTS = st.lists(TEXT, max_size=2).map(tuple)
MAP = st.dictionaries(TEXT, TEXT, max_size=2)
INT64 = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-2, 3) | INT64
UINT32 = st.integers(0, 2**32 - 1)
MODE = st.sampled_from(NamespaceMode)
CAPABILITY = st.sampled_from(["ALL", "NET_ADMIN", "CAP_CHOWN", "sys_admin"]) | TEXT

IMAGE = st.builds(ImageSpec, NAME, MAP, TEXT, TEXT, TEXT)
EXTENTS = st.lists(st.builds(IDMapping, UINT32, UINT32, UINT32), max_size=2).map(tuple)
USERNS = st.builds(UserNamespace, st.sampled_from([NamespaceMode.POD, NamespaceMode.NODE]), EXTENTS, EXTENTS)
PROFILE = st.builds(SecurityProfile, st.integers(0, 2), NAME | NAME.map("/".__add__))
MOUNT = st.builds(
    Mount,
    container_path=PATH,
    host_path=PATH,
    readonly=st.booleans(),
    selinux_relabel=st.booleans(),
    propagation=st.sampled_from(MountPropagation),
    uid_mappings=EXTENTS,
    gid_mappings=EXTENTS,
    recursive_read_only=st.booleans(),
    image=st.none() | IMAGE,
    image_sub_path=PATH,
    mount_options=st.lists(st.just("noexec") | TEXT, max_size=2).map(tuple),
)
RESOURCES = st.builds(
    Resources,
    cpu_period=SMALL,
    cpu_quota=SMALL,
    cpu_shares=SMALL,
    memory_limit_in_bytes=SMALL,
    oom_score_adj=st.integers(-1001, 1001),
    cpuset_cpus=st.text("0-3,", max_size=5) | TEXT,
    cpuset_mems=TEXT,
    hugepage_limits=st.dictionaries(st.just("2MB") | TEXT, st.integers(0, 2**64 - 1), max_size=2),
    unified=st.dictionaries(st.just("memory.high") | TEXT, TEXT, max_size=2),
    memory_swap_limit_in_bytes=SMALL,
)
SECURITY = st.builds(
    ContainerSecurity,
    capabilities=st.builds(Capabilities, *3 * [st.lists(CAPABILITY, max_size=2).map(tuple)]),
    privileged=st.booleans(),
    namespaces=st.builds(NamespaceOptions, MODE, MODE, MODE, TEXT, st.none() | USERNS),
    selinux=st.none() | st.builds(SELinuxOptions, TEXT, TEXT, TEXT, TEXT),
    run_as_user=st.none() | SMALL,
    run_as_group=st.none() | SMALL,
    run_as_username=TEXT,
    readonly_rootfs=st.booleans(),
    supplemental_groups=st.lists(SMALL, max_size=2).map(tuple),
    supplemental_groups_policy=st.integers(0, 1),
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
    envs=st.lists(st.tuples(TEXT, TEXT.map(str.encode) | st.binary(max_size=4)), max_size=2).map(tuple),
    mounts=st.lists(MOUNT, max_size=2).map(tuple),
    devices=st.lists(st.builds(Device, PATH, PATH, st.text("rwm", max_size=3) | TEXT), max_size=2).map(tuple),
    cdi_devices=st.lists(st.just("vendor/class=a") | TEXT, max_size=2).map(tuple),
    labels=MAP,
    annotations=MAP,
    log_path=PATH,
    stdin=st.booleans(),
    stdin_once=st.booleans(),
    tty=st.booleans(),
    stop_signal=st.integers(0, 65),
    resources=st.just(Resources()) | RESOURCES,
    security=st.just(ContainerSecurity()) | SECURITY,
)
