"""Namespaces that exist only as entries of a dictionary, with the rules of ``NamespaceDriver``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from crishim.core.errors import SystemCallError
from crishim.drivers.namespaces import pins, plan_sysctls
from crishim.model.sandbox import NamespacePaths, NamespaceSpec
from crishim.testing.failures import Failures


class FakeNamespaces:
    """``pins`` holds the inode of the namespace at each path, ``specs`` all that was made, ``sysctls`` what was set."""

    def __init__(self) -> None:
        self.failures = Failures()
        self.pins: dict[str, int] = {}
        self.specs: list[NamespaceSpec] = []
        self.sysctls: dict[str, str] = {}
        self._inodes = itertools.count(4026532000)

    async def create(self, spec: NamespaceSpec) -> int:
        """Pin a namespace for each path."""
        self.failures.strike("create")
        paths = pins(spec.paths)
        plan_sysctls(spec.paths, spec.sysctls)
        for path in paths.values():
            if path in self.pins:
                raise SystemCallError(f"create namespace file {path}: EEXIST")
        self.pins |= {path: next(self._inodes) for path in paths.values()}
        self.specs.append(spec)
        self.sysctls |= spec.sysctls
        return self.pins[spec.paths.net] if spec.paths.net else 0

    async def write_sysctls(self, paths: NamespacePaths, sysctls: Mapping[str, str]) -> None:
        """Remember parameters."""
        self.failures.strike("write_sysctls")
        plan_sysctls(paths, sysctls)
        self.sysctls |= sysctls

    async def remove(self, paths: NamespacePaths) -> None:
        """Forget namespaces."""
        self.failures.strike("remove")
        for path in pins(paths).values():
            self.pins.pop(path, None)

    def inode(self, path: str) -> int | None:
        """The inode of the namespace at ``path``."""
        self.failures.strike("inode")
        return self.pins.get(path)

    async def pinned(self, directory: str, prefix: str) -> list[str]:
        """The paths in ``directory`` whose names begin with ``prefix``."""
        self.failures.strike("pinned")
        begin = f"{directory.rstrip('/')}/{prefix}"
        return sorted(path for path in self.pins if path.startswith(begin) and "/" not in path[len(begin) :])
