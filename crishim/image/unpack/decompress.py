"""Decompression of layer blobs in bounded pieces: gzip (any number of members), zstd (any number of frames), none.

isal's inflate takes a third of zlib's time (docs/images.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from isal import isal_zlib

from crishim.image.errors import ContentError
from crishim.image.types import Compression

PIECE = 1 << 20
_INFLATE_ERROR = cast("type[Exception]", isal_zlib.error)  # its type stub has the instance
_GZIP_WINDOW = 31


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
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
                data, begun = inflate.unused_data, False
                inflate = isal_zlib.decompressobj(wbits=_GZIP_WINDOW)
            elif not piece and len(data) == len(chunk):
                break
    while begun and (piece := inflate.decompress(b"", PIECE)):
        yield piece
    if begun and not inflate.eof:
        raise ContentError("layer: the gzip stream ends too early")


def unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of all zstd frames in ``chunks``."""
    from crishim.image.unpack import zstd  # noqa: PLC0415  # few layers are

    yield from zstd.content(chunks, PIECE)


def plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks`` as they are."""
    yield from chunks


def _some(piece: bytes) -> tuple[bytes, ...]:
    return (piece,) if piece else ()


_READERS: dict[Compression, Callable[[Iterable[bytes]], Iterator[bytes]]] = {
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


def decompress(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The uncompressed stream; raises ContentError when ``chunks`` are damaged, cut short or something else."""
    try:
        yield from _READERS[compression](chunks)
    except _INFLATE_ERROR as exc:
        raise ContentError(f"layer: not a valid {compression} stream: {exc}") from exc
