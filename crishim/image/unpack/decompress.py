"""Decompression of layer blobs in bounded pieces: gzip (any number of members), zstd (any number of frames), none.

isal's inflate takes a third of zlib's time (docs/images.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from isal import isal_zlib

from crishim.image.errors import ContentError
from crishim.image.types import Compression
from crishim.image.unpack.members import count_down

PIECE = 1 << 20
_INFLATE_ERROR = cast("type[Exception]", isal_zlib.error)  # its type stub has the instance
_GZIP_WINDOW = 31
_MAX_MEMBERS = 16 << 20  # each costs some microseconds, however small; a layer can have one or two for each file


def gunzip(chunks: Iterable[bytes], members: int) -> Iterator[bytes]:
    """The content of all gzip members in ``chunks``; after the last, zero bytes are padding, others an error."""
    inflate = isal_zlib.decompressobj(wbits=_GZIP_WINDOW)
    begun = False
    for chunk in chunks:
        data = chunk
        while data := (data if begun else data.lstrip(b"\0")):
            begun = True
            yield from _some(piece := inflate.decompress(data, PIECE))
            data = inflate.unconsumed_tail
            if inflate.eof:
                members = count_down(members)
                data, begun = inflate.unused_data, False
                inflate = isal_zlib.decompressobj(wbits=_GZIP_WINDOW)
            elif not piece and len(data) == len(chunk):
                break
    while begun and (piece := inflate.decompress(b"", PIECE)):
        yield piece
    if begun and not inflate.eof:
        raise ContentError("layer: the gzip stream ends too early")


def unzstd(chunks: Iterable[bytes], members: int) -> Iterator[bytes]:
    """The content of all zstd frames in ``chunks``."""
    from crishim.image.unpack import zstd  # noqa: PLC0415  # few layers are

    yield from zstd.content(chunks, PIECE, members)


def plain(chunks: Iterable[bytes], _members: int) -> Iterator[bytes]:
    """``chunks`` as they are."""
    yield from chunks


def _some(piece: bytes) -> tuple[bytes, ...]:
    return (piece,) if piece else ()


_READERS: dict[Compression, Callable[[Iterable[bytes], int], Iterator[bytes]]] = {
    Compression.GZIP: gunzip,
    Compression.ZSTD: unzstd,
    Compression.NONE: plain,
}
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def sniff(beginning: bytes) -> Compression:
    """The compression whose magic number ``beginning`` starts with. Media types lie; magic numbers do not."""
    if beginning.startswith(_GZIP_MAGIC):
        return Compression.GZIP
    return Compression.ZSTD if beginning.startswith(_ZSTD_MAGIC) else Compression.NONE


def decompress(chunks: Iterable[bytes], compression: Compression, members: int = _MAX_MEMBERS) -> Iterator[bytes]:
    """The uncompressed stream of no more than ``members`` gzip members or zstd frames.

    Raises ContentError when ``chunks`` are damaged, cut short or something else, and LimitError.
    """
    try:
        yield from _READERS[compression](chunks, members)
    except _INFLATE_ERROR as exc:
        raise ContentError(f"layer: not a valid {compression} stream: {exc}") from exc
