"""Directories and files that are made together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from crishim.model.pod import UserNamespace


class FileTree(Struct, frozen=True, kw_only=True):
    """What to make, by absolute path: ``directories``, private and in order, then ``files`` with their content.

    ``copies`` are files with the path of the file whose content they get; one that is not there is as good as empty.
    ``shm`` is a directory that gets a tmpfs. The root of ``userns``, if there is one, gets through the directories,
    and owns the files and the tmpfs.
    """

    directories: Sequence[str]
    files: Mapping[str, bytes]
    copies: Mapping[str, str] = {}
    shm: str | None = None
    userns: UserNamespace | None = None
