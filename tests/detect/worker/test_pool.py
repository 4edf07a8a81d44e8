"""Processes aside: one waits, fresh, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from istmo.detect.aside import pool as pools
from istmo.detect.aside.jobs import FindHits, FindRows, Found
from istmo.detect.aside.pool import Pool
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.wire import Position

from ..search.test_find import fill  # noqa: TID252 - works with and without tests as a package


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


def test_a_hunt_does_not_wait_for_searches(tmp_path: Path) -> None:
    """Never: whoever searches a lot delays the hunt for what a member has just published."""
    fill(tmp_path / "events", [b'{"n":%d}' % n for n in range(500)], segments=1)
    everything = FindRows(query="", start=None, end=None, limit=500, upto=Position(1 << 40, 0), seconds=60.0)

    async def go() -> None:
        pool = Pool(tmp_path / "events")
        searches = [pool.run(everything) for _ in range(pools.MOST - pools.MOST_HUNTS - pools.MOST_SCHEDULED)]
        for one in searches:
            assert not (await anext(one)).done
        next_one = asyncio.ensure_future(anext(pool.run(everything)))
        assert [answer.done for answer in await asyncio.wait_for(answers(pool), 20)] == [True]
        assert not next_one.done(), "more searches than may run at once"
        by_itself = pool.run(msgspec.structs.replace(everything, scheduled=True))
        assert not (await asyncio.wait_for(anext(by_itself), 20)).done, "it has a place of its own"
        await by_itself.aclose()
        await searches[0].aclose()
        assert not (await asyncio.wait_for(next_one, 20)).done
        await searches[1].aclose()
        await pool.close()

    asyncio.run(go())
