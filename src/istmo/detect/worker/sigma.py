"""``python -m istmo.detect.worker.sigma DATA KEYS``: the Sigma stage of a worker, in a process of its own.

Its standard input is a socket to the worker; it ends when that does. ``KEYS`` is the descriptor of the keys
that seal what is stored.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from istmo.clock import Clock, SystemClock
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.log import Block, Head
from istmo.detect.eventstore.sealing import Keys
from istmo.detect.process_log import log_to_stderr
from istmo.detect.sigma.engine import PlanFolder
from istmo.detect.wire import Costs, DropRules, Hits, Lags, Live, Position, PutRules
from istmo.detect.worker.aloof import (
    Follow,
    Reaches,
    Rest,
    Said,
    Standing,
    Told,
    ToStage,
    decode_to_sigma,
    encode,
    read_frame,
)
from istmo.detect.worker.lags import LagSample
from istmo.detect.worker.rules import SigmaStage
from istmo.settings import Settings, load_settings

log = structlog.get_logger(__name__)

_STANDING_SECONDS: Final = 1.0
_SWITCH_SECONDS: Final = 0.0005


class LogAsItRests:
    """The event log of another process: up to where it says, as the files hold it."""

    def __init__(self, folder: EventFolder) -> None:
        self.folder = folder
        self.head = Head(Position(), 0, 0)

    def recent(self, position: Position) -> Block | None:
        """Nothing is kept in memory here: what was just written is in the system's."""
        return None


class Voice:
    """One conversation: what is said in it goes to the worker with its number."""

    def __init__(self, writer: asyncio.StreamWriter, talk: int, standing: Callable[[], Standing]) -> None:
        self._writer = writer
        self._talk = talk
        self._standing = standing

    async def send(self, message: Live | Hits | Costs | Lags) -> None:
        """Waits while the worker has much unread. What is live is known to the worker before it is told."""
        if isinstance(message, Live):
            await say(self._writer, self._standing())
        await say(self._writer, Said(self._talk, message))


async def say(writer: asyncio.StreamWriter, message: ToStage) -> None:
    """Say something to the worker; nothing is heard any more when it has gone."""
    try:
        writer.write(encode(message))
        await writer.drain()
    except (ConnectionError, RuntimeError):
        log.info("said_to_nobody")


class Process:
    """The stage, and what it hears."""

    def __init__(self, settings: Settings, keys: Keys, clock: Clock, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._log = LogAsItRests(EventFolder(settings.events, keys))
        self._lags = LagSample(clock)
        lateness = max(0, settings.limits.lateness_seconds) * 1_000_000
        self._stage = SigmaStage(
            self._log,
            asyncio.get_running_loop(),
            clock,
            plans_of(settings),
            lateness=lateness,
            lags=self._lags,
            give_up=lambda: os._exit(1),  # begun anew, it goes on from what is stored
        )
        self._talk = 0

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Hear the worker until it has gone."""
        standing = asyncio.create_task(self._stand())
        try:
            while (body := await read_frame(reader)) is not None:
                self._hear(body)
        finally:
            standing.cancel()
            await asyncio.gather(standing, return_exceptions=True)
            await asyncio.to_thread(self._stage.close)

    def _hear(self, body: bytes) -> None:
        match decode_to_sigma(body):
            case Reaches(position=position, offset=offset, events=events):
                self._log.head = Head(position, offset, events)
                self._stage.wake()
            case Told(talk=talk, message=PutRules() as put):
                voice = Voice(self._writer, talk, self._standing)
                self._stage.put(put.generation, put.rules, voice, reset=put.reset, lists=put.lists)
            case Told(talk=talk, message=DropRules() as drop):
                self._stage.drop(drop.generation, drop.ids, Voice(self._writer, talk, self._standing))
            case Follow(talk=talk, position=position, judged=judged, state=state):
                self._talk = talk
                self._stage.follow(position, Voice(self._writer, talk, self._standing), judged, state)
            case Rest():
                self._stage.pause()

    def _standing(self) -> Standing:
        stage = self._stage
        return Standing(stage.position, stage.rules, stage.correlations, stage.has_failed)

    async def _stand(self) -> None:
        while True:
            await say(self._writer, self._standing())
            if self._talk and (lags := self._lags.take()):
                await say(self._writer, Said(self._talk, lags))
            await asyncio.sleep(_STANDING_SECONDS)


def plans_of(settings: Settings) -> PlanFolder | None:
    """Where compiled rules are kept; a folder that is no good for it costs a slower start."""
    try:
        return PlanFolder(settings.plans)
    except OSError as error:
        log.warning("plans_not_kept", folder=str(settings.plans), error=str(error))
        return None


async def _run(settings: Settings, keys: Keys) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=os.dup(0)))
    gc.freeze()
    await Process(settings, keys, SystemClock(), writer).run(reader)


def main() -> None:
    """Run until the worker has gone."""
    log_to_stderr()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the worker ends first, and says so
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Parsed events are many, small and without cycles: looking for cycles among them is what costs.
    gc.set_threshold(20_000, 20, 50)
    asyncio.run(_run(load_settings(Path(sys.argv[1])), Keys.take_over(int(sys.argv[2]))))


if __name__ == "__main__":
    main()
