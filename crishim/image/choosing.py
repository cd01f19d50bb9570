"""Which entry of an index is for this machine, by the platform it has there or else by its configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from crishim.core.errors import NotFoundError
from crishim.image.errors import ArchiveError, ContentError
from crishim.image.platform import Platform, choose
from crishim.image.types import ContentKind, Descriptor, Index, decode_config, decode_document

Read = Callable[[ContentKind, Descriptor], Awaitable[bytes]]

_MAX_TRIED = 16  # entries without platform, each of which is fetched


async def choose_entry(host: Platform, index: Index, read: Read) -> Descriptor | None:
    """The entry of ``index`` that suits ``host`` best, None when none does.

    Entries without platform, which the specification allows, count when no other suits: one that is alone always does,
    of several the first whose configuration does.
    """
    entries = index.manifests
    position = choose(host, [entry.platform for entry in entries])
    if position is not None:
        return entries[position]
    if len(entries) == 1 and entries[0].platform is None:
        return entries[0]
    unnamed = [entry for entry in entries if entry.platform is None]
    for entry in unnamed[:_MAX_TRIED]:
        if await _suits(host, entry, read):
            return entry
    return None


async def _suits(host: Platform, entry: Descriptor, read: Read) -> bool:
    try:
        document = decode_document(await read("manifests", entry), entry.digest)
        if isinstance(document, Index):
            return False
        config = decode_config(await read("blobs", document.config), document.config.digest)
    except (ContentError, NotFoundError, ArchiveError):  # no image, such as a signature, or not all there
        return False
    return choose(host, [config.platform]) is not None
