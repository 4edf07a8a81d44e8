"""Answers that wait for slow readers have so much room together, and no more."""

from __future__ import annotations

import threading
from itertools import count
from queue import Empty
from typing import Any

import pytest

from istmo.clock import ManualClock
from istmo.detect import waiting
from istmo.detect.questions import Questions
from istmo.detect.waiting import CUT, AllWaiting, Answer, Waiting
from istmo.detect.wire import Cancel, Problem, Rows, RuleHits, RuleMatch, SqlRows, Stats, WireRow


def rows(request: int, number: int, size: int = 1000, *, done: bool = False) -> Rows:
    return Rows(request, [WireRow(f"1-{at}", 0, 0, "s", "h", b"x" * size) for at in range(number)], done)


def hits(request: int, number: int) -> RuleHits:
    return RuleHits(request, False, [RuleMatch("r", "t", "low", "1-1", 0, "h", 0, "s", b"x" * 1000)] * number)


def test_the_answer_that_holds_most_is_cut_and_the_others_come_whole() -> None:
    answers = AllWaiting(30_000)
    slow, quick = answers.open(1, 9), answers.open(2, 9)
    assert slow is not None and quick is not None
    assert answers.put(rows(1, 15)) is None
    assert answers.put(rows(2, 2)) is None
    assert answers.put(rows(2, 5)) == 1, "whoever came last is not who holds the most"
    assert answers.put(rows(1, 5, done=True)) is None, "what comes after it counts no more"
    assert slow.get(0) == Rows(1, [], True, Problem("", CUT, {}))
    with pytest.raises(Empty):
        slow.get(0)
    assert [quick.get(0), quick.get(0)] == [rows(2, 2), rows(2, 5)]


def test_what_is_read_makes_room() -> None:
    answers = AllWaiting(30_000)
    mine = answers.open(1, 9)
    assert mine is not None
    for _ in range(50):
        assert answers.put(rows(1, 10)) is None
        assert mine.get(0) == rows(1, 10)


def test_whoever_leaves_makes_room_and_a_place() -> None:
    answers = AllWaiting(30_000)
    assert answers.open(1, 1) is not None
    assert answers.open(2, 1) is None
    answers.put(rows(1, 20))
    answers.close(1)
    assert len(answers) == 0 and answers.open(2, 1) is not None
    assert answers.put(rows(2, 20)) is None


def test_readers_and_writers_at_once_lose_no_count_and_wait_for_nobody() -> None:
    answers = AllWaiting(20_000)
    mine = [answers.open(request, 9) for request in range(4)]

    def write(request: int) -> None:
        for _ in range(400):
            answers.put(rows(request, 3))
        answers.put(rows(request, 0, done=True))

    def read(waiting: Waiting) -> None:
        while not getattr(waiting.get(30), "done", True):
            pass

    threads = [threading.Thread(target=write, args=(request,)) for request in range(4)]
    threads += [threading.Thread(target=read, args=(one,)) for one in mine]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    for request in range(4):
        answers.close(request)
    last = answers.open(9, 9)
    assert last is not None and answers.put(rows(9, 13)) is None, "all the room is free again"
    assert answers.put(rows(9, 13)) == 9


@pytest.mark.parametrize(
    ("part", "kind"),
    [(rows(1, 20), Rows), (hits(1, 20), RuleHits), (SqlRows(1, False, rows=[b"x" * 20_000]), SqlRows)],
    ids=["a search", "a hunt by rules", "a statement"],
)
def test_each_kind_of_answer_ends_in_its_own_way(part: Answer, kind: type[Answer]) -> None:
    answers = AllWaiting(10_000)
    mine = answers.open(1, 9)
    assert mine is not None and answers.put(part) == 1
    last = mine.get(0)
    assert isinstance(last, kind) and not isinstance(last, Stats)
    assert last.done and last.problem == Problem("", CUT, {})


def test_a_reader_who_is_too_slow_keeps_what_was_read_and_the_worker_is_called_off(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting.AllWaiting.__init__, "__defaults__", (10_000,))
    said: list[Any] = []
    numbers = count(1)
    questions = Questions(lambda message: said.append(message) is None, lambda: next(numbers), clock, 10.0)
    monkeypatch.setattr(
        "istmo.detect.questions.Questions._ask",
        lambda self, message, ask=Questions._ask: _answered(ask(self, message), self),
    )
    found = list(questions.search("x", None, None, 100))
    assert [one.event_id for one in found if isinstance(one, WireRow)] == []
    assert found[-1] == Problem("", CUT, {})
    assert Cancel(1) in said


def _answered(asked: tuple[int, Any], questions: Questions) -> tuple[int, Any]:
    """The worker is quicker than whoever asked."""
    questions.hear(rows(asked[0], 20))
    return asked
