"""The worker's end: a few processes aside, started when needed, stopped when idle; one waits, fresh.

A hunt must not wait for a Python to start. What a process has read stays in its memory, so the one that
waits is one that has done nothing yet. Nor must it wait for searches to end: whoever asks the same thing
many times over would delay what every member of the region relies on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import structlog

from istmo.detect.aside.jobs import (
    FindByRules,
    FindBySql,
    FindHits,
    FindRows,
    Found,
    Job,
    decode_answer,
    encode,
)
from istmo.detect.eventstore.sealing import NO_KEYS, Keys
from istmo.detect.wire import Problem

log = structlog.get_logger(__name__)

MOST: Final = 4
MOST_HUNTS: Final = 1
"""Processes kept free for hunts; searches and closing segments share the others."""
MOST_SCHEDULED: Final = 1
"""What nobody waits for: saved hunts that run by themselves, one after another."""
IDLE_SECONDS: Final = 20.0
_LONGEST: Final = 256 << 20
_SQL_GRACE: Final = 10.0
"""Seconds past its own bound after which a process that runs SQL is ended from here."""


class Pool:
    """Runs jobs, ``MOST`` at a time, each kind within a bound of its own. All belongs to one event loop."""

    def __init__(self, events: Path, keys: Keys = NO_KEYS) -> None:
        """``keys`` are handed over to each process: the file that they came from may have gone since."""
        self._events, self._keys = events, keys
        self._hunts = asyncio.Semaphore(MOST_HUNTS)
        self._scheduled = asyncio.Semaphore(MOST_SCHEDULED)
        self._others = asyncio.Semaphore(MOST - MOST_HUNTS - MOST_SCHEDULED)
        self._idle: list[tuple[asyncio.subprocess.Process, asyncio.TimerHandle | None]] = []
        self._busy: set[asyncio.subprocess.Process] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._is_closed = False

    def keep_one(self, delay: float = 0.0) -> None:
        """From now on let a fresh process wait for work; the first one starts after ``delay`` seconds."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.get_running_loop().create_task(self._keep_one(delay))

    async def _keep_one(self, delay: float) -> None:
        await asyncio.sleep(delay)
        if not self._idle and not self._is_closed:
            self._idle.append((await self._start(), None))

    async def run(self, job: Job) -> AsyncGenerator[Found, None]:
        """A job's answers. Leaving the iterator early (``aclose``) ends the job with its process."""
        async with self._room_for(job):
            process = await self._take()
            self._busy.add(process)
            is_done = False
            try:
                if process.stdin is None or process.stdout is None:
                    raise RuntimeError("a process aside without pipes")
                process.stdin.write(encode(job))
                await process.stdin.drain()
                longest = job.seconds + _SQL_GRACE if isinstance(job, FindBySql) else None
                end = None if longest is None else asyncio.get_running_loop().time() + longest
                while not is_done:
                    async with asyncio.timeout_at(end):
                        answer = await _next_answer(process.stdout)
                    is_done = answer.done
                    if not is_done:
                        yield answer
            except TimeoutError:
                log.error("sql_ended")
                answer = Found(True, problem=_cut_short(job))
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                log.error("aside_died", job=type(job).__name__, problem=repr(error))
                answer = Found(True, problem=Problem("", "detect.aside_failed", {}))
            finally:
                self._busy.discard(process)
                # What ran SQL that somebody wrote is confined for good, and is trusted with nothing else.
                if is_done and not isinstance(job, FindBySql):
                    self._give_back(process)
                else:
                    await _end(process)
                    if self._keeping is not None and not self._idle and not self._is_closed:
                        self.keep_one()
        yield answer

    def _room_for(self, job: Job) -> asyncio.Semaphore:
        if isinstance(job, FindHits):
            return self._hunts
        is_scheduled = isinstance(job, (FindRows, FindByRules, FindBySql)) and job.scheduled
        return self._scheduled if is_scheduled else self._others

    async def close(self) -> None:
        """End every process."""
        self._is_closed = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        for process, timer in self._idle:
            if timer is not None:
                timer.cancel()
            await _end(process)
        self._idle.clear()
        for process in list(self._busy):
            await _end(process)

    async def _take(self) -> asyncio.subprocess.Process:
        while self._idle:
            process, timer = self._idle.pop()
            if timer is not None:
                timer.cancel()
            if process.returncode is None:
                return process
        return await self._start()

    async def _start(self) -> asyncio.subprocess.Process:
        with self._keys.handed_over() as keys:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "istmo.detect.aside",
                str(self._events),
                str(keys),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
                pass_fds=[keys],
            )

    def _give_back(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        self._idle.append((process, loop.call_later(IDLE_SECONDS, self._expire, process)))

    def _expire(self, process: asyncio.subprocess.Process) -> None:
        self._idle = [one for one in self._idle if one[0] is not process]
        if process.stdin is not None:
            process.stdin.close()  # it ends by itself at the end of its input
        if self._keeping is not None and not self._idle and not self._is_closed:
            self.keep_one()


def _cut_short(job: Job) -> Problem:
    seconds = int(job.seconds) if isinstance(job, FindBySql) else 0
    return Problem("", "detect.sql_cut_short", {"seconds": seconds})


async def _next_answer(pipe: asyncio.StreamReader) -> Found:
    length = int.from_bytes(await pipe.readexactly(4), "big")
    if length > _LONGEST:
        raise ConnectionError("an answer past all measure")
    return decode_answer(await pipe.readexactly(length))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
