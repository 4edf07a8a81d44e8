"""What is asked of the detection worker while somebody waits: searches, counts, hunts by rules, SQL, numbers.

Each question has a number; its answers come in parts, from whichever thread hears the worker. Who leaves
early calls the question off.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from queue import Empty
from typing import Any, Final, TypeVar, overload

from istmo.clock import Clock
from istmo.detect import wire
from istmo.detect.waiting import CUT, AllWaiting, Answer, Waiting
from istmo.detect.wire import (
    AskFields,
    AskPast,
    AskSql,
    AskStats,
    Cancel,
    Count,
    Fields,
    HuntRules,
    PastFound,
    Rows,
    RuleHits,
    Search,
    SqlRows,
    Stats,
    Stretch,
    Tally,
    WireIndicator,
    WireRow,
)
from istmo.errors import InvalidInput, Unavailable

MOST_SEARCHES: Final = 32
_CUT_SHORT: Final = (
    "detect.search_cut_short",
    "detect.search_cut_and_unreadable",
    "detect.segments_unreadable",
    "detect.search_cancelled",
    CUT,
    "detect.pattern_forgot",
)
"""Problems of an answer that is good as far as it goes, also where it holds no row at all."""
_NOT_ASKABLE: Final = ("detect.query_", "detect.pattern_not_served")
_PAST_IN_PART: Final = ("detect.past_cut_short", "detect.segments_unreadable")
_SILENT_SECONDS: Final = 60.0
"""A hunt by rules that says nothing for so long is given up: it reads its rules, then tells every second."""
_SQL_PATIENCE: Final = 3.0
"""Seconds for which an answer is held back: until then a statement that cannot be run is refused as such."""

Question = AskStats | Search | Count | HuntRules | AskSql | AskFields | AskPast
_Part = TypeVar("_Part")
_Stream = TypeVar("_Stream", RuleHits, SqlRows)


class Questions:
    """What is being asked, and what has been answered of it. From any thread."""

    def __init__(
        self,
        say: Callable[[Question | Cancel], bool],
        number: Callable[[], int],
        clock: Clock,
        seconds: float,
    ) -> None:
        """``say``: False where no worker is there; ``seconds``: what a search may take."""
        self._say, self._number, self._clock, self._seconds = say, number, clock, seconds
        self._answers = AllWaiting()

    def hear(self, answer: Answer) -> None:
        """A part of an answer, for whoever waits for it still."""
        cut = self._answers.put(answer)
        if cut is not None:
            self._say(Cancel(cut))

    def end(self) -> None:
        """The worker has gone: whoever waits is told so."""
        self._answers.end()

    def stats(self, timeout: float = 2.0) -> Stats | None:
        """What the worker counts; None where it does not answer in time."""
        try:
            request, answers = self._ask(lambda number: AskStats(number))
        except Unavailable:
            return None
        try:
            found = answers.get(timeout=timeout)
            return found if isinstance(found, Stats) else None
        except Empty:
            return None
        finally:
            self._forget_request(request)

    def search(
        self,
        query: str,
        start: int | None,
        end: int | None,
        limit: int,
        *,
        stretch: Stretch | None = None,
        pattern: WireIndicator | None = None,
        before: int | None = None,
    ) -> Generator[WireRow | wire.Problem]:
        """Stored events, newest first, as they are found; a problem where the answer is cut short.

        ``start`` and ``end`` in µs since 1970. With a ``stretch`` it runs as what nobody waits for does.
        ``pattern`` and ``before`` as of ``wire.Search``.
        Raises before the first row InvalidInput for a query that cannot be read,
        Unavailable("detect.worker_away") without a worker.
        """
        scheduled = stretch is not None
        seconds = wire.HUNT_SECONDS if scheduled else self._seconds
        request, answers = self._ask(
            lambda number: Search(number, query, start, end, limit, stretch, scheduled, pattern, before)
        )
        rows = self._rows(request, answers, seconds)
        first = next(rows, None)
        if isinstance(first, wire.Problem) and first.code not in _CUT_SHORT:
            rows.close()
            kind = InvalidInput if first.code.startswith(_NOT_ASKABLE) else Unavailable
            raise kind(first.code, **first.params)
        return _with_first(first, rows)

    def search_telling(
        self, query: str, start: int | None, end: int | None, limit: int
    ) -> Generator[WireRow | wire.Progress | wire.Problem]:
        """``search``, that tells how far it is as well, and waits for no first row to begin.

        Raises Unavailable("detect.worker_away") at once; any other problem comes as a part of the answer.
        """
        request, answers = self._ask(lambda number: Search(number, query, start, end, limit))
        return self._rows(request, answers, self._seconds, is_telling=True)

    def fields(self) -> Fields:
        """Which fields stored events have. Raises Unavailable."""
        request, answers = self._ask(lambda number: AskFields(number))
        try:
            found = answers.get(timeout=self._seconds + 5)
        except Empty:
            raise Unavailable("detect.search_busy") from None
        finally:
            self._forget_request(request)
        if not isinstance(found, Fields):
            raise Unavailable("detect.worker_away")
        if found.problem is not None:
            raise Unavailable(found.problem.code, **found.problem.params)
        return found

    def count(
        self, query: str, start: int | None, end: int | None, *, by: str, top: int, bucket: int
    ) -> tuple[Tally, wire.Problem | None]:
        """How many stored events answer a query, by a field and over time; a problem where these are not all.

        Times in µs. Raises InvalidInput for a query that cannot be read, Unavailable("detect.worker_away").
        """
        request, answers = self._ask(lambda number: Count(number, query, start, end, by, top, bucket))
        last, is_done = Tally(request, False), False
        try:
            while True:
                try:
                    found = answers.get(timeout=self._seconds + 5)
                except Empty:
                    return last, wire.Problem("", "detect.search_cut_short", {"seconds": int(self._seconds)})
                if not isinstance(found, Tally):
                    is_done = True
                    raise Unavailable("detect.worker_away")
                if found.done:
                    is_done = True
                    problem = found.problem
                    if problem is not None and problem.code not in _CUT_SHORT:
                        kind = InvalidInput if problem.code.startswith("detect.query_") else Unavailable
                        raise kind(problem.code, **problem.params)
                    return last, problem
                last = found
        finally:
            self._forget_request(request)
            if not is_done:
                self._say(Cancel(request))

    def hunt_rules(self, asked: Callable[[int], HuntRules]) -> Generator[RuleHits]:
        """Stored events that Sigma rules match, as they are found; the last part is ``done``, and has a
        problem where not everything was seen.

        Raises before the first part Unavailable("detect.worker_away", "detect.search_busy"). Closing it
        calls the hunt off.
        """
        request, answers = self._ask(asked)
        parts = self._parts(request, answers, RuleHits, "detect.search_cut_short")
        first = next(parts)
        if first.problem is not None and first.problem.code not in _CUT_SHORT:
            parts.close()
            raise Unavailable(first.problem.code, **first.problem.params)
        return _with_first(first, parts)

    def sql(
        self, sql: str, start: int | None, end: int | None, limit: int, *, scheduled: bool = False
    ) -> Generator[SqlRows]:
        """What one SELECT over stored events gives, as it comes; the last part is ``done``, and has a problem
        where that is not all.

        Raises before the first part InvalidInput for a statement that cannot be run, Unavailable
        ("detect.worker_away", "detect.search_busy"); one that takes long tells it in the last part. Closing
        it calls the statement off. ``scheduled``: it runs as what nobody waits for does.
        """
        request, answers = self._ask(lambda number: AskSql(number, sql, start, end, limit, scheduled))
        parts = self._parts(request, answers, SqlRows, "detect.sql_cut_short")
        patience = self._clock.monotonic() + _SQL_PATIENCE
        first = next(parts)
        while not (first.columns or first.done) and self._clock.monotonic() < patience:
            first = next(parts)
        if first.problem is not None and not first.columns and not _is_partial(first.problem):
            parts.close()
            kind = InvalidInput if first.problem.code.startswith("detect.sql_") else Unavailable
            raise kind(first.problem.code, **first.problem.params)
        return _with_first(first, parts)

    def past(self, indicators: list[WireIndicator], start: int, seconds: float) -> PastFound:
        """What indicators would have matched since ``start`` (µs); with a problem where that is not all.

        Raises Unavailable("detect.worker_away", "detect.search_busy").
        """
        request, answers = self._ask(lambda number: AskPast(number, indicators, start, seconds))
        is_done = False
        try:
            found = answers.get(timeout=seconds + 5)
            is_done = True
        except Empty:
            problem = wire.Problem("", "detect.past_cut_short", {"seconds": int(seconds)})
            return PastFound(request, True, problem=problem)
        finally:
            self._forget_request(request)
            if not is_done:
                self._say(Cancel(request))
        if not isinstance(found, PastFound):
            raise Unavailable("detect.worker_away")
        if found.problem is not None and found.problem.code not in _PAST_IN_PART:
            raise Unavailable(found.problem.code, **found.problem.params)
        return found

    def _parts(self, request: int, answers: Waiting, kind: type[_Stream], late: str) -> Generator[_Stream]:
        """The parts of one answer; ``late`` is the problem of one that says nothing for too long."""
        is_done = False
        try:
            while not is_done:
                try:
                    found = answers.get(timeout=_SILENT_SECONDS)
                except Empty:
                    problem = wire.Problem("", late, {"seconds": int(_SILENT_SECONDS)})
                    yield kind(request, True, problem=problem)
                    return
                if not isinstance(found, kind):
                    is_done = True
                    yield kind(request, True, problem=wire.Problem("", "detect.worker_away", {}))
                    return
                is_done = found.done
                yield found
        finally:
            self._forget_request(request)
            if not is_done:
                self._say(Cancel(request))

    @overload
    def _rows(self, request: int, answers: Waiting, seconds: float) -> Generator[WireRow | wire.Problem]: ...

    @overload
    def _rows(
        self, request: int, answers: Waiting, seconds: float, *, is_telling: bool
    ) -> Generator[WireRow | wire.Progress | wire.Problem]: ...

    def _rows(
        self,
        request: int,
        answers: Waiting,
        seconds: float,
        *,
        is_telling: bool = False,
    ) -> Generator[Any]:
        is_done = False
        try:
            while not is_done:
                try:
                    found = answers.get(timeout=seconds + 5)
                except Empty:
                    yield wire.Problem("", "detect.search_cut_short", {"seconds": int(seconds)})
                    return
                if not isinstance(found, Rows):
                    is_done = True
                    yield wire.Problem("", "detect.worker_away", {})
                    return
                yield from found.rows
                if is_telling:
                    yield wire.Progress(found.looked, found.of)
                is_done = found.done
                if found.problem is not None:
                    yield found.problem
        finally:
            self._forget_request(request)
            if not is_done:
                self._say(Cancel(request))

    def _ask(self, message: Callable[[int], Question]) -> tuple[int, Waiting]:
        request = self._number()
        answers = self._answers.open(request, MOST_SEARCHES)
        if answers is None:
            raise Unavailable("detect.search_busy")
        is_said = False
        try:
            is_said = self._say(message(request))
        finally:
            if not is_said:
                self._forget_request(request)
        if not is_said:
            raise Unavailable("detect.worker_away")
        return request, answers

    def _forget_request(self, request: int) -> None:
        self._answers.close(request)


def _is_partial(problem: wire.Problem) -> bool:
    """Whether an answer with this problem is good as far as it goes."""
    return problem.code in _CUT_SHORT or problem.code.startswith(("detect.sql_cut_", "detect.sql_unreadable"))


def _with_first(first: _Part | None, rest: Generator[_Part]) -> Generator[_Part]:
    # Whoever leaves early closes this one, and with it the rest: the search is called off.
    try:
        if first is not None:
            yield first
            yield from rest
    finally:
        rest.close()
