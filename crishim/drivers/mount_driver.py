"""The mounts, files and directories of sandboxes and containers."""

from __future__ import annotations

import os
from pathlib import Path

from cni_runtime import files
from crishim.drivers import syscalls, threads
from crishim.drivers.mounts import unmount_all
from crishim.drivers.private import make_private
from crishim.drivers.syscalls import system_call
from crishim.drivers.tree_removal import remove_trees
from crishim.model.files import FileTree

_FILE_MODE = 0o644
_SHM_SIZE = 64 * 1024 * 1024  # bytes; what pods get everywhere


class MountDriver:
    """Mounts, and files made whole. A call is finished before its cancellation is raised.

    Every call raises SystemCallError when the kernel refuses.
    """

    async def unmount(self, path: str) -> None:
        """Unmount all that is mounted at ``path``; nothing there is fine."""
        await threads.run(unmount_all, path)

    async def remove_trees(self, *paths: str) -> None:
        """Unmount all at and below each of ``paths`` and remove it; nothing there is fine.

        It never reaches into a mount.
        """
        await threads.run(remove_trees, *paths)

    async def make_tree(self, tree: FileTree) -> None:
        """Make all of ``tree``: directories as ``make_private`` does, the tmpfs fit to be a /dev/shm.

        A reader of a file sees the old content or the new one, never a part.
        """
        await threads.run(_make_tree, tree)

    async def give(self, path: str, uid: int, gid: int) -> None:
        """Change the owner of a file or directory, or of what is mounted there; a link is not followed."""
        await threads.run(_give, path, uid, gid)

    async def make_dir(self, path: str, mode: int) -> None:
        """Make a directory with exactly ``mode``, or give it the mode; the parents it lacks get the usual one."""
        await threads.run(_make_dir, path, mode)


def _mount_shm(path: str) -> None:
    flags = syscalls.MS_NOEXEC | syscalls.MS_NOSUID | syscalls.MS_NODEV
    with system_call("mount tmpfs", path):
        syscalls.mount("shm", path, "tmpfs", flags, f"mode=1777,size={_SHM_SIZE}")


def _make_tree(tree: FileTree) -> None:
    for path in tree.directories:
        make_private(Path(path), tree.userns)
    for path, data in tree.files.items():
        _write_file(path, data)
    for path, source in tree.copies.items():
        _write_file(path, _content(source))
    if tree.shm is not None:
        _mount_shm(tree.shm)
    if tree.userns is not None:
        for path in (*tree.files, *tree.copies, *((tree.shm,) if tree.shm else ())):
            _give(path, *tree.userns.on_node(0, 0))


def _content(path: str) -> bytes:
    with system_call("read", path):
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            return b""


def _write_file(path: str, data: bytes) -> None:
    with system_call("write", path):
        try:
            files.replace(Path(path), data, _FILE_MODE)
        except BaseException:
            files.partial_path(Path(path)).unlink(missing_ok=True)
            raise


def _give(path: str, uid: int, gid: int) -> None:
    with system_call("chown", path):
        os.chown(path, uid, gid, follow_symlinks=False)


def _make_dir(path: str, mode: int) -> None:
    with system_call("mkdir", path):
        os.makedirs(path, mode, exist_ok=True)  # noqa: PTH103  # a Path takes as long as the call
        os.chmod(path, mode)  # noqa: PTH101
