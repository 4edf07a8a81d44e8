"""What a commit brings is made from the ring on, once for many rings, and no ring is missed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from istmo.kit.ringing import Ringing

LONG = 30.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


class Counted:
    """Something whose newest number is made; ``holding`` makes the maker wait for ``let_go``."""

    def __init__(self) -> None:
        self.newest = self.makes = 0
        self.began, self._free = threading.Event(), threading.Event()
        self._free.set()

    def make(self) -> int:
        self.makes += 1
        found = self.newest
        self.began.set()
        assert self._free.wait(LONG)
        return found

    def hold(self) -> None:
        self.began.clear()
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()


async def in_thread(action: Callable[..., Any], *arguments: Any) -> None:
    await asyncio.to_thread(action, *arguments)


def test_a_ring_while_the_consumer_rests_begins_at_once(threads: ThreadPoolExecutor) -> None:
    thing = Counted()

    async def go() -> None:
        ringing = Ringing(thing.make, threads=threads)
        assert await ringing.made() == 0
        resting = asyncio.create_task(ringing.rest(LONG))
        await asyncio.sleep(0)
        thing.newest = 7
        thing.began.clear()
        ringing.ring()
        # Before the loop has had a turn: this thread of the loop waits here.
        assert thing.began.wait(LONG)
        await asyncio.wait_for(resting, LONG)
        assert await ringing.made() == 7
        assert thing.makes == 2, "what was begun at the ring is what is taken"

    asyncio.run(go())


def test_a_ring_while_something_is_being_made_is_not_missed(threads: ThreadPoolExecutor) -> None:
    thing = Counted()

    async def go() -> None:
        ringing = Ringing(thing.make, threads=threads)
        thing.hold()
        making = asyncio.create_task(ringing.made())
        await in_thread(thing.began.wait, LONG)
        thing.newest = 3  # too late for what is being made
        ringing.ring()
        thing.let_go()
        assert await making == 0
        await asyncio.wait_for(ringing.rest(LONG), LONG / 2)
        assert await ringing.made() == 3

    asyncio.run(go())


def test_many_rings_are_one_making(threads: ThreadPoolExecutor) -> None:
    thing = Counted()

    async def go() -> None:
        ringing = Ringing(thing.make, threads=threads)
        await ringing.made()
        resting = asyncio.create_task(ringing.rest(LONG))
        await asyncio.sleep(0)
        thing.hold()
        for number in range(1, 51):
            thing.newest = number
            ringing.ring()
        thing.let_go()
        await asyncio.wait_for(resting, LONG)
        last = await ringing.made()
        await asyncio.wait_for(ringing.rest(LONG if last != 50 else 0.0), LONG / 2)
        assert 50 in (last, await ringing.made())
        assert thing.makes <= 4

    asyncio.run(go())


def test_a_rest_ends_by_itself_and_by_a_wake(threads: ThreadPoolExecutor) -> None:
    thing = Counted()

    async def go() -> None:
        ringing = Ringing(thing.make, threads=threads)
        await ringing.made()
        await ringing.rest(0.0)
        resting = asyncio.create_task(ringing.rest(LONG))
        await asyncio.sleep(0)
        await in_thread(ringing.wake)
        await asyncio.wait_for(resting, LONG / 2)
        assert thing.makes == 1, "a wake makes nothing"

    asyncio.run(go())


def test_what_making_raises_reaches_the_consumer(threads: ThreadPoolExecutor) -> None:
    def fail() -> int:
        raise ValueError("no")

    async def go() -> None:
        ringing = Ringing(fail, threads=threads)
        with pytest.raises(ValueError, match="no"):
            await ringing.made()

    asyncio.run(go())


def test_a_ring_after_the_threads_have_gone_only_wakes() -> None:
    thing, gone = Counted(), ThreadPoolExecutor(1)

    async def go() -> None:
        ringing = Ringing(thing.make, threads=gone)
        await ringing.made()
        resting = asyncio.create_task(ringing.rest(LONG))
        await asyncio.sleep(0)
        gone.shutdown()
        ringing.ring()
        await asyncio.wait_for(resting, LONG / 2)

    asyncio.run(go())
