"""The anonymous volumes that an image declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crishim.container.spec.fields import check_text
from crishim.container.spec.image import execution_config
from crishim.container.spec.mount_paths import normal_path
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import ContainerConfig


def image_volumes(image_config: Mapping[str, Any], config: ContainerConfig) -> list[str]:
    """The container paths of the image's volumes, but those where ``config`` mounts something itself."""
    taken = {normal_path(mount.container_path) for mount in config.mounts}
    paths = {_checked(path) for path in execution_config(image_config).volumes or {}}
    return sorted(paths - taken)


def _checked(path: str) -> str:
    check_text("image: config.Volumes", path)
    normal = normal_path(path)
    if normal == "/":
        raise InvalidArgumentError(f"image: config.Volumes: {path!r} cannot be a volume")
    return normal
