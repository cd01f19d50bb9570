"""Overlay mounts: the layers of an image joined into one tree, with a writable layer on top or read-only.

The options of mount(2) must fit into one page, which 128 absolute paths do not. So the mount is made by a thread of its
own whose working directory is the one that the layers lie in, and the options name them relative to that.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from crishim.core.errors import InvalidArgumentError
from crishim.core.sysctls import NamespaceKind
from crishim.drivers import syscalls, threads
from crishim.drivers.id_mapped import mount_id_mapped, staged
from crishim.drivers.mounts import unmount_all
from crishim.drivers.private import make_private
from crishim.drivers.syscalls import system_call
from crishim.drivers.tree_removal import remove_trees
from crishim.drivers.user_namespaces import holding
from crishim.model.pod import IDMapping, NamespaceMode, UserNamespace
from crishim.model.sandbox import IdMap

_INDEX = Path("/sys/module/overlay/parameters/index")
# In that time the caller comes to its end: it forgets the container, and a call is answered.
_LATER_SECONDS = 0.02
_AGAIN_SECONDS = 0.5  # until there may be another thread, when there could be no more
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MOST_LAYERS = 500  # below the writable one; OVL_MAX_STACK in the kernel's fs/overlayfs


class OverlayDriver:
    """Root file systems of containers under ``containers``, and images mounted elsewhere.

    Every call raises SystemCallError when the kernel refuses, and is finished before a cancellation of it is raised.
    """

    def __init__(self, containers: Path, below: Path | None = None) -> None:
        """``below`` is what lies below the layers of every container's image; see ``mount_points``."""
        self._containers, self._below = containers, (str(below),) if below else ()

    async def mount(
        self,
        container_id: str,
        layers: Sequence[str],
        ids: IdMap | None = None,
        label: str = "",
        at_files: Sequence[str] = (),
    ) -> str:
        """Mount a new writable layer over ``layers``, topmost first; the path of the root.

        With ``ids`` the files show the ids of that user namespace, with ``label`` all have that SELinux label.
        ``at_files`` will be mounted at files of what lies below.
        """

        def mount() -> str:
            stack = (*layers, *self._below) if _has_room_below(layers, at_files) else layers
            return _mount_container(self._containers / container_id, stack, ids, label)

        return await threads.run_alone(mount)

    async def remove(self, container_id: str, *trees: str) -> None:
        """Unmount and remove the writable layer, then ``trees``, see ``remove_trees``; nothing there is fine.

        The last who holds on to an overlay has to wait until all of the file system below is written back. That is a
        thread which nobody waits for, and which does not get into the way of what the caller does next.
        """
        held: list[int] = []
        try:
            await threads.run(_remove_container, self._containers / container_id, trees, held)
        finally:
            for root in held:
                asyncio.get_running_loop().call_later(_LATER_SECONDS, _close_apart, root)

    async def mount_image(self, target: str, layers: Sequence[str], ids: IdMap | None = None, label: str = "") -> None:
        """Mount ``layers``, topmost first, read-only at the directory ``target``; the rest as above.

        The directory is made, in one that users of the node are shut out of. A single layer that shows the ids of a
        user namespace keeps its labels.
        """
        await threads.run_alone(_mount_image, Path(target), layers, ids, label)

    async def check_id_maps(self) -> None:
        """Try whether root file systems can show the ids of a user namespace; raises SystemCallError when not."""
        ids = (IDMapping(host_id=1 << 16, container_id=0, length=1 << 16),)
        async with holding(UserNamespace(NamespaceMode.POD, ids, ids)) as held:
            await threads.run_alone(_try_id_maps, self._containers, held.namespace(NamespaceKind.USER))


def _close_apart(root: int) -> None:
    """Close ``root`` in a thread. Open, it would keep the overlay, and all that was written to it, for ever."""
    try:
        threads.start_alone(os.close, root)
    except RuntimeError:  # there can be no more threads, and here it would hold up everybody
        asyncio.get_running_loop().call_later(_AGAIN_SECONDS, _close_apart, root)


def _has_room_below(layers: Sequence[str], at_files: Sequence[str]) -> bool:
    """Else the OCI runtime makes what is missing: a directory, where one is mounted, and not a file."""
    return 0 < len(layers) < _MOST_LAYERS and all(map(os.path.isfile, at_files))


def _mount_container(directory: Path, layers: Sequence[str], ids: IdMap | None, label: str) -> str:
    upper, work, root = directory / "upper", directory / "work", directory / "rootfs"
    make_private(directory, ids.userns if ids else None)
    with system_call("make", str(directory)):
        for path in (upper, work, root):
            path.mkdir(mode=0o711, exist_ok=True)
    with system_call("copy root metadata", str(upper)):
        if layers:
            shutil.copystat(layers[0], upper)
        status = Path(layers[0] if layers else upper).stat()
        os.chown(upper, *_owner(status, ids))
    if layers:
        _mount(root, layers, ids, label, upper=upper, work=work)
        return str(root)
    with system_call("bind", str(root)):
        syscalls.mount(str(upper), str(root), "", syscalls.MS_BIND)
    return str(root)


def _remove_container(directory: Path, trees: Sequence[str], held: list[int]) -> None:
    root = directory / "rootfs"
    with suppress(FileNotFoundError, NotADirectoryError):
        held.append(os.open(root, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
    unmount_all(str(root))
    remove_trees(str(directory), *trees)


def _owner(status: os.stat_result, ids: IdMap | None) -> tuple[int, int]:
    return ids.userns.on_node(status.st_uid, status.st_gid) if ids else (status.st_uid, status.st_gid)


def _mount_image(target: Path, layers: Sequence[str], ids: IdMap | None, label: str) -> None:
    make_private(target.parent, ids.userns if ids else None)
    with system_call("make", str(target)):
        target.mkdir(mode=0o755, exist_ok=True)
    if len(layers) == 1 and ids is not None:
        mount_id_mapped(layers[0], str(target), ids.namespace)
    elif len(layers) == 1 and label:  # only an overlay has a label of its own, and a second layer
        _mount(target, [*layers, _made(target.with_name(f"{target.name}.empty"))], ids, label)
    elif len(layers) == 1:
        with system_call("bind", str(target)):
            syscalls.mount(layers[0], str(target), "", syscalls.MS_BIND)
            syscalls.mount("", str(target), "", syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY)
    else:
        _mount(target, layers, ids, label)


def _try_id_maps(containers: Path, namespace: str) -> None:
    with system_call("make", str(containers)):
        containers.mkdir(mode=0o711, parents=True, exist_ok=True)
    with staged([str(containers.parent)], namespace, containers) as stage:
        mount_overlay(stage.root, [*stage.layers, _made(stage.root.with_name("empty"))])


def _made(directory: Path) -> str:
    with system_call("make", str(directory)):
        directory.mkdir()
    return str(directory)


def _mount(
    target: Path,
    layers: Sequence[str],
    ids: IdMap | None,
    label: str,
    *,
    upper: Path | None = None,
    work: Path | None = None,
) -> None:
    if ids is None:
        mount_overlay(target, layers, label, upper=upper, work=work)
        return
    with staged(layers, ids.namespace, target) as stage:
        mount_overlay(stage.root, stage.layers, label, upper=upper, work=work)
        stage.bring_home(target)


def mount_overlay(
    target: Path, layers: Sequence[str], label: str = "", *, upper: Path | None = None, work: Path | None = None
) -> None:
    """Mount at ``target``. Changes the working directory of the calling thread: see ``threads.run_alone``."""
    base = os.path.dirname(layers[0])  # noqa: PTH120
    options = overlay_options(base, layers, upper, work, label)
    if len(os.fsencode(options)) >= _PAGE:
        raise InvalidArgumentError(f"overlay {target}: {len(layers)} layers do not fit into one mount")
    with system_call("mount overlay", str(target)):
        syscalls.unshare(syscalls.CLONE_FS)
        os.chdir(base)
        flags = 0 if upper is not None else syscalls.MS_RDONLY
        syscalls.mount("overlay", str(target), "overlay", flags, options)


def overlay_options(base: str, layers: Sequence[str], upper: Path | None, work: Path | None, label: str = "") -> str:
    """The options of mount(2), with layers relative to ``base`` that lie below it. See the kernel's overlayfs
    documentation.

    ``label`` has no quotes in it.
    """
    lower = ":".join(_escape(layer.removeprefix(f"{base}/")) for layer in layers)
    options = [f"lowerdir={lower}"]
    if upper is not None and work is not None:
        options += [f"upperdir={_escape(str(upper))}", f"workdir={_escape(str(work))}"]
    if _INDEX.exists():
        options.append("index=off")  # several containers stand on one layer
    if label:
        options.append(f'context="{label}"')
    return ",".join(options)


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")
