"""A program that waits is answered when the thing has come, told what it may know, and holds nothing up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from istmo.errors import NotFound, RateLimited
from istmo.store.changes import Change, Changes
from istmo.web import waiting
from istmo.web.waiting import Waiting


class Thing:
    """Something that comes later, and how often it was looked at."""

    def __init__(self) -> None:
        self.changes, self.state, self.looks = Changes(), "", 0
        self.looked = threading.Event()

    def look(self) -> dict[str, Any]:
        self.looks += 1
        self.looked.set()
        if not self.state:
            raise NotFound("intel.no_object", object="x")
        return {"state": self.state}

    def becomes(self, state: str, *, about: str = "x") -> None:
        self.state = state
        self.changes.publish(Change("detection", "", {"indicators": frozenset({about})}))

    def until(self, one: Waiting, seconds: float) -> Any:
        return one.until(
            self.look,
            lambda answer: bool(answer["state"] == "live"),
            topic="detection",
            rings=lambda change: "x" in change.data["indicators"],
            seconds=seconds,
        )


async def after_a_look(thing: Thing, then: Callable[[], None]) -> None:
    await asyncio.to_thread(thing.looked.wait, 10)
    then()


def test_what_is_there_is_told_at_once_and_what_comes_as_it_comes() -> None:
    async def go() -> None:
        thing = Thing()
        one = Waiting(thing.changes, asyncio.Event())
        coming = asyncio.create_task(after_a_look(thing, lambda: thing.becomes("live")))
        assert await asyncio.wait_for(thing.until(one, 30), 10) == {"state": "live"}
        await coming
        looks = thing.looks
        assert await asyncio.wait_for(thing.until(one, 30), 10) == {"state": "live"}
        assert thing.looks == looks + 1

    asyncio.run(go())


def test_a_change_about_something_else_is_not_a_reason_to_look() -> None:
    async def go() -> None:
        thing = Thing()
        thing.state = "waiting"
        one = Waiting(thing.changes, asyncio.Event())
        other = asyncio.create_task(after_a_look(thing, lambda: thing.becomes("waiting", about="y")))
        assert await thing.until(one, 0.2) == {"state": "waiting"}
        await other
        assert thing.looks == 2, "once at first and once at the end"

    asyncio.run(go())


def test_what_one_may_not_know_is_not_found_however_long_one_waits() -> None:
    async def go() -> None:
        thing = Thing()
        one = Waiting(thing.changes, asyncio.Event())
        for seconds in (0.0, 0.1):
            with pytest.raises(NotFound):
                await thing.until(one, seconds)
        assert not thing.changes._listeners["detection"]

    asyncio.run(go())


def test_a_node_that_stops_answers_everyone_who_waits() -> None:
    async def go() -> None:
        thing, stopping = Thing(), asyncio.Event()
        thing.state = "waiting"
        one = Waiting(thing.changes, stopping)
        waiter = asyncio.create_task(thing.until(one, 30))
        await asyncio.to_thread(thing.looked.wait, 10)
        stopping.set()
        assert await asyncio.wait_for(waiter, 10) == {"state": "waiting"}

    asyncio.run(go())


def test_too_many_who_wait_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_ASKERS", 1)

    async def go() -> None:
        thing, stopping = Thing(), asyncio.Event()
        thing.state = "waiting"
        one = Waiting(thing.changes, stopping)
        first = asyncio.create_task(thing.until(one, 30))
        await asyncio.to_thread(thing.looked.wait, 10)
        with pytest.raises(RateLimited):
            await thing.until(one, 30)
        assert await thing.until(one, 0) == {"state": "waiting"}, "who does not wait is answered"
        stopping.set()
        await first

    asyncio.run(go())
