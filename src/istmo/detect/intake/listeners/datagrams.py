"""Datagrams: syslog and GELF over UDP. What does not fit into the kernel's buffer is lost, and counted."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

from istmo.clock import Clock
from istmo.detect.intake.listeners.chunks import Chunks
from istmo.detect.intake.listeners.gathering import Gathering
from istmo.detect.intake.listeners.messages import Messages, Sent
from istmo.detect.intake.listeners.senders import Senders
from istmo.detect.intake.rates import Rates
from istmo.errors import InvalidInput, TooLarge

BUFFER: Final = 16 << 20
"""What the kernel is asked to hold; it gives what ``net.core.rmem_max`` allows."""
AT_ONCE: Final = 200
"""Datagrams that are read before others have their turn."""
_LARGEST: Final = 65_535
_DROPPED: Final = getattr(socket, "SO_RXQ_OVFL", 40)
"""Linux tells beside a datagram how many did not fit so far."""
_ENDS: Final = b"\r\n\0"


class Datagrams:
    """One UDP port. ``chunks`` where its protocol has them."""

    def __init__(
        self,
        listener: socket.socket,
        messages: Messages,
        senders: Senders,
        gathering: Gathering,
        rates: Rates,
        clock: Clock,
        chunks: Chunks | None = None,
    ) -> None:
        self._listener = listener
        self._messages = messages
        self._senders = senders
        self._gathering = gathering
        self._rates = rates
        self._clock = clock
        self._chunks = chunks
        self._loop = asyncio.get_running_loop()
        self._is_open = False
        self._ever_dropped = 0
        self.dropped = 0
        """Datagrams that the kernel had no room for, since somebody asked last."""

    def start(self) -> None:
        """Begin to read."""
        self._is_open = True
        self._loop.add_reader(self._listener.fileno(), self._read)

    def close(self) -> None:
        """Read no more."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def look_round(self) -> None:
        """Give up messages of which chunks are missing, and count them."""
        for address in self._chunks.take_given_up(self._clock.monotonic()) if self._chunks else ():
            if (source := self._senders.admit(address)) is not None:
                self._gathering.refuse(source, "detect.gelf_incomplete")

    def take_dropped(self) -> int:
        """How many were lost since the last call."""
        dropped, self.dropped = self.dropped, 0
        return dropped

    def _read(self) -> None:
        now, at = self._clock.monotonic(), self._clock.now()
        for _ in range(AT_ONCE):
            try:
                data, told, _, address = self._listener.recvmsg(_LARGEST, 64)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # what an earlier answer of somebody's network brought back
                continue
            if told:
                self._note_dropped(told)
            if (source := self._senders.admit(address[0])) is None:
                continue
            if source.is_paused:
                self._gathering.refuse(source, "detect.source_paused")
                continue
            if not self._rates.has_room(source):
                self._gathering.refuse(source, "detect.rate_exceeded")
                continue
            try:
                message = self._chunks.take(data, address[0], now) if self._chunks else data
            except (InvalidInput, TooLarge) as error:
                self._gathering.refuse(source, error.code)
                continue
            if message and (message := message.strip(_ENDS)):
                self._gathering.take(self._messages, message, Sent(source, address[0], at))
        if self._gathering.is_full and self._is_open:
            self._loop.remove_reader(self._listener.fileno())
            self._gathering.call_on_room(self._resume)

    def _resume(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._listener.fileno(), self._read)

    def _note_dropped(self, told: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in told:
            if level == socket.SOL_SOCKET and kind == _DROPPED and len(data) >= 4:
                (ever,) = struct.unpack("=I", data[:4])
                self.dropped += (ever - self._ever_dropped) & 0xFFFFFFFF
                self._ever_dropped = ever


def prepare(listener: socket.socket) -> None:
    """A large buffer, and to be told what did not fit into it."""
    listener.setblocking(False)
    try:  # past net.core.rmem_max, for those who may
        listener.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), BUFFER)
    except OSError:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    try:
        listener.setsockopt(socket.SOL_SOCKET, _DROPPED, 1)
    except OSError:  # not Linux: drops stay unknown
        return
