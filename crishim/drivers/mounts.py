"""Mounts, and the files and directories of a sandbox."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from crishim.core.errors import InvalidArgumentError, SystemCallError
from crishim.drivers import syscalls, threads
from crishim.drivers.syscalls import system_call
from crishim.model.files import FileTree

_FILE_MODE = 0o644
SHM_SIZE = 64 * 1024 * 1024  # bytes; what pods get everywhere

_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPED = frozenset(" \t\n\\#")  # written as three octal digits
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mount: where, and the type of its file system."""

    point: str
    filesystem: str


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
        return await threads.run(_mounted_under, directory)

    async def remove_trees(self, *paths: str) -> None:
        """Unmount all at and below each of ``paths`` and remove it; nothing there is fine.

        It never reaches into a mount.
        """
        await threads.run(_remove_trees, paths)

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


def make_shared(directory: str) -> None:
    """Make ``directory`` a mount point whose mounts and unmounts reach the mount namespaces copied from this one.

    The lock is the one ``ip netns`` takes: without it two of us could each put a mount there.
    """
    with system_call("make shared mount", directory):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                syscalls.mount("", directory, "", syscalls.MS_SHARED)
            except OSError as error:
                if error.errno != errno.EINVAL:  # EINVAL: not a mount point yet
                    raise
                syscalls.mount(directory, directory, "", syscalls.MS_BIND | syscalls.MS_REC)
                syscalls.mount("", directory, "", syscalls.MS_SHARED)
        finally:
            os.close(handle)


def unmount_all(path: str) -> None:
    """Unmount until nothing is mounted at ``path``; files still open there keep working."""
    with system_call("umount", path):
        try:
            while True:
                syscalls.umount2(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):  # EINVAL: not mounted
                raise


def parse_mountinfo(text: str) -> list[Mount]:
    """The mounts in the text of ``/proc/PID/mountinfo``, in the order they were made. See proc(5)."""
    return [_parse_mount(line) for line in text.split("\n") if line]


def read_mounts() -> list[Mount]:
    """The mounts this process sees, in the order they were made."""
    return parse_mountinfo(os.fsdecode(_read_mountinfo()))


def _parse_mount(line: str) -> Mount:
    fixed, _, after = line.partition(" - ")  # optional fields are before the dash, so their number does not matter
    return Mount(point=_unescape(fixed.split(" ")[4]), filesystem=after.split(" ")[0])


def _unescape(field: str) -> str:
    # Space, tab, newline and backslash are written as three octal digits.
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def _mounted_under(directory: str) -> list[str]:
    real = os.path.realpath(directory)
    below = real.rstrip("/") + "/"
    mounts = _read_mountinfo()
    if os.fsencode(real) not in mounts and _ESCAPED.isdisjoint(real):
        return []  # it is there as it is, if at all; a node with many pods has thousands of mounts to take apart
    points = [mount.point for mount in parse_mountinfo(os.fsdecode(mounts))]
    return [point for point in points if point == real or point.startswith(below)]


def _read_mountinfo() -> bytes:
    with system_call("read", str(_MOUNTINFO)):
        return _MOUNTINFO.read_bytes()


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


def _remove_trees(paths: Sequence[str]) -> None:
    for path in paths:
        _remove_tree(path)


def _remove_tree(path: str) -> None:
    if os.path.normpath(path) != path or not path.startswith("/") or path == "/":
        raise InvalidArgumentError(f"remove {path!r}: expected an absolute path without . or ..")
    with system_call("remove", path):
        try:
            _remove_directory(path, None)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _unmount_under(path)
            _remove_directory(path, None)


def _remove_directory(name: str, parent: int | None) -> None:
    """Remove a directory and all in it, or as far as there is no mount: then it raises OSError (EBUSY).

    The kernel is asked to remove each directory before this looks into it: it says whether it is empty, mounted at or
    a link. To search the list of mounts instead takes long on a node with many pods.
    """
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise OSError(errno.ELOOP, "a link or file where a directory should be") from error
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        return
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        with os.scandir(handle) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for entry, is_directory in found:
            if is_directory:
                _remove_directory(entry, handle)
            else:
                _remove_file(entry, handle)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=parent)


def _remove_file(name: str, parent: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _unmount_under(path: str) -> None:
    for point in reversed(_mounted_under(path)):
        unmount_all(point)
    if left := _mounted_under(path):
        raise SystemCallError(f"remove {path}: EBUSY (still mounted: {', '.join(left)})")


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
