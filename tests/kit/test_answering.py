"""Answers that come line by line: all of them in order, and none for whoever has left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from istmo.errors import Unauthenticated
from istmo.kit.answering import ASKED_SECONDS, heard
from istmo.kit.asking import Asker
from istmo.policy.principals import Person, Principal, Role


def run(work: Any) -> Any:
    """In a thread of its own: a browser's test may hold this thread's event loop."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, work).result()


ANA = Asker(Person("1", "ana", Role.ANALYST), "es")


class Made:
    """Lines that wait to be made, and whether they were called off."""

    def __init__(self, count: int) -> None:
        self.may_go_on, self.is_closed = threading.Event(), threading.Event()
        self.is_waiting = threading.Event()
        self._numbers = iter(range(count))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        assert not self.is_closed.is_set(), "nobody makes lines after the end"
        number = next(self._numbers)
        if number == 2:
            self.is_waiting.set()
            self.may_go_on.wait(10)
        return b"%d" % number

    def close(self) -> None:
        self.is_closed.set()


def test_lines_come_in_order_and_are_closed_at_the_end() -> None:
    made = Made(5)
    made.may_go_on.set()

    async def listen() -> list[bytes]:
        return [line async for line in heard(made, ANA)]

    assert run(listen()) == [b"0", b"1", b"2", b"3", b"4"]
    assert made.is_closed.wait(5)


def test_whoever_leaves_between_two_lines_calls_it_off() -> None:
    made = Made(5)

    async def listen() -> None:
        lines = heard(made, ANA)
        assert await anext(lines) == b"0"
        await lines.aclose()

    run(listen())
    assert made.is_closed.wait(5)


def test_whoever_leaves_while_a_line_is_made_calls_it_off_once_it_is() -> None:
    made = Made(5)

    async def listen() -> None:
        async def all_() -> None:
            async for _ in heard(made, ANA):
                pass

        task = asyncio.ensure_future(all_())
        await asyncio.to_thread(made.is_waiting.wait, 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not made.is_closed.is_set(), "somebody is within"
        made.may_go_on.set()

    run(listen())
    assert made.is_closed.wait(5)


def test_whoever_is_shut_out_or_has_other_rights_hears_no_more() -> None:
    """Never: an account that was disabled goes on receiving what it asked for before."""
    ana = ANA.principal

    def shut_out() -> Principal:
        raise Unauthenticated("web.sign_in_first")

    def lowered() -> Principal:
        return Person("1", "ana", Role.OBSERVER)

    for again, wanted in ((lambda: ana, 5), (shut_out, 2), (lowered, 2)):
        made, seconds = Made(5), iter([0.0, 0.1, 0.2, *(9.0 * n for n in range(1, 9))])
        made.may_go_on.set()
        asker = Asker(ana, "es", again=again)

        async def listen(made: Made, asker: Asker, seconds: Iterator[float]) -> int:
            return len([line async for line in heard(made, asker, lambda: next(seconds))])

        assert ASKED_SECONDS < 9
        assert run(listen(made, asker, seconds)) == wanted
        assert made.is_closed.wait(5)
