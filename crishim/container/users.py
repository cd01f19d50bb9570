"""The users and groups that an image knows by name."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from crishim.container.ports import Node
from crishim.container.spec.inputs import User
from crishim.container.spec.user import resolve_user
from crishim.core.latest import Latest
from crishim.drivers import threads
from crishim.model.container import ContainerConfig
from crishim.model.image import ImageRoot

_KEPT = 16  # images
_LARGEST = 1 << 16  # characters of both files; larger ones are read each time


class UserFiles(NamedTuple):
    """The texts of /etc/passwd and /etc/group."""

    passwd: str
    group: str

    @property
    def are_small(self) -> bool:
        """As those of nearly all images are."""
        return len(self.passwd) + len(self.group) <= _LARGEST


class ImageUsers:
    """Reads these files of a new container, and keeps those of the last images: an id stands for all of its content."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._found: Latest[str, UserFiles] = Latest(_KEPT)

    async def resolve(self, config: ContainerConfig, image: ImageRoot, rootfs: str) -> User:
        """Whom a container of ``image`` runs as; see ``resolve_user``. Raises InvalidArgumentError.

        Large files are taken apart in a thread: that takes seconds, in which nobody else would be answered.
        """
        files = await self.of(image, rootfs)
        work = partial(resolve_user, config, image.config, files.passwd, files.group)
        return work() if files.are_small else await threads.run(work)

    async def of(self, image: ImageRoot, rootfs: str) -> UserFiles:
        """Those of ``image``, which is mounted at ``rootfs`` and was not written to. Raises InvalidArgumentError."""
        files = self._found.get(image.image_id)
        if files is None:
            files = UserFiles(*await self._node.read_in_root(rootfs, "/etc/passwd", "/etc/group"))
            if files.are_small:
                self._found.put(image.image_id, files)
        return files
