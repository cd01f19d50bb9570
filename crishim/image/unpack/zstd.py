"""Decompression of zstd, which is in the standard library from Python 3.14 on. Imported with the first such layer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from crishim.image.errors import ContentError
from crishim.image.unpack.members import count_down

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAX_WINDOW_LOG = 27
_OPTIONS = {int(zstd.DecompressionParameter.window_log_max): _MAX_WINDOW_LOG}


def content(chunks: Iterable[bytes], piece: int, frames: int) -> Iterator[bytes]:
    """The content of up to ``frames`` in ``chunks``, at most ``piece`` bytes at a time.

    Raises ContentError and LimitError.
    """
    try:
        yield from _frames(chunks, piece, frames)
    except zstd.ZstdError as exc:
        raise ContentError(f"layer: not a valid zstd stream: {exc}") from exc


def _frames(chunks: Iterable[bytes], piece: int, frames: int) -> Iterator[bytes]:
    frame, begun = zstd.ZstdDecompressor(options=_OPTIONS), False
    for chunk in chunks:
        data = chunk
        while data or (begun and not frame.needs_input):
            begun = True
            if some := frame.decompress(data, piece):
                yield some
            data = b""
            if frame.eof:
                frames = count_down(frames)
                data, begun = frame.unused_data, False
                frame = zstd.ZstdDecompressor(options=_OPTIONS)
    if begun:
        raise ContentError("layer: the zstd stream ends too early")
