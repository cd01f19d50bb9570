"""Is this node fit to run pods? Facts for people who read Status: nothing here stops the server.

Only files are looked at; no process is started and nothing is changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from crishim.core.capability_names import capability_set
from crishim.core.errors import UnavailableError, explain
from crishim.drivers import threads
from crishim.drivers.apparmor import loaded_profiles
from crishim.drivers.cgroups import CgroupMode, cgroup_mode
from crishim.drivers.mounts import Mount, parse_mountinfo
from crishim.drivers.oci.handlers import Handlers
from crishim.drivers.process.programs import find_program

_NEEDED_CAPABILITIES = ("CAP_NET_ADMIN", "CAP_SYS_ADMIN")
_IN_MEMORY = ("tmpfs", "ramfs")


class Check(Struct, frozen=True):
    """One fact: whether it is as it should be, and what was found."""

    name: str
    ok: bool
    message: str


class NeededProfile(Struct, frozen=True):
    """An AppArmor profile that containers are to have; ``problem``: why it could not be loaded."""

    name: str
    problem: str = ""


class Requirements(Struct, frozen=True):
    """What the configuration points to; ``runtimes`` are the runtime handlers with what was found of them.

    ``apparmor`` is nothing where containers have no AppArmor profiles, and ``selinux`` where they have no labels:
    else the reason why their layers have none, if they have none.
    """

    netns_dir: Path
    state_dir: Path
    conf_dirs: tuple[Path, ...] = ()
    bin_dirs: tuple[Path, ...] = ()
    runtimes: Handlers = Handlers({}, {})
    apparmor: NeededProfile | None = None
    selinux: str | None = None


async def check_node(requirements: Requirements, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> list[Check]:
    """Run every check; ``proc`` and ``sys`` are where procfs and sysfs are mounted."""
    return await threads.run(_check_node, requirements, proc, sys)


def _check_node(requirements: Requirements, proc: Path, sys: Path) -> list[Check]:
    mounts = parse_mountinfo(_read(proc / "self/mountinfo"))
    return [
        *_check_privileges(_read(proc / "self/status")),
        _check_switch("ip_forward", proc / "sys/net/ipv4/ip_forward", "pods reach nothing outside the node"),
        _check_switch(
            "bridge netfilter",
            proc / "sys/net/bridge/bridge-nf-call-iptables",
            "pods on one bridge do not reach each other through a service address",
        ),
        _check_netns_dir(requirements.netns_dir),
        _check_state_dir(requirements.state_dir, mounts),
        _check_cgroups(mounts),
        *_check_runtimes(requirements.runtimes),
        *_check_apparmor(requirements.apparmor, sys),
        *_check_selinux(requirements.selinux),
        _check_program("nft"),
        *(_check_directory("CNI conf dir", directory) for directory in requirements.conf_dirs),
        *(_check_directory("CNI bin dir", directory) for directory in requirements.bin_dirs),
    ]


def _check_privileges(status: str) -> list[Check]:
    """Read the text of ``/proc/PID/status``; see proc(5)."""
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in status.split("\n"))}
    uid = (fields.get("Uid") or ["unknown"])[-1]  # the last one is the file system uid
    held = capability_set(int((fields.get("CapEff") or ["0"])[0], 16))
    checks = [Check("root", uid == "0", f"runs as user {uid}")]
    checks += (Check(name, name in held, "held" if name in held else "missing") for name in _NEEDED_CAPABILITIES)
    return checks


def _check_switch(name: str, path: Path, consequence: str) -> Check:
    match _read(path).strip():
        case "1":
            return Check(name, True, "on")
        case "":
            return Check(name, False, f"{path} is not there: {consequence}")
        case value:
            return Check(name, False, f"{path} is {value}: {consequence}")


def _check_netns_dir(directory: Path) -> Check:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir():
        return Check("netns dir", False, f"{existing} is not a directory")
    if not os.access(existing, os.W_OK):
        return Check("netns dir", False, f"{existing} is not writable")
    return Check("netns dir", True, f"{directory} is there" if existing == directory else f"{directory} can be made")


def _check_state_dir(directory: Path, mounts: Sequence[Mount]) -> Check:
    filesystems = {mount.point: mount.filesystem for mount in mounts}
    real = directory.resolve()
    # Below a changed root the directory may lie in no mount that is shown.
    found = next((filesystems[str(path)] for path in (real, *real.parents) if str(path) in filesystems), "")
    if found in _IN_MEMORY:
        return Check("state directory", True, f"{directory} is in memory")
    where = f"is on {found}, not in memory" if found else "is on an unknown file system, maybe not in memory"
    return Check("state directory", False, f"{directory} {where}: everything waits for its disk")


def _check_cgroups(mounts: Sequence[Mount]) -> Check:
    mode = cgroup_mode(mounts)
    return Check("cgroups", mode is not CgroupMode.ABSENT, str(mode))


def _check_runtimes(runtimes: Handlers) -> Iterator[Check]:
    """Each configured handler; the default one, which has no name, is one of them."""
    found = {name: Check(f"runtime {name}", True, str(handler.program)) for name, handler in runtimes.usable.items()}
    found |= {name: Check(f"runtime {name}", False, problem) for name, problem in runtimes.problems.items()}
    return (found[name] for name in sorted(found) if name)


def _check_apparmor(profile: NeededProfile | None, sys: Path) -> Iterator[Check]:
    """Profiles can be loaded and taken away at any time, so what was found at the start is only a reason."""
    if profile is None:
        return
    if profile.name in loaded_profiles(sys):
        yield Check("AppArmor profile", True, f"{profile.name} is loaded")
    else:
        why = profile.problem or "it was taken away"
        message = f"{profile.name} is not loaded, containers run without or are refused: {why}"
        yield Check("AppArmor profile", False, message)


def _check_selinux(problem: str | None) -> Iterator[Check]:
    if problem:
        yield Check("SELinux labels", False, f"containers may not be let run what is in their images: {problem}")
    elif problem is not None:
        yield Check("SELinux labels", True, "layers of images have theirs")


def _check_program(name: str) -> Check:
    try:
        return Check(name, True, str(find_program(name)))
    except UnavailableError as error:
        return Check(name, False, explain(error))


def _check_directory(name: str, directory: Path) -> Check:
    ok = directory.is_dir()
    return Check(name, ok, f"{directory} is there" if ok else f"{directory} is not a directory")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
