"""The users and groups that an image knows by name."""

from __future__ import annotations

from typing import NamedTuple

from crishim.container.ports import Node
from crishim.core.latest import Latest
from crishim.model.image import ImageRoot

_KEPT = 16  # images
_LARGEST = 1 << 16  # characters of both files; larger ones are read each time


class UserFiles(NamedTuple):
    """The texts of /etc/passwd and /etc/group."""

    passwd: str
    group: str


class ImageUsers:
    """Reads these files of a new container, and keeps those of the last images: an id stands for all of its content."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._found: Latest[str, UserFiles] = Latest(_KEPT)

    async def of(self, image: ImageRoot, rootfs: str) -> UserFiles:
        """Those of ``image``, which is mounted at ``rootfs`` and was not written to. Raises InvalidArgumentError."""
        files = self._found.get(image.image_id)
        if files is None:
            files = UserFiles(*await self._node.read_in_root(rootfs, "/etc/passwd", "/etc/group"))
            if len(files.passwd) + len(files.group) <= _LARGEST:
                self._found.put(image.image_id, files)
        return files
