"""Unpacking a Zstandard stream (RFC 8878) as it comes, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import zstandard

from istmo.errors import InvalidInput, TooLarge
from istmo.settings import Limits

SIGNATURE: Final = b"\x28\xb5\x2f\xfd"
_SLICE: Final = 512
"""Bytes in at once: a block of 4 may come to 128 KB, so that 16 MB is the most that comes out at once."""
_FREE: Final = 1 << 20
_WINDOW: Final = 64 << 20
"""A frame that needs more memory than this to be read is not read."""


def unpacked(chunks: Iterator[bytes], limits: Limits, place: str) -> Iterator[bytes]:
    """Pieces of what one frame or several hold.

    Raises InvalidInput where it is damaged or cut short, TooLarge on a bomb.
    """
    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    frame = unpacker.decompressobj()
    went_in = came_out = 0
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                data, rest = rest[:_SLICE], rest[_SLICE:]
                went_in += len(data)
                while data:
                    if frame.eof:  # another frame follows
                        frame = unpacker.decompressobj()
                    piece = frame.decompress(data)
                    came_out += len(piece)
                    if came_out > limits.archive_bytes or came_out > _FREE + limits.archive_ratio * went_in:
                        raise TooLarge("detect.archive_bomb", file=place, ratio=limits.archive_ratio)
                    if piece:
                        yield piece
                    data = memoryview(frame.unused_data if frame.eof else b"")
    except zstandard.ZstdError as error:
        raise InvalidInput("detect.archive_unreadable", file=place, detail=str(error)[:200]) from None
    if not frame.eof:
        raise InvalidInput("detect.archive_unreadable", file=place, detail="zstd")
