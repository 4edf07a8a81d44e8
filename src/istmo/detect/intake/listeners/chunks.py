"""GELF datagrams: whole, packed (zlib, gzip), or in chunks that come in any order.

https://go2docs.graylog.org/current/getting_in_log_data/gelf.html: a chunk is ``1e 0f``, eight octets that
name its message, its number, how many there are (128 at most), and its part. All come within five seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from istmo.detect.intake.inflating import Inflater
from istmo.errors import InvalidInput, TooLarge
from istmo.settings import Limits

MAGIC: Final = b"\x1e\x0f"
MOST_CHUNKS: Final = 128
SECONDS: Final = 5.0
MOST_OPEN: Final = 1_000
"""Messages of which chunks are missing, of all senders; the oldest gives way."""
MOST_OPEN_BYTES: Final = 16 << 20
_HEAD: Final = 12
_PACKED: Final = (b"\x1f\x8b", b"\x78")


@dataclass
class _Open:
    began: float
    parts: list[bytes | None]
    missing: int
    size: int = 0


class Chunks:
    """Puts messages together. Each sender's are apart: nobody can add to another one's."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: OrderedDict[tuple[str, bytes], _Open] = OrderedDict()
        self._size = 0
        self._given_up: list[str] = []

    def take(self, datagram: bytes, address: str, now: float) -> bytes | None:
        """The message that is whole with this datagram; None where chunks of it are missing.

        Raises InvalidInput for a chunk or a packed message that is none, TooLarge past ``limits.line_bytes``.
        """
        if datagram[:2] != MAGIC:
            return self._unpacked(datagram)
        whole = self._joined(datagram, address, now)
        return None if whole is None else self._unpacked(whole)

    def take_given_up(self, now: float) -> list[str]:
        """The addresses of messages that were given up since the last call: chunks of them did not come."""
        while self._open and next(iter(self._open.values())).began + SECONDS < now:
            self._drop_oldest()
        given_up, self._given_up = self._given_up, []
        return given_up

    def _joined(self, chunk: bytes, address: str, now: float) -> bytes | None:
        if len(chunk) <= _HEAD:
            raise InvalidInput("detect.gelf_chunk")
        name, number, count = (address, chunk[2:10]), chunk[10], chunk[11]
        part = chunk[_HEAD:]
        if not 0 < count <= MOST_CHUNKS or number >= count:
            raise InvalidInput("detect.gelf_chunk")
        found = self._open.get(name)
        if found is None:
            found = self._open[name] = _Open(now, [None] * count, count)
        if len(found.parts) != count:
            raise InvalidInput("detect.gelf_chunk")
        if found.parts[number] is not None:  # the network may double a datagram
            return None
        found.parts[number] = part
        found.missing -= 1
        found.size += len(part)
        self._size += len(part)
        if found.size > self._limits.line_bytes:
            self._drop(name)
            raise TooLarge("detect.line_too_long", limit=self._limits.line_bytes)
        if not found.missing:
            self._drop(name)
            return b"".join(one for one in found.parts if one is not None)
        while len(self._open) > MOST_OPEN or self._size > MOST_OPEN_BYTES:
            self._drop_oldest()
        return None

    def _drop(self, name: tuple[str, bytes]) -> None:
        self._size -= self._open.pop(name).size

    def _drop_oldest(self) -> None:
        name = next(iter(self._open))
        self._drop(name)
        self._given_up.append(name[0])

    def _unpacked(self, message: bytes) -> bytes:
        if not message.startswith(_PACKED):
            return message
        inflate = Inflater(self._limits.line_bytes, self._limits.archive_ratio)
        try:
            whole = b"".join(inflate.feed(message))
        except TooLarge:
            raise TooLarge("detect.line_too_long", limit=self._limits.line_bytes) from None
        inflate.finish()
        return whole
