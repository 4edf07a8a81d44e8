"""Unpacking a gzip or zlib body as it comes, never more at once than asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from istmo.errors import InvalidInput, TooLarge

PIECE = 256 << 10
_EITHER = 47
"""zlib finds out by itself whether it is gzip or zlib (HTTP's "deflate")."""
_FREE = 1 << 20
"""Bytes that may come out before the ratio counts: a short body of spaces is no bomb."""


class Inflater:
    """A gzip stream of one or several members, or a zlib one."""

    def __init__(self, most: int, ratio: int) -> None:
        """``most`` bytes may come out, and at most ``ratio`` times what went in."""
        self._most = most
        self._ratio = ratio
        self._stream = zlib.decompressobj(_EITHER)
        self._went_in = self._came_out = 0
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces of at most 256 KB. Raises InvalidInput when it is no gzip, TooLarge on a bomb."""
        self._went_in += len(data)
        while data:
            if self._stream.eof:  # another member follows
                self._stream = zlib.decompressobj(_EITHER)
            try:
                piece = self._stream.decompress(data, PIECE)
            except zlib.error:
                raise InvalidInput("detect.body_not_gzip") from None
            self._has_begun = True
            self._came_out += len(piece)
            if self._came_out > self._most or self._came_out > _FREE + self._ratio * self._went_in:
                raise TooLarge("detect.body_bomb", ratio=self._ratio)
            if piece:
                yield piece
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def finish(self) -> None:
        """Raises InvalidInput when the stream ended before its end."""
        if self._has_begun and not self._stream.eof:
            raise InvalidInput("detect.body_cut_short")
