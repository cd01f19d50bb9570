"""Network, IPC and UTS namespaces that live without a process, pinned by bind mounts the way ``ip netns`` does it.

A namespace is made by a thread that leaves the process's own ones, prepares the new ones from within, pins
them to files and ends. Nothing else of the process ever sees them. Those that a user namespace owns are made by a
child (see ``user_namespaces``); a thread enters them and does the rest.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from cni_runtime import faults
from cni_runtime.tasks import finish
from crishim.core.errors import CrishimError, InvalidArgumentError
from crishim.core.sysctls import NamespaceKind, sysctl_namespace, sysctl_path
from crishim.drivers import syscalls, threads
from crishim.drivers.mounts import make_shared, unmount_all
from crishim.drivers.syscalls import system_call
from crishim.drivers.user_namespaces import Held, holding, write_inside
from crishim.model.pod import UserNamespace, on_node
from crishim.model.sandbox import NamespacePaths, NamespaceSpec

_CLONE = {
    NamespaceKind.NET: syscalls.CLONE_NEWNET,
    NamespaceKind.IPC: syscalls.CLONE_NEWIPC,
    NamespaceKind.UTS: syscalls.CLONE_NEWUTS,
}

_NS_GET_NSTYPE = 0xB703  # ioctl_ns(2)
_PING_GROUPS = "/proc/sys/net/ipv4/ping_group_range"
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # netdevice(7)


class PlannedSysctl(NamedTuple):
    """A kernel parameter as it was named, its value, the kind of namespace it is of, and its file."""

    name: str
    value: str
    kind: NamespaceKind
    file: str


class NamespaceDriver:
    """Makes, finds and removes pinned namespaces. Every call is finished before a cancellation of it is raised."""

    async def create(self, spec: NamespaceSpec) -> int:
        """Make and pin a namespace for each path of ``spec``; returns the inode of the network namespace, or 0.

        Raises InvalidArgumentError for a sysctl that would change the node, and SystemCallError that names the
        step which failed; then nothing is pinned. A path must not exist before; its directory is made if needed.
        """
        if spec.userns is not None:
            return await finish(_create_owned(spec, spec.userns))
        return await threads.run_alone(_create, spec)

    async def write_sysctls(self, paths: NamespacePaths, sysctls: Mapping[str, str]) -> None:
        """Write kernel parameters inside namespaces pinned before; raises as ``create`` does."""
        if sysctls:
            await threads.run_alone(_write_inside, paths, sysctls)

    async def remove(self, paths: NamespacePaths) -> None:
        """Unpin namespaces; what is not there is as good as removed.

        Tries every path and raises an ExceptionGroup of SystemCallError for those that would not go.
        """
        await threads.run(_remove, paths)

    def inode(self, path: str) -> int | None:
        """The inode of the namespace pinned at ``path``; None when there is nothing, or something else.

        Such a path is in memory.
        """
        return _inode(path)

    async def pinned(self, directory: str, prefix: str) -> list[str]:
        """The files in ``directory`` whose names begin with ``prefix``, sorted, pinned or left by a half-made pin.

        Other runtimes use the same directory: whose a file is, only the records can tell.
        """
        return await threads.run(_pinned, directory, prefix)


def pins(paths: NamespacePaths) -> dict[NamespaceKind, str]:
    """The paths that are there, by kind of namespace."""
    named = {
        NamespaceKind.USER: paths.user,
        NamespaceKind.NET: paths.net,
        NamespaceKind.IPC: paths.ipc,
        NamespaceKind.UTS: paths.uts,
    }
    return {kind: path for kind, path in named.items() if path is not None}


def plan_sysctls(paths: NamespacePaths, sysctls: Mapping[str, str]) -> list[PlannedSysctl]:
    """What is to be written where; raises InvalidArgumentError for a parameter that is not of one of ``paths``."""
    own, plan = pins(paths), []
    for name, value in sysctls.items():
        path = sysctl_path(name)
        kind = sysctl_namespace(path)
        if kind is None or kind not in own:
            raise InvalidArgumentError(f"sysctl {name!r}: belongs to no namespace of the pod's own")
        plan.append(PlannedSysctl(name, value, kind, f"/proc/sys/{'/'.join(path)}"))
    return plan


def _create(spec: NamespaceSpec) -> int:
    pinned = pins(spec.paths)
    sysctls = plan_sysctls(spec.paths, spec.sysctls)
    if not pinned:
        return 0
    with ExitStack() as undo:
        _make_directories(spec.paths)
        with system_call("unshare", " ".join(pinned)):
            syscalls.unshare(sum(_CLONE[kind] for kind in pinned))
        _prepare(spec, sysctls)
        inode = _pin_all(spec.paths, "/proc/thread-self/ns", undo)
        undo.pop_all()
    return inode


async def _create_owned(spec: NamespaceSpec, userns: UserNamespace) -> int:
    """Make namespaces that the pod's user namespace owns."""
    sysctls = plan_sysctls(spec.paths, spec.sysctls)
    kinds = [kind for kind in pins(spec.paths) if kind is not NamespaceKind.USER]
    # Only root of the user namespace may write those of IPC; all others the node's root may too.
    inside = {sysctl.file: sysctl.value for sysctl in sysctls if sysctl.kind is NamespaceKind.IPC}
    outside = [_from_outside(sysctl, userns) for sysctl in sysctls if sysctl.kind is not NamespaceKind.IPC]
    async with holding(userns, kinds) as held:
        faults.reach("namespaces.held")
        if inside:
            await write_inside(held, kinds, inside)
        return await threads.run_alone(_adopt, spec, held, outside)


def _from_outside(sysctl: PlannedSysctl, userns: UserNamespace) -> PlannedSysctl:
    """The same parameter for who is outside of the user namespace: the kernel takes ids to be those of who writes."""
    if sysctl.file != _PING_GROUPS:
        return sysctl
    numbers = [on_node(userns.gids, int(word)) for word in sysctl.value.split() if word.isdecimal()]
    if len(numbers) != 2 or None in numbers:
        raise InvalidArgumentError(f"sysctl {sysctl.name}={sysctl.value!r}: expected two groups of the user namespace")
    return sysctl._replace(value=" ".join(map(str, numbers)))


def _adopt(spec: NamespaceSpec, held: Held, sysctls: list[PlannedSysctl]) -> int:
    with ExitStack() as undo:
        _make_directories(spec.paths)
        for kind in pins(spec.paths).keys() & _CLONE:
            syscalls.enter(held.namespace(kind), _CLONE[kind])
        _prepare(spec, sysctls)
        inode = _pin_all(spec.paths, held.namespaces, undo)
        undo.pop_all()
    return inode


def _make_directories(paths: NamespacePaths) -> None:
    for path in pins(paths).values():
        directory = Path(path).parent
        with system_call("mkdir", str(directory)):
            directory.mkdir(0o755, parents=True, exist_ok=True)
    if paths.net:
        # So that a plugin's daemon, which has a mount namespace of its own, sees the pod's network namespace.
        make_shared(str(Path(paths.net).parent))


def _prepare(spec: NamespaceSpec, sysctls: list[PlannedSysctl]) -> None:
    if spec.hostname and spec.paths.uts:
        with system_call("sethostname", repr(spec.hostname)):
            syscalls.sethostname(spec.hostname)
    if spec.loopback_up and spec.paths.net:
        with system_call("set interface up", "lo"):
            _set_loopback_up()
    for sysctl in sysctls:
        _write_sysctl(sysctl)


def _set_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _write_sysctl(sysctl: PlannedSysctl) -> None:
    with system_call("write sysctl", f"{sysctl.name}={sysctl.value!r}"):
        file = os.open(sysctl.file, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(file, os.fsencode(sysctl.value))
        finally:
            os.close(file)


def _write_inside(paths: NamespacePaths, sysctls: Mapping[str, str]) -> None:
    plan = plan_sysctls(paths, sysctls)
    own = pins(paths)
    for kind in {sysctl.kind for sysctl in plan}:
        syscalls.enter(own[kind], _CLONE[kind])
    for sysctl in plan:
        _write_sysctl(sysctl)


def _pin_all(paths: NamespacePaths, namespaces: str, undo: ExitStack) -> int:
    """Pin what is in the directory ``namespaces``; the inode of the network namespace, or 0."""
    for kind, path in pins(paths).items():
        _pin(kind, f"{namespaces}/{kind}", path, undo)
    return Path(paths.net).stat().st_ino if paths.net else 0


def _pin(kind: NamespaceKind, source: str, path: str, undo: ExitStack) -> None:
    with system_call(f"create {kind} namespace file", path):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    undo.callback(_unpin, path)  # only now: a file that was there before is not ours to remove
    with system_call(f"pin {kind} namespace", path):
        syscalls.mount(source, path, "", syscalls.MS_BIND)


def _unpin(path: str) -> None:
    unmount_all(path)
    with system_call("unlink", path):
        Path(path).unlink(missing_ok=True)


def _remove(paths: NamespacePaths) -> None:
    errors: list[CrishimError] = []
    for path in pins(paths).values():
        try:
            _unpin(path)
        except CrishimError as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("namespaces not removed", errors)


def _inode(path: str) -> int | None:
    try:
        if not Path(path).is_file():  # opening a device could have an effect
            return None
        with Path(path).open("rb", buffering=0) as file:
            fcntl.ioctl(file, _NS_GET_NSTYPE)
            return os.fstat(file.fileno()).st_ino
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENOTTY):
            return None
        with system_call("inspect namespace", path):
            raise


def _pinned(directory: str, prefix: str) -> list[str]:
    with system_call("list", directory):
        try:
            return sorted(entry.path for entry in os.scandir(directory) if entry.name.startswith(prefix))
        except (FileNotFoundError, NotADirectoryError):
            return []
