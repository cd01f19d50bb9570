"""Where everything of a container lies on disk: pure functions of its id."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from msgspec import Struct


class ContainerLayout(Struct, frozen=True, dict=True):
    """The server's directories, and from them a container's. A reboot forgets what is below ``state``."""

    root: Path
    state: Path

    @cached_property
    def bundles(self) -> Path:
        """Holds one OCI bundle per container."""
        return self.state / "containers"

    @cached_property
    def kept(self) -> Path:
        """Holds one directory per container with what a reboot must not lose."""
        return self.root / "containers"

    @property
    def mount_points(self) -> Path:
        """The layer below those of all images."""
        return self.root / "mount-points"

    def bundle(self, container_id: str) -> Path:
        """The OCI bundle: config.json and what the monitor keeps beside it."""
        return self.bundles / container_id

    def image_mounts(self, container_id: str) -> Path:
        """Where images that the container mounts are mounted, one directory each."""
        return self.bundle(container_id) / "images"

    def volumes(self, container_id: str) -> Path:
        """The anonymous volumes that the image declares, one directory each."""
        return self.kept / container_id / "volumes"
