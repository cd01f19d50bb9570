"""Mounts whose files show the ids of a user namespace: what an image's root owns is there that namespace's root's.

The kernel shifts the ids of a mount (mount_setattr(2), Linux 5.12) but not of an overlay; of an overlay it shifts those
of the layers below (Linux 5.19). Nothing is copied and nothing on disk is changed, however large an image is.

All of this blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from crishim.drivers import syscalls
from crishim.drivers.syscalls import opened, system_call


class Stage(Struct, frozen=True):
    """Layers to mount an overlay of, at ``root``, in a mount namespace of this thread alone."""

    root: Path
    layers: tuple[str, ...]
    _home: int

    def bring_home(self, target: Path) -> None:
        """Go back, and mount at ``target`` what was mounted at ``root``."""
        with system_call("clone mount", str(self.root)):
            mount = syscalls.clone_mount(str(self.root))
        try:
            with system_call("enter namespace", "mnt"):
                syscalls.setns(self._home, syscalls.CLONE_NEWNS)
            _attach(mount, str(target))
        finally:
            os.close(mount)


def mount_id_mapped(source: str, target: str, namespace: str) -> None:
    """Mount the directory ``source`` read-only at ``target``, with the ids of the user namespace ``namespace``."""
    with opened(namespace) as userns, _id_mapped(source, userns, syscalls.MOUNT_ATTR_RDONLY) as mount:
        _attach(mount, target)


@contextmanager
def staged(layers: Sequence[str], namespace: str, at: Path) -> Iterator[Stage]:
    """Show ``layers`` with the ids of the user namespace ``namespace``, below the directory ``at``.

    They have to be mounted somewhere for the kernel to take them for an overlay. That is in a mount namespace of this
    thread alone, in which the body runs too, so nothing of it can be left behind. See ``threads.run_alone``.
    """
    with opened(namespace) as userns, opened("/proc/thread-self/ns/mnt") as home:
        with system_call("unshare", "mnt"):
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.mount("", "/", "", syscalls.MS_PRIVATE | syscalls.MS_REC)
        with system_call("mount tmpfs", str(at)):
            syscalls.mount("layers", str(at), "tmpfs", 0, "mode=700")
        stage = Stage(at / "root", tuple([str(at / str(number)) for number in range(len(layers))]), home)
        with system_call("mkdir", str(at)):
            for path in (stage.root, *map(Path, stage.layers)):
                path.mkdir()
        for layer, place in zip(layers, stage.layers, strict=True):
            with _id_mapped(layer, userns) as mount:
                _attach(mount, place)
        yield stage


@contextmanager
def _id_mapped(path: str, userns: int, attributes: int = 0) -> Iterator[int]:
    with system_call("id-map", path):
        mount = syscalls.clone_mount(path)
    try:
        with system_call("id-map", path):
            syscalls.set_mount_attributes(mount, syscalls.MOUNT_ATTR_IDMAP | attributes, userns)
        yield mount
    finally:
        os.close(mount)


def _attach(mount: int, target: str) -> None:
    with system_call("mount", target):
        syscalls.attach_mount(mount, target)
