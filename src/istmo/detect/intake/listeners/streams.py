"""Connections: syslog over TCP and TLS, GELF over TCP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from istmo.clock import Clock
from istmo.detect.intake.listeners.framing import Framing
from istmo.detect.intake.listeners.gathering import Gathering
from istmo.detect.intake.listeners.messages import Messages, Sent
from istmo.detect.intake.listeners.senders import Senders
from istmo.detect.intake.pinning import fingerprint_of
from istmo.detect.intake.rates import Rates
from istmo.detect.wire import WireSource

MOST_CONNECTIONS: Final = 1_000
"""At one port."""
PATIENCE: Final = 60.0
"""Seconds that a sender may be silent in the middle of a message."""
LONGEST_PAUSE: Final = 10.0
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Who is gone without a word is noticed after two minutes; who has nothing to say may stay silent."""


class Streams:
    """What the connections of one port have in common."""

    def __init__(
        self,
        messages: Messages,
        framing: Callable[[], Framing],
        senders: Senders,
        gathering: Gathering,
        rates: Rates,
        clock: Clock,
    ) -> None:
        self.messages = messages
        self.framing = framing
        self.senders = senders
        self.gathering = gathering
        self.rates = rates
        self.clock = clock
        self.open: set[Connection] = set()
        self.too_many = 0
        """Connections that were closed at once, since as many as may be were open."""

    def connection(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self)

    def look_round(self) -> None:
        """End what stopped in the middle of a message, and connections whose source may send no more."""
        now = self.clock.monotonic()
        for connection in list(self.open):
            connection.check(now)

    def say_goodbye(self) -> None:
        """Tell every sender that it is the end. What is on its way is still read: senders that look find out
        before they write more, and lose nothing."""
        for connection in list(self.open):
            connection.say_goodbye()

    def close(self) -> None:
        """End every connection; what they hold is taken."""
        for connection in list(self.open):
            connection.end()


class Connection(asyncio.Protocol):
    """One sender's connection."""

    def __init__(self, port: Streams) -> None:
        self._port = port
        self._framing = port.framing()
        self._address = self._certificate = ""
        self._heard = 0.0
        self._is_paused = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._address = (transport.get_extra_info("peername") or ("",))[0]
        self._certificate = _certificate(transport)
        if len(self._port.open) >= MOST_CONNECTIONS:
            self._port.too_many += 1
            transport.abort()
            return
        self._transport = transport
        self._port.open.add(self)
        self._heard = self._port.clock.monotonic()
        _keep_alive(transport)
        self._admitted()

    def data_received(self, data: bytes) -> None:
        if self._transport is None or (source := self._admitted()) is None:
            return
        self._heard = self._port.clock.monotonic()
        self._take(self._framing.feed(data))
        if self._framing.is_lost:
            self._port.gathering.refuse(source, "detect.framing_lost")
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish()

    def check(self, now: float) -> None:
        """Whether the connection still makes sense."""
        source = self._admitted()
        if source is not None and self._framing.size and not self._is_paused and now - self._heard > PATIENCE:
            self._port.gathering.refuse(source, "detect.sender_silent")
            self.end()

    def say_goodbye(self) -> None:
        """Close our half of the connection; TLS has no halves."""
        if self._transport is None:
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self.end()

    def end(self) -> None:
        """Take what there is, and close."""
        transport = self._transport
        self._finish()
        if transport is not None:
            transport.close()

    def _finish(self) -> None:
        if self._transport is None:
            return
        self._transport = None
        self._port.open.discard(self)
        self._take(self._framing.finish())

    def _admitted(self) -> WireSource | None:
        """The source, or None: then the connection has been closed."""
        source = self._port.senders.admit(self._address, self._certificate)
        if source is None and self._transport is not None:
            self._port.open.discard(self)
            self._transport.abort()
            self._transport = None
        return source

    def _take(self, found: list[bytes | None]) -> None:
        port = self._port
        if not found or (source := port.senders.admit(self._address, self._certificate)) is None:
            return
        sent = Sent(source, self._address, port.clock.now())
        for message in found:
            if source.is_paused:
                port.gathering.refuse(source, "detect.source_paused")
            elif message is None:
                port.gathering.refuse(source, "detect.line_too_long")
            else:
                port.gathering.take(port.messages, message, sent)
        wait = port.rates.take(source, len(found))
        if port.gathering.is_full:
            self._pause()
            port.gathering.call_on_room(self._resume)
        elif wait > 0 or source.is_paused:
            # Of a paused source little is read and refused: meanwhile its sender's own queue fills.
            self._pause()
            seconds = LONGEST_PAUSE if source.is_paused else min(wait, LONGEST_PAUSE)
            asyncio.get_running_loop().call_later(seconds, self._resume)

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._is_paused = False
        self._heard = self._port.clock.monotonic()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


def _certificate(transport: asyncio.Transport) -> str:
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    shown = secured.getpeercert(binary_form=True) if secured is not None else None
    return fingerprint_of(shown) if shown else ""


def _keep_alive(transport: asyncio.Transport) -> None:
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
