"""The worker's end of the socket to the web process: dials, and dials again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from istmo.detect.unix_socket import address
from istmo.detect.wire import ToWeb, ToWorker, decode_to_worker, encode, read_frame

log = structlog.get_logger(__name__)

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


class LinkLost(ConnectionError):
    """The web process has gone; what was to be said is said again by whoever still means it."""


class Connection:
    """One conversation with the web process. It never comes back to life: the next is another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_lost = False

    async def send(self, message: ToWeb) -> None:
        """Raises LinkLost; waits while the web process has much unread."""
        if self.is_lost:
            raise LinkLost
        try:
            self._writer.write(encode(message))
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            self.is_lost = True
            raise LinkLost from error

    async def receive(self) -> ToWorker | None:
        """The next message; None at the end."""
        body = await read_frame(self._reader)
        return None if body is None else decode_to_worker(body)

    def close(self) -> None:
        self.is_lost = True
        self._writer.close()


Talk = Callable[[Connection], Awaitable[None]]


class Link:
    """Keeps a conversation going for as long as the worker lives."""

    def __init__(self, run: Path, talk: Talk) -> None:
        """``talk`` is one whole conversation; it returns when the other side has gone."""
        self._run = run
        self._talk = talk

    async def keep(self) -> None:
        """Dial until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                with address(self._run) as where:
                    reader, writer = await asyncio.open_unix_connection(where)
            except OSError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            connection = Connection(reader, writer)
            try:
                await self._talk(connection)
            except LinkLost:
                log.info("link_lost")
            except msgspec.DecodeError:
                log.exception("link_not_understood")
            finally:
                connection.close()
