"""A file tree in dictionaries, with the rules of ``MountDriver``."""

from __future__ import annotations

from crishim.core.errors import SystemCallError
from crishim.model.files import FileTree
from crishim.testing.failures import Failures


class FakeMounts:
    """``files`` holds content by path, ``directories`` modes by path, ``mounts`` the mount points in order.

    ``owners`` holds who was given what.
    """

    def __init__(self) -> None:
        self.failures = Failures()
        self.files: dict[str, bytes] = {}
        self.directories: dict[str, int] = {}
        self.mounts: list[str] = []
        self.owners: dict[str, tuple[int, int]] = {}

    async def unmount(self, path: str) -> None:
        """Unmount all that is at ``path``."""
        self.failures.strike("unmount")
        self.mounts = [point for point in self.mounts if point != path]

    async def remove_trees(self, *paths: str) -> None:
        """Remove each of ``paths`` and all below it."""
        self.failures.strike("remove_trees")
        for path in paths:
            self.mounts = [point for point in self.mounts if not _below(point, path)]
            self.files = {file: data for file, data in self.files.items() if not _below(file, path)}
            self.directories = {name: mode for name, mode in self.directories.items() if not _below(name, path)}

    async def make_tree(self, tree: FileTree) -> None:
        """Make all of it, step by step."""
        for path in tree.directories:
            await self.make_dir(path, 0o700)
        for path, data in {**tree.files, **dict.fromkeys(tree.copies, b"")}.items():
            self._write_file(path, data)
        if tree.shm is not None:
            self._mount_shm(tree.shm)
        for path in (*tree.files, *tree.copies, *((tree.shm,) if tree.shm else ())):
            if tree.userns is not None:
                await self.give(path, *tree.userns.on_node(0, 0))

    async def give(self, path: str, uid: int, gid: int) -> None:
        """Change an owner."""
        self.failures.strike("give")
        if path not in self.files and path not in self.directories:
            raise SystemCallError(f"chown {path}: ENOENT")
        self.owners[path] = (uid, gid)

    async def make_dir(self, path: str, mode: int) -> None:
        """Make a directory."""
        self.failures.strike("make_dir")
        self.directories[path] = mode

    def _write_file(self, path: str, data: bytes) -> None:
        self.failures.strike("write_file")
        if path.rpartition("/")[0] not in self.directories:
            raise SystemCallError(f"write {path}: ENOENT")
        self.files[path] = data

    def _mount_shm(self, path: str) -> None:
        self.failures.strike("mount_shm")
        if path not in self.directories:
            raise SystemCallError(f"mount tmpfs {path}: ENOENT")
        self.mounts.append(path)


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")
