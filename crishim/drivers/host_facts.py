"""What the node can do for containers, and which devices it has. Reads files only; nothing is changed."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from crishim.core.capability_names import CAPABILITIES, capability_set
from crishim.core.errors import SystemCallError
from crishim.drivers import threads
from crishim.drivers.apparmor import loaded_profiles
from crishim.drivers.cgroups import CgroupDriver, CgroupMode, detect
from crishim.drivers.devices import DeviceNode, node_devices

_log = structlog.get_logger()

# Those that the kernel takes from whoever mounts it last in the first cgroup namespace; see cgroup-v2 there.
_CGROUP2_OPTIONS = {
    "favordynmods",
    "memory_hugetlb_accounting",
    "memory_localevents",
    "memory_recursiveprot",
    "nsdelegate",
    "pids_localevents",
}
_MOUNT_SETATTR = (5, 12)  # the Linux that has it, see mount_setattr(2)


class HostFacts(Struct, frozen=True, kw_only=True):
    """What the node can do.

    ``selinux``: it has SELinux; ``selinux_labels``: and containers are to have its labels. ``capabilities`` are those
    of the server's bounding set, as ``CAP_`` names. ``apparmor``: it has AppArmor, and containers are to have profiles.
    ``apparmor_profiles`` are the loaded ones. ``recursive_read_only``, ``id_mapped_mounts`` and ``systemd_cgroup``
    depend on the OCI runtime too: whoever knows the handler takes them back where that cannot do it. ``swap`` and
    ``hugetlb``: the cgroups have that controller. ``cgroup2_options`` are those of the node's own mount that another
    mount of it would reset. ``oom_score_adj_min`` is the lowest value the server may set. ``open_files`` are the soft
    and the hard limit of open files that containers get, where they are not to have the server's: whoever raises that
    sets them. ``devices`` are the node's devices, for privileged containers.
    """

    cgroup_mode: CgroupMode
    systemd_cgroup: bool = False
    capabilities: frozenset[str] = frozenset(CAPABILITIES)
    apparmor: bool = False
    apparmor_profiles: frozenset[str] = frozenset()
    selinux: bool = False
    selinux_labels: bool = False
    seccomp: bool = True
    recursive_read_only: bool = False
    id_mapped_mounts: bool = False
    hugetlb: bool = True
    swap: bool = True
    cgroup2_options: tuple[str, ...] = ()
    oom_score_adj_min: int = -1000
    open_files: tuple[int, int] | None = None
    architecture: str = "x86_64"
    devices: tuple[DeviceNode, ...] = ()


async def gather(
    *,
    systemd_configured: bool = False,
    restrict_oom_score_adj: bool = False,
    enable_selinux: bool = False,
    disable_apparmor: bool = False,
) -> HostFacts:
    """Find out what this node can do.

    ``restrict_oom_score_adj``: never go below the server's own value, even where the kernel would allow it.
    ``enable_selinux``: containers are to have labels where the node has SELinux.
    ``disable_apparmor``: no container has a profile, as on a node without AppArmor.
    Raises SystemCallError when what every Linux has cannot be read.
    """
    cgroups = await detect(systemd_configured)
    systemd = cgroups.driver is CgroupDriver.SYSTEMD
    facts = await threads.run(
        _gather,
        cgroups.mode,
        systemd=systemd,
        restrict_oom_score_adj=restrict_oom_score_adj,
        enable_selinux=enable_selinux,
        disable_apparmor=disable_apparmor,
        root=Path("/"),
    )
    if facts.oom_score_adj_min > -1000:
        _log.warning("host.oom_score_adj_restricted", minimum=facts.oom_score_adj_min)
    return facts


async def refreshed(facts: HostFacts) -> HostFacts:
    """``facts`` with what changes while the server runs: the node's devices and its loaded AppArmor profiles."""
    return await threads.run(_refreshed, facts, Path("/"))


def _refreshed(facts: HostFacts, root: Path) -> HostFacts:
    profiles = loaded_profiles(root / "sys") if facts.apparmor else frozenset()
    return replace(facts, devices=node_devices(str(root / "dev")), apparmor_profiles=profiles)


def _gather(
    mode: CgroupMode,
    *,
    systemd: bool,
    restrict_oom_score_adj: bool,
    enable_selinux: bool,
    disable_apparmor: bool,
    root: Path,
) -> HostFacts:
    status = dict(_fields(_read(root / "proc/self/status")))
    # What the server starts may hold all of the bounding set, but nothing more.
    capabilities = capability_set(int(status.get("CapBnd", "0"), 16))
    unlimited = "CAP_SYS_RESOURCE" in capabilities and not restrict_oom_score_adj
    selinux = (root / "sys/fs/selinux/enforce").exists()
    mount_attributes = _kernel(root) >= _MOUNT_SETATTR  # OCI runtimes do not say whether the kernel can
    apparmor = not disable_apparmor and _read(root / "sys/module/apparmor/parameters/enabled").strip() == "Y"
    return HostFacts(
        cgroup_mode=mode,
        systemd_cgroup=systemd,
        capabilities=capabilities,
        apparmor=apparmor,
        apparmor_profiles=loaded_profiles(root / "sys") if apparmor else frozenset(),
        selinux=selinux,
        selinux_labels=selinux and enable_selinux,
        seccomp="Seccomp" in status,
        recursive_read_only=mount_attributes,
        id_mapped_mounts=mount_attributes,
        hugetlb=_has_hugetlb(mode, root),
        swap=_has_swap(mode, root),
        cgroup2_options=_cgroup2_options(_read(root / "proc/self/mountinfo")),
        # Without the capability a process may return to the least value it ever had, which the kernel does not
        # show. Its present value is never less.
        oom_score_adj_min=-1000 if unlimited else _oom_score_adj(root),
        architecture=platform.machine(),
        devices=node_devices(str(root / "dev")),
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.partition(":")
        yield name, value.strip()


def _kernel(root: Path) -> tuple[int, ...]:
    """The first two numbers of the version of Linux; empty when it is not told."""
    found = re.match(r"(\d+)\.(\d+)", _read(root / "proc/sys/kernel/osrelease"))
    return tuple(map(int, found.groups())) if found else ()


def _has_hugetlb(mode: CgroupMode, root: Path) -> bool:
    cgroups = root / "sys/fs/cgroup"
    if mode is CgroupMode.V2:
        return "hugetlb" in _read(cgroups / "cgroup.controllers").split()
    return (cgroups / "hugetlb/tasks").exists()


def _has_swap(mode: CgroupMode, root: Path) -> bool:
    cgroups = root / "sys/fs/cgroup"
    if mode is not CgroupMode.V2:
        return (cgroups / "memory/memory.memsw.limit_in_bytes").exists()
    return any(cgroups.glob("*/memory.swap.max"))  # the root group has no such file


def _cgroup2_options(mountinfo: str) -> tuple[str, ...]:
    for line in mountinfo.splitlines():
        _, _, after = line.partition(" - ")
        kind, *_, options = after.split(" ") if after else ("", "")
        if kind == "cgroup2":
            return tuple(sorted(_CGROUP2_OPTIONS & set(options.split(","))))
    return ()


def _oom_score_adj(root: Path) -> int:
    text = _read(root / "proc/self/oom_score_adj").strip()
    try:
        return int(text)
    except ValueError:
        raise SystemCallError(f"read /proc/self/oom_score_adj: expected a number, found {text!r}") from None


def _read(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""
