"""Directories and files that are made together."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class FileTree(Struct, frozen=True, kw_only=True):
    """What to make, by absolute path: ``directories`` with their modes, in order, then ``files`` with their content.

    ``copies`` are files with the path of the file whose content they get; one that is not there is as good as empty.
    ``shm`` is a directory that gets a tmpfs. ``owner`` (uid, gid) gets the files and the tmpfs; None: this process's.
    """

    directories: Mapping[str, int]
    files: Mapping[str, bytes]
    copies: Mapping[str, str] = {}
    shm: str | None = None
    owner: tuple[int, int] | None = None
