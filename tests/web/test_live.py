"""Live changes: what the asker may know of, once each, until the node stops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from web_site import PASSWORD, make_site

from istmo.clock import ManualClock
from istmo.errors import RateLimited, Unauthenticated
from istmo.model.markings import Tlp
from istmo.policy.principals import Operator, Person, Principal, Role
from istmo.store.changes import Change, Changes
from istmo.web import live
from istmo.web.keeping import Keeping
from istmo.web.live import Live

ANA = Person("1", "ana", Role.OBSERVER)
EVA = Person("2", "eva", Role.OBSERVER)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread of its own: a browser's test may hold this thread's event loop."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, work).result()


def not_secret(principal: Principal, topic: str, subject: str) -> bool:
    return not subject.startswith("secret")


async def told(changes: list[Change], wanted: int) -> list[tuple[str | None, object]]:
    """What a listener hears of ``changes``, up to ``wanted`` events."""
    bell, stopping = Changes(), asyncio.Event()
    listening = Live(bell, not_secret, stopping).listen(ANA, lambda: ANA)
    assert (await anext(listening)).comment == "listening"

    async def ring() -> None:
        for change in changes:
            bell.publish(change)

    heard: list[tuple[str | None, object]] = []
    ringing = asyncio.ensure_future(ring())
    async for message in listening:
        heard.append((message.event, message.data))
        if len(heard) == wanted:
            stopping.set()
    await ringing
    return heard


def test_what_the_asker_may_not_know_of_is_not_told() -> None:
    """Never: an object reaches somebody outside its audience, not even as a line that it changed."""
    changes = [Change("object", "secret-1"), Change("alert", "open-1"), Change("case", "secret-2")]
    assert run(told([*changes, Change("object", "open-2")], 2)) == [
        ("alert", "open-1"),
        ("object", "open-2"),
    ]


def test_a_case_that_the_listener_may_not_read_is_not_told_and_listening_is_no_denial(
    tmp_path: Path, clock: ManualClock
) -> None:
    site = make_site(tmp_path, clock, rooms=None)
    node = site.node
    olga, _ = node.identity.create_account(Operator(), "olga", Role.OBSERVER, PASSWORD)

    async def go() -> tuple[str, list[object]]:
        stopping = asyncio.Event()
        listening = Live(node.store.changes, Keeping(node).may_know, stopping).listen(
            olga.person, lambda: olga.person
        )
        await anext(listening)
        node.respond.open_case(Operator(), "Secreto", tlp=Tlp.RED)
        seen = node.respond.open_case(Operator(), "Para todos")
        heard = [(await anext(listening)).data]
        stopping.set()
        return seen.id, [*heard, *[message.data async for message in listening]]

    seen, heard = run(go())
    assert heard == [seen]
    assert node.identity.audit_trail(Operator(), action="case.read") == []
    node.store.close()


def test_a_burst_is_told_once_each_and_within_bounds() -> None:
    changes = [Change("alert", f"a-{number % 300}") for number in range(10_000)]
    heard = run(told(changes, live._HELD))
    assert len(heard) == len(set(heard)) == live._HELD


def test_a_burst_of_one_kind_hides_no_change_of_another() -> None:
    changes = [Change("alert", f"secret-{number}") for number in range(1_000)]
    others = [Change("case", "c"), Change("notice", "n")]
    assert run(told([*changes, *others], 2)) == [("case", "c"), ("notice", "n")]


def test_topics_that_no_page_needs_are_not_told() -> None:
    assert run(told([Change("job_dead", "1"), Change("worker", "w")], 1)) == [("worker", "w")]


def test_listeners_are_limited_and_leave_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LISTENERS", 1)

    async def try_it() -> None:
        here = Live(Changes(), not_secret, asyncio.Event())
        listening = here.listen(ANA, lambda: ANA)
        await anext(listening)
        with pytest.raises(RateLimited):
            here.check_room(EVA)
        await listening.aclose()  # type: ignore[attr-defined]
        here.check_room(EVA)

    run(try_it())


def test_nobody_takes_the_place_of_all_others() -> None:
    async def try_it() -> None:
        here = Live(Changes(), not_secret, asyncio.Event())
        lines = [here.listen(ANA, lambda: ANA) for _ in range(live._LISTENERS_EACH)]
        for line in lines:
            await anext(line)
        with pytest.raises(RateLimited):
            here.check_room(ANA)
        here.check_room(EVA)
        for line in lines:
            await line.aclose()  # type: ignore[attr-defined]
        here.check_room(ANA)

    run(try_it())


class Rights:
    """Who listens, until that is taken back."""

    def __init__(self) -> None:
        self.are_good = True

    def now(self) -> Principal:
        if not self.are_good:
            raise Unauthenticated("web.token_unknown")
        return ANA


def test_nothing_is_told_once_the_listener_s_rights_have_ended() -> None:
    """Never: a token that was revoked, or a session that ended, goes on hearing what changes."""

    async def go() -> None:
        bell, rights = Changes(), Rights()
        listening = Live(bell, not_secret, asyncio.Event()).listen(ANA, rights.now)
        await anext(listening)
        bell.publish(Change("case", "first"))
        assert (await asyncio.wait_for(anext(listening), 10)).data == "first"
        rights.are_good = False
        bell.publish(Change("case", "second"))
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(listening), 10)

    run(go())


def test_a_silent_stream_ends_with_the_listener_s_rights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT", 0.05)

    async def go() -> None:
        rights = Rights()
        listening = Live(Changes(), not_secret, asyncio.Event()).listen(ANA, rights.now)
        await anext(listening)
        assert (await asyncio.wait_for(anext(listening), 10)).comment == "still here"
        rights.are_good = False
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(listening), 10)

    run(go())
