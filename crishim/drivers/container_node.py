"""What containers get of the node: files of images, volumes, mounted images, devices."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from crishim.core.errors import InvalidArgumentError, SystemCallError
from crishim.drivers import syscalls, threads
from crishim.drivers.cdi import ContainerEdits, cdi_edits
from crishim.drivers.devices import DeviceNode, stat_device
from crishim.drivers.host_facts import HostFacts, refreshed
from crishim.drivers.overlay import OverlayDriver
from crishim.drivers.process.command import run
from crishim.drivers.process.programs import program_path
from crishim.drivers.propagation import Propagation, propagations_of
from crishim.drivers.rooted import read_in_root
from crishim.drivers.selinux import knows_label, relabel
from crishim.drivers.syscalls import system_call
from crishim.model.sandbox import IdMap


class ContainerNode:
    """Answers the container domain's questions to the node. Raises SystemCallError when the kernel refuses."""

    def __init__(self, overlay: OverlayDriver) -> None:
        self._overlay = overlay

    async def read_in_root(self, root: str, *paths: str) -> tuple[str, ...]:
        """See ``rooted.read_in_root``."""
        return await read_in_root(root, *paths)

    async def read_file(self, path: str) -> bytes:
        """A file of the node; raises OSError."""
        return await threads.run(Path(path).read_bytes)

    def read_state(self, path: Path) -> bytes:
        """A file of the server's own that a reboot may forget, so it is in memory; raises OSError."""
        return path.read_bytes()

    def hostname(self) -> str:
        """The node's name now; see gethostname(2)."""
        return socket.gethostname()

    async def refreshed(self, facts: HostFacts) -> HostFacts:
        """See ``host_facts.refreshed``."""
        return await refreshed(facts)

    async def knows_label(self, label: str) -> bool:
        """See ``selinux.knows_label``."""
        return await knows_label(label)

    async def relabel(self, path: str, label: str) -> None:
        """See ``selinux.relabel``."""
        await relabel(path, label)

    async def make_missing_dirs(self, *paths: str) -> None:
        """Make directories and their parents, unless something is there."""
        if paths:
            await threads.run(_make_missing_dirs, paths)

    async def fill_volume(self, root: str, path: str, target: str, owner: tuple[int, int] | None) -> None:
        """Copy what the image has at ``path`` into the new directory ``target``, with owners, modes and attributes.

        Where the image has no directory, ``target`` is empty and of ``owner``, None for this server's user.
        """
        source = await threads.run(_begin_volume, root, path, target, owner)
        if source is None:
            return
        try:
            await _copy(source, target)
        finally:
            os.close(source)

    async def mount_image(self, target: str, layers: Sequence[str], ids: IdMap | None, label: str) -> None:
        """Mount ``layers``, topmost first, read-only at ``target``; see ``OverlayDriver.mount_image``."""
        await self._overlay.mount_image(target, layers, ids, label)

    async def path_in_root(self, root: str, path: str) -> str:
        """Where ``path`` really is, links resolved inside ``root``."""
        return await threads.run(_path_in_root, root, path)

    async def propagations_of(self, *paths: str) -> dict[str, Propagation]:
        """See ``propagation.propagations_of``."""
        return await propagations_of(*paths)

    async def stat_device(self, path: str) -> tuple[DeviceNode, ...]:
        """See ``devices.stat_device``."""
        return await stat_device(path)

    async def cdi_edits(self, names: Iterable[str]) -> tuple[ContainerEdits, ...]:
        """See ``cdi.cdi_edits``."""
        return await cdi_edits(names)


def _make_missing_dirs(paths: Iterable[str]) -> None:
    for path in paths:
        with system_call("mkdir", path):
            if not os.path.lexists(path):
                Path(path).mkdir(0o755, parents=True, exist_ok=True)  # others may want the same


def _begin_volume(root: str, path: str, target: str, owner: tuple[int, int] | None) -> int | None:
    """Make the directory ``target``; what to copy into it, opened, or None."""
    _make_missing_dirs((target,))
    if owner is not None:
        with system_call("chown", target):
            os.chown(target, *owner)
    return _open_directory(root, path)


def _open_directory(root: str, path: str) -> int | None:
    """The directory at ``path`` inside ``root``; None when the image has no directory there."""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return syscalls.open_in_root(directory, path, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    finally:
        os.close(directory)


async def _copy(source: int, target: str) -> None:
    argv = ("cp", "-a", "--reflink=auto", f"/proc/{os.getpid()}/fd/{source}/.", target)
    ended = await run(argv, env={"PATH": program_path()}, seconds=math.inf)  # it may be much
    if ended.status != 0:
        said = ended.stderr.decode(errors="replace")
        raise SystemCallError(f"copy the image's content into volume {target}: {said}")


def _path_in_root(root: str, path: str) -> str:
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = syscalls.open_in_root(directory, path or ".", os.O_PATH)
    except OSError as error:
        raise InvalidArgumentError(f"image_sub_path {path!r} of the image: {error.strerror}") from error
    finally:
        os.close(directory)
    try:
        return str(Path(f"/proc/self/fd/{found}").readlink())
    finally:
        os.close(found)
