"""Overlay mounts: the layers of an image joined into one tree, with a writable layer on top or read-only.

The options of mount(2) must fit into one page, which 128 absolute paths do not. So the mount is made by a thread of its
own whose working directory is the one that the layers lie in, and the options name them relative to that.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from crishim.core.errors import InvalidArgumentError
from crishim.drivers import syscalls, threads
from crishim.drivers.mounts import unmount_all
from crishim.drivers.syscalls import system_call

_CLONE_FS = 0x200  # <linux/sched.h>
_MS_RDONLY, _MS_REMOUNT = 1, 1 << 5
_INDEX = Path("/sys/module/overlay/parameters/index")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class OverlayDriver:
    """Root file systems of containers under ``containers``, and images mounted elsewhere.

    Every call raises SystemCallError when the kernel refuses, and is finished before a cancellation of it is raised.
    """

    def __init__(self, containers: Path) -> None:
        self._containers = containers

    async def mount(self, container_id: str, layers: Sequence[str]) -> str:
        """Mount a new writable layer over ``layers``, topmost first; the path of the root."""
        return await threads.run_alone(_mount_container, self._containers / container_id, layers)

    async def remove(self, container_id: str) -> None:
        """Unmount and remove the writable layer; nothing there is fine."""
        await threads.run(_remove_container, self._containers / container_id)

    async def mount_image(self, target: str, layers: Sequence[str]) -> None:
        """Mount ``layers``, topmost first, read-only at the directory ``target``, which is made."""
        await threads.run_alone(_mount_image, Path(target), layers)


def _mount_container(directory: Path, layers: Sequence[str]) -> str:
    upper, work, root = directory / "upper", directory / "work", directory / "rootfs"
    with system_call("make", str(directory)):
        for path in (upper, work, root):
            path.mkdir(mode=0o711, parents=True, exist_ok=True)
    if layers:
        with system_call("copy root metadata", layers[0]):
            shutil.copystat(layers[0], upper)
            status = Path(layers[0]).stat()
            os.chown(upper, status.st_uid, status.st_gid)
        mount_overlay(root, layers, upper=upper, work=work)
        return str(root)
    with system_call("bind", str(root)):
        syscalls.mount(str(upper), str(root), "", syscalls.MS_BIND)
    return str(root)


def _remove_container(directory: Path) -> None:
    unmount_all(str(directory / "rootfs"))
    with system_call("remove", str(directory)):
        if directory.exists():
            shutil.rmtree(directory)


def _mount_image(target: Path, layers: Sequence[str]) -> None:
    with system_call("make", str(target)):
        target.mkdir(mode=0o755, parents=True, exist_ok=True)
    if len(layers) == 1:
        with system_call("bind", str(target)):
            syscalls.mount(layers[0], str(target), "", syscalls.MS_BIND)
            syscalls.mount("", str(target), "", syscalls.MS_BIND | _MS_REMOUNT | _MS_RDONLY)
        return
    mount_overlay(target, layers)


def mount_overlay(target: Path, layers: Sequence[str], *, upper: Path | None = None, work: Path | None = None) -> None:
    """Mount at ``target``. Changes the working directory of the calling thread: see ``threads.run_alone``."""
    base = os.path.commonpath([str(Path(layer).parent) for layer in layers])
    options = overlay_options(base, layers, upper, work)
    if len(os.fsencode(options)) >= _PAGE:
        raise InvalidArgumentError(f"overlay {target}: {len(layers)} layers do not fit into one mount")
    with system_call("mount overlay", str(target)):
        syscalls.unshare(_CLONE_FS)
        os.chdir(base)
        flags = 0 if upper is not None else _MS_RDONLY
        syscalls.mount("overlay", str(target), "overlay", flags, options)


def overlay_options(base: str, layers: Sequence[str], upper: Path | None, work: Path | None) -> str:
    """The options of mount(2), with layers relative to ``base``. See the kernel's overlayfs documentation."""
    lower = ":".join(_escape(os.path.relpath(layer, base)) for layer in layers)
    options = [f"lowerdir={lower}"]
    if upper is not None and work is not None:
        options += [f"upperdir={_escape(str(upper))}", f"workdir={_escape(str(work))}"]
    if _INDEX.exists():
        options.append("index=off")  # several containers stand on one layer
    return ",".join(options)


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")
