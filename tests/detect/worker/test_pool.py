"""Processes aside: one waits, fresh, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from istmo.detect.aside import pool as pools
from istmo.detect.aside.jobs import FindHits, Found
from istmo.detect.aside.pool import Pool
from istmo.detect.eventstore.folder import EventFolder


def hunt_for_nothing() -> FindHits:
    return FindHits(indicators=[], upto={}, now=0, seconds=5.0)


async def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - a process starts and ends outside this loop
            await asyncio.sleep(0.01)


async def answers(pool: Pool) -> list[Found]:
    return [answer async for answer in pool.run(hunt_for_nothing())]


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_process_waits_for_work_and_a_used_one_makes_room_for_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "IDLE_SECONDS", 0.1)
    EventFolder(tmp_path)

    async def go() -> int:
        pool = Pool(tmp_path)
        pool.keep_one()
        await until(lambda: pool._idle)
        waiting = pool._idle[0][0].pid
        assert [answer.done for answer in await answers(pool)] == [True]
        await until(lambda: is_gone(waiting))
        await until(lambda: pool._idle and pool._idle[0][0].pid != waiting)
        fresh: int = pool._idle[0][0].pid
        os.kill(fresh, 0)
        await pool.close()
        assert is_gone(fresh)
        return waiting

    assert asyncio.run(go())


def test_closing_while_the_first_one_is_still_to_start_leaves_nothing(tmp_path: Path) -> None:
    async def go() -> None:
        pool = Pool(tmp_path)
        pool.keep_one(60.0)
        await asyncio.sleep(0)
        await asyncio.wait_for(pool.close(), 5)
        assert not pool._idle

    asyncio.run(go())
