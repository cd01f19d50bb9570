"""Where groups lie: the hierarchies of the node, and the group that an OCI ``cgroupsPath`` stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from msgspec import Struct

from crishim.core.errors import refusal
from crishim.drivers.cgroups.detect import CGROUP_ROOT
from crishim.drivers.mounts import Mount


class Hierarchies(Struct, frozen=True):
    """The mounted hierarchies: those of version 1 by controller, and the one of version 2, if there is one."""

    controllers: Mapping[str, Path] = {}
    unified: Path | None = None

    def directories(self, group: str) -> list[Path]:
        """Where ``group`` is, or would be, in each hierarchy."""
        roots = dict.fromkeys((*self.controllers.values(), *((self.unified,) if self.unified else ())))
        return [root / group.lstrip("/") for root in roots]

    def few_directories(self, group: str) -> list[Path]:
        """Where the processes of ``group`` can be looked up without looking everywhere.

        A runtime puts a process into each hierarchy, and it can be moved only from outside.
        """
        roots = (self.unified, next(iter(self.controllers.values()), None))
        return [root / group.lstrip("/") for root in roots if root]

    def directory(self, controller: str, group: str) -> Path | None:
        """Where the files of one controller are for ``group``; None when the node has it nowhere."""
        root = self.controllers.get(controller) or self.unified
        return root / group.lstrip("/") if root else None


def hierarchies(mounts: Iterable[Mount]) -> Hierarchies:
    """The hierarchies among ``mounts``. Those of version 1 are mounted under the names of their controllers."""
    controllers: dict[str, Path] = {}
    unified: Path | None = None
    for mount in mounts:
        point = Path(mount.point)
        if point != Path(CGROUP_ROOT) and point.parent != Path(CGROUP_ROOT):
            continue
        if mount.filesystem == "cgroup2":
            unified = point
        elif mount.filesystem == "cgroup":
            controllers |= dict.fromkeys(point.name.split(","), point)
    return Hierarchies(controllers, unified)


def group_path(cgroups_path: str, *, systemd: bool) -> str:
    """The group that an OCI runtime makes for ``linux.cgroupsPath`` ``/parent/id``, or ``slice:prefix:name``.

    Raises InvalidArgumentError for a path that is not of the form, or the root of everything.
    """
    path = _scope_path(cgroups_path) if systemd else cgroups_path
    parts = PurePosixPath("/", path.lstrip("/")).parts
    if not path.startswith("/") or len(parts) < 2 or ".." in parts:
        raise refusal("linux.cgroupsPath", "an absolute path of a group", cgroups_path)
    return str(PurePosixPath(*parts))


def slice_path(name: str) -> str:
    """Where systemd puts a slice: ``a-b.slice`` lies in ``a.slice``. See systemd.slice(5)."""
    stem = name.removesuffix(".slice")
    if stem in ("", "-"):
        return "/"
    parts = stem.split("-")
    return "/" + "/".join(f"{'-'.join(parts[:end])}.slice" for end in range(1, len(parts) + 1))


def _scope_path(cgroups_path: str) -> str:
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        raise refusal("linux.cgroupsPath", "SLICE:PREFIX:NAME", cgroups_path)
    parent, prefix, name = parts
    unit = name if name.endswith(".slice") else f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
    return f"{slice_path(parent or 'system.slice').rstrip('/')}/{unit}"
