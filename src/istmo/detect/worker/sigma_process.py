"""The worker's hold on its Sigma process: starts it, hands on what it must know, passes on what it says."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Final

import structlog

from istmo.clock import Clock
from istmo.detect.eventstore.log import EventLog
from istmo.detect.wire import DropRules, Hits, Position, PutRules, StoredState
from istmo.detect.worker.aloof import (
    Follow,
    Reaches,
    Rest,
    Said,
    Standing,
    Told,
    ToSigma,
    decode_to_stage,
    encode,
    read_frame,
)
from istmo.detect.worker.link import Connection, LinkLost
from istmo.detect.worker.pauses import Pauses

log = structlog.get_logger(__name__)

_END_SECONDS: Final = 10.0


class SigmaProcess:
    """All of it belongs to one event loop, but for ``wake``."""

    def __init__(
        self, data: Path, event_log: EventLog, loop: asyncio.AbstractEventLoop, clock: Clock
    ) -> None:
        self._data = data
        self._log = event_log
        self._loop = loop
        self._pauses = Pauses(clock)
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._is_up = asyncio.Event()
        self._is_telling = False
        self._connection: Connection | None = None
        self._talk = 0
        self.position = Position()
        self.rules = 0
        self.correlations: dict[str, int] = {}
        self.has_failed = False
        self.endings = 0
        """How often the process has ended by itself."""

    def start(self) -> None:
        """Start the process, and start it again whenever it ends."""
        self._keeping = self._loop.create_task(self._keep())

    async def begin(self, connection: Connection) -> None:
        """A conversation with the web process: what is said from now on is said to it."""
        await self._is_up.wait()
        self._talk += 1
        self._connection = connection

    def tell(self, message: PutRules | DropRules) -> None:
        """Hand on what the web process says of rules; ``Live`` comes back once they are in force."""
        self._send(Told(self._talk, message))

    def follow(self, position: Position, judged: int, state: StoredState | None) -> None:
        """Evaluate everything from ``position`` on; correlations go on from what they remembered there."""
        self.position = position
        self._tell_reach()
        self._send(Follow(self._talk, position, judged, state))

    def pause(self) -> None:
        """Rest until the next ``follow``."""
        self._connection = None
        self._send(Rest())

    def wake(self) -> None:
        """There are new events. Callable from any thread."""
        if not self._is_telling:
            self._is_telling = True
            self._loop.call_soon_threadsafe(self._tell_reach)

    async def close(self) -> None:
        """End the process."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()  # the end of its input is the end of its work
        if self._process is not None and self._process.returncode is None:
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def _tell_reach(self) -> None:
        self._is_telling = False
        head = self._log.head
        self._send(Reaches(head.position, head.offset, head.events))

    def _send(self, message: ToSigma) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))

    async def _keep(self) -> None:
        while True:
            ours, theirs = socket.socketpair()
            with self._log.folder.keys.handed_over() as keys:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "istmo.detect.worker.sigma",
                    str(self._data),
                    str(keys),
                    stdin=theirs.fileno(),
                    pass_fds=[keys],
                )
            theirs.close()
            reader, self._writer = await asyncio.open_connection(sock=ours)
            self._is_up.set()
            try:
                await self._hear(reader)
            finally:
                self._is_up.clear()
                self._writer.close()
            status = await self._process.wait()
            log.error("sigma_process_ended", status=status)
            if self._connection is not None:
                # The web process tells everything again to whoever begins anew.
                self._connection.close()
            self.endings += 1
            await asyncio.sleep(self._pauses.next())

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        while (body := await read_frame(reader)) is not None:
            match decode_to_stage(body):
                case Said(talk=talk, message=message):
                    if isinstance(message, Hits) and talk == self._talk:
                        self.position = message.position
                    if talk == self._talk and self._connection is not None:
                        try:
                            await self._connection.send(message)
                        except LinkLost:
                            log.info("link_lost_before_said")
                case Standing() as standing:
                    self.rules, self.correlations = standing.rules, standing.correlations
                    self.has_failed = standing.has_failed
