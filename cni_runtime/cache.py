"""The results cache: what ADD was told and what it gave, kept for DEL, CHECK and GC.

Place and format are those of libcni (``<dir>/results/<network>-<container>-<interface>``, kind ``cniCacheV1``),
so its tools and this library can delete what the other added. A file that cannot be read as one is reported
and treated as absent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from cni_runtime import files, names
from cni_runtime.errors import CniError, ErrorCode

DEFAULT_DIR = Path("/var/lib/cni")

_MAX_BYTES = 8 << 20
_MAX_FILE_NAME = 200

log = logging.getLogger(__name__)


class CachedAttachment(
    Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, tag_field="kind", tag="cniCacheV1"
):
    """One attachment, field by field as in the file; ``config`` is the network list's JSON, ``result`` a CNI result."""

    container_id: str
    config: bytes
    if_name: str
    network_name: str
    netns: str = ""
    cni_args: tuple[tuple[str, str], ...] | None = None
    capability_args: Mapping[str, Any] | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


class ResultCache:
    """The cache below one directory. ``read`` takes microseconds; the rest may wait for the disk."""

    def __init__(self, directory: Path = DEFAULT_DIR) -> None:
        self._results = directory / "results"

    def path(self, network: str, container_id: str, ifname: str) -> Path:
        """The file of one attachment; raises CniError when a name is not valid or all of them are too long."""
        parts = names.network_name(network), names.container_id(container_id), names.interface_name(ifname)
        name = "-".join(parts)
        if len(name.encode()) > _MAX_FILE_NAME:
            message = f"network {network[:80]!r} and container ID are longer than {_MAX_FILE_NAME} bytes together"
            raise CniError(message, code=ErrorCode.INVALID_ENVIRONMENT)
        return self._results / name

    def write(self, attachment: CachedAttachment) -> None:
        """Keep ``attachment`` in place of what was there; raises CniError (IO_FAILURE)."""
        path = self._path_of(attachment)
        try:
            if not self._results.is_dir():
                self._results.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.replace(path, msgspec.json.encode(attachment))
        except OSError as exc:
            raise CniError("cannot keep the result", code=ErrorCode.IO_FAILURE, details=str(exc)) from exc

    def read(self, network: str, container_id: str, ifname: str) -> CachedAttachment | None:
        """What is kept of one attachment, or None."""
        return self._load(self.path(network, container_id, ifname))

    def remove(self, network: str, container_id: str, ifname: str) -> None:
        """Forget one attachment, known or not; raises CniError (IO_FAILURE)."""
        path = self.path(network, container_id, ifname)
        try:
            files.remove(path)
        except OSError as exc:
            raise CniError("cannot forget the result", code=ErrorCode.IO_FAILURE, details=str(exc)) from exc

    def attachments(self, network: str) -> list[CachedAttachment]:
        """Every attachment that is kept of ``network``, in file-name order."""
        found = (self._load(path) for path in sorted(self._entries(f"{network}-")))
        return [attachment for attachment in found if attachment and attachment.network_name == network]

    def of_container(self, container_id: str) -> list[CachedAttachment]:
        """Every attachment that is kept of a container, in file-name order."""
        infix = f"-{names.container_id(container_id)}-"
        found = (self._load(path) for path in sorted(self._entries("")) if infix in path.name)
        return [attachment for attachment in found if attachment and attachment.container_id == container_id]

    def _entries(self, prefix: str) -> Iterator[Path]:
        try:
            yield from (path for path in self._results.iterdir() if path.name.startswith(prefix))
        except FileNotFoundError:
            return
        except OSError as exc:
            raise CniError("cannot list the cache", code=ErrorCode.IO_FAILURE, details=str(exc)) from exc

    def _load(self, path: Path) -> CachedAttachment | None:
        try:
            attachment = msgspec.json.decode(files.read_regular(path, _MAX_BYTES), type=CachedAttachment)
            if self._path_of(attachment) == path:
                return attachment
            reason = "it is about another attachment"
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, CniError) as exc:
            reason = str(exc)
        log.warning("ignoring cached result %s: %s", path, reason)
        return None

    def _path_of(self, attachment: CachedAttachment) -> Path:
        return self.path(attachment.network_name, attachment.container_id, attachment.if_name)
