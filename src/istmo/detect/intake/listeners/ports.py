"""The ports, opened and kept open; what of them is to be told to the administrator."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from istmo.clock import Clock
from istmo.detect.eventstore.log import EventLog
from istmo.detect.intake.denials import MINUTE, Denials
from istmo.detect.intake.desk import Desk
from istmo.detect.intake.listeners.chunks import Chunks
from istmo.detect.intake.listeners.datagrams import Datagrams, prepare
from istmo.detect.intake.listeners.framing import Framing
from istmo.detect.intake.listeners.gathering import Gathering
from istmo.detect.intake.listeners.messages import GelfMessages, Messages, SyslogMessages
from istmo.detect.intake.listeners.senders import Senders
from istmo.detect.intake.listeners.streams import Streams
from istmo.detect.intake.pinning import server_context
from istmo.detect.intake.rates import Rates
from istmo.detect.intake.sources import Sources
from istmo.detect.wire import Notice
from istmo.settings import Limits

log = structlog.get_logger(__name__)

KINDS: Final = ("syslog_udp", "syslog_tcp", "syslog_tls", "gelf_udp", "gelf_tcp")
"""By the names of their settings."""
LONGEST_SYSLOG: Final = 256 << 10
"""Octets of a syslog message: RFC 5425 asks for 8,192; events of Windows in XML come near 64 KB."""
_ROUND: Final = 1.0
_OPEN_AGAIN: Final = 5.0
_READY: Final = 0.05
_HANDSHAKE: Final = 10.0
_BACKLOG: Final = 512
_GOODBYE: Final = 2.0
"""Seconds in which senders may notice that the node is going, and what they have sent is read."""
_LAST_STORE: Final = 3.0


class Listeners:
    """All ports of senders that are not answered. ``run`` until cancelled, then ``close``."""

    def __init__(
        self,
        host: str,
        ports: Mapping[str, int],
        event_log: EventLog,
        sources: Sources,
        denials: Denials,
        limits: Limits,
        clock: Clock,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        """``ports``: by kind, those that are asked for. ``certificate`` and its key: what TLS shows."""
        self._host = host
        self._ports = dict(ports)
        self._limits = limits
        self._clock = clock
        self._denials = denials
        self._certificate = certificate
        self._senders = Senders(sources, denials, clock)
        self._rates = Rates(clock)
        self._gathering = Gathering(Desk(event_log, sources, limits, clock))
        self._storing: asyncio.Task[None] | None = None
        self._streams: dict[str, Streams] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._datagrams: dict[str, Datagrams] = {}
        self._notices: list[Notice] = []
        self._failed: dict[str, str] = {}
        self._quiet_until: dict[str, float] = {}
        self.bound: dict[str, int] = {}
        """By kind, the port that is really bound."""

    async def run(self) -> None:
        """Open the ports, and try again those that cannot be opened."""
        self._storing = asyncio.create_task(self._gathering.run())
        # Who may send is not known yet: nobody is turned away for that.
        while not self._senders.is_ready:  # noqa: ASYNC110 - once, at the start
            await asyncio.sleep(_READY)
        next_try = self._clock.monotonic()
        while not self._storing.done():
            if self._clock.monotonic() >= next_try:
                next_try += _OPEN_AGAIN
                for kind in self._ports.keys() - self.bound.keys():
                    await self._open(kind)
            for stream in self._streams.values():
                stream.look_round()
            for port in self._datagrams.values():
                port.look_round()
            await asyncio.sleep(_ROUND)
        self._storing.result()

    async def close(self) -> None:
        """Read no more, store what was read."""
        for server in self._servers.values():
            server.close()
        for stream in self._streams.values():
            stream.say_goodbye()
        deadline = asyncio.get_running_loop().time() + _GOODBYE
        while any(one.open for one in self._streams.values()):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_READY)
        for port in self._datagrams.values():
            port.close()
        for stream in self._streams.values():
            stream.close()
        if self._storing is not None:
            self._gathering.finish()
            _, late = await asyncio.wait([self._storing], timeout=_LAST_STORE)
            for task in late:
                task.cancel()

    def take_notices(self) -> list[Notice]:
        """What there is to tell; of what goes on, once a minute."""
        told, self._notices = self._notices, []
        for kind, port in self._datagrams.items():
            if port.dropped and self._may_tell(kind):
                told.append(Notice("detect.datagrams_dropped", self._about(kind, n=port.take_dropped())))
        for kind, stream in self._streams.items():
            if stream.too_many and self._may_tell(kind):
                told.append(Notice("detect.listener_full", self._about(kind, n=stream.too_many)))
                stream.too_many = 0
        return told

    def _may_tell(self, kind: str) -> bool:
        now = self._clock.monotonic()
        if now < self._quiet_until.get(kind, 0.0):
            return False
        self._quiet_until[kind] = now + MINUTE
        return True

    def _about(self, kind: str, **more: Any) -> dict[str, str | int]:
        return {"listener": kind, "port": self.bound.get(kind, self._ports[kind]), **more}

    async def _open(self, kind: str) -> None:
        try:
            listener = _bound(self._host, self._ports[kind], is_stream=not kind.endswith("_udp"))
        except OSError as error:
            self._cannot_open(kind, error.strerror or type(error).__name__)
            return
        try:
            if kind.endswith("_udp"):
                self._open_datagrams(kind, listener)
            else:
                await self._open_stream(kind, listener)
        except OSError as error:  # a certificate that cannot be read, too
            listener.close()
            self._cannot_open(kind, error.strerror or str(error) or type(error).__name__)
            return
        self._failed.pop(kind, None)
        self.bound[kind] = listener.getsockname()[1]
        log.info("listening", listener=kind, host=self._host, port=self.bound[kind])

    def _cannot_open(self, kind: str, detail: str) -> None:
        if self._failed.get(kind) != detail:
            self._failed[kind] = detail
            self._notices.append(Notice("detect.listener_port", self._about(kind, detail=detail[:200])))

    def _open_datagrams(self, kind: str, listener: socket.socket) -> None:
        prepare(listener)
        chunks = Chunks(self._limits) if kind == "gelf_udp" else None
        messages = self._messages(kind)
        self._datagrams[kind] = Datagrams(
            listener, messages, self._senders, self._gathering, self._rates, self._clock, chunks
        )
        self._datagrams[kind].start()

    async def _open_stream(self, kind: str, listener: socket.socket) -> None:
        is_gelf = kind == "gelf_tcp"
        longest = self._limits.line_bytes if is_gelf else min(LONGEST_SYSLOG, self._limits.line_bytes)
        streams = Streams(
            self._messages(kind),
            lambda: Framing(longest, is_counted=not is_gelf),
            self._senders,
            self._gathering,
            self._rates,
            self._clock,
        )
        how: dict[str, Any] = {}
        if kind == "syslog_tls":
            if self._certificate is None:
                raise OSError("no certificate")
            how["ssl"] = server_context(*self._certificate, self._is_registered)
            how["ssl_handshake_timeout"] = _HANDSHAKE
        loop = asyncio.get_running_loop()
        self._servers[kind] = await loop.create_server(
            streams.connection, sock=listener, backlog=_BACKLOG, **how
        )
        self._streams[kind] = streams

    def _messages(self, kind: str) -> Messages:
        return GelfMessages() if kind.startswith("gelf") else SyslogMessages(self._limits)

    def _is_registered(self, fingerprint: str) -> bool:
        is_known = self._senders.has_certificate(fingerprint)
        if not is_known:  # the handshake ends here: nobody else would count it
            self._denials.count("detect.certificate_unknown", "TLS")
        return is_known


def _bound(host: str, port: int, *, is_stream: bool) -> socket.socket:
    """A socket at a port. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
    try:
        if is_stream:  # of a UDP port nothing lingers, and two could share it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
