"""The mounts, files and directories that are made of a sandbox."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from crishim.drivers import syscalls, threads
from crishim.drivers.mounts import mounted_under, unmount_all
from crishim.drivers.syscalls import system_call
from crishim.drivers.tree_removal import remove_trees
from crishim.model.files import FileTree

_FILE_MODE = 0o644
SHM_SIZE = 64 * 1024 * 1024  # bytes; what pods get everywhere


class MountDriver:
    """Mounts, and files made whole. A call is finished before its cancellation is raised.

    Every call raises SystemCallError when the kernel refuses.
    """

    async def mount_shm(self, path: str, size_bytes: int = SHM_SIZE) -> None:
        """Mount a tmpfs of at most ``size_bytes`` at the directory ``path``, fit to be a pod's /dev/shm."""
        await threads.run(_mount_shm, path, size_bytes)

    async def unmount(self, path: str) -> None:
        """Unmount all that is mounted at ``path``; nothing there is fine."""
        await threads.run(unmount_all, path)

    async def mounted_under(self, directory: str) -> list[str]:
        """The mount points at and below ``directory``, in the order they were mounted."""
        return await threads.run(mounted_under, directory)

    async def remove_trees(self, *paths: str) -> None:
        """Unmount all at and below each of ``paths`` and remove it; nothing there is fine.

        It never reaches into a mount.
        """
        await threads.run(remove_trees, *paths)

    async def make_tree(self, tree: FileTree) -> None:
        """Make all of ``tree``, as ``make_dir``, ``write_file``, ``mount_shm`` and ``give`` do."""
        await threads.run(_make_tree, tree)

    async def write_file(self, path: str, data: bytes, mode: int) -> None:
        """Write a file with exactly ``mode``; a reader sees the old content or the new one, never a part."""
        await threads.run(_write_file, path, data, mode)

    async def give(self, path: str, uid: int, gid: int) -> None:
        """Change the owner of a file or directory, or of what is mounted there; a link is not followed."""
        await threads.run(_give, path, uid, gid)

    async def make_dir(self, path: str, mode: int) -> None:
        """Make a directory with exactly ``mode``, or give it the mode; the parents it lacks get the usual one."""
        await threads.run(_make_dir, path, mode)


def _mount_shm(path: str, size_bytes: int) -> None:
    flags = syscalls.MS_NOEXEC | syscalls.MS_NOSUID | syscalls.MS_NODEV
    with system_call("mount tmpfs", path):
        syscalls.mount("shm", path, "tmpfs", flags, f"mode=1777,size={size_bytes}")


def _make_tree(tree: FileTree) -> None:
    for path, mode in tree.directories.items():
        _make_dir(path, mode)
    for path, data in tree.files.items():
        _write_file(path, data, _FILE_MODE)
    for path, source in tree.copies.items():
        _write_file(path, _content(source), _FILE_MODE)
    if tree.shm is not None:
        _mount_shm(tree.shm, SHM_SIZE)
    if tree.owner is not None:
        for path in (*tree.files, *tree.copies, *((tree.shm,) if tree.shm else ())):
            _give(path, *tree.owner)


def _content(path: str) -> bytes:
    with system_call("read", path):
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            return b""


def _write_file(path: str, data: bytes, mode: int) -> None:
    directory, _, name = path.rpartition("/")
    partial = f"{directory}/.{name}.partial"
    with system_call("write", path):
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(handle, mode)
            os.rename(partial, path)  # noqa: PTH104  # a pod waits for this, and a Path takes as long as the call
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(partial)  # noqa: PTH108
            raise


def _give(path: str, uid: int, gid: int) -> None:
    with system_call("chown", path):
        os.chown(path, uid, gid, follow_symlinks=False)


def _make_dir(path: str, mode: int) -> None:
    with system_call("mkdir", path):
        os.makedirs(path, mode, exist_ok=True)  # noqa: PTH103  # as in _write_file
        os.chmod(path, mode)  # noqa: PTH101
