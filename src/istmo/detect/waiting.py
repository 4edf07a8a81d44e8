"""Answers of the worker that wait for whoever asked: together they have so much room and no more.

Whoever reads slowly (a browser over a weak line) leaves rows waiting here. The worker's conversation cannot
wait for a reader, and thirty answers of many megabytes would take all the memory of a small machine: so the
one that holds the most is cut short, and says so. What its reader has by then is right as far as it goes.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from istmo.detect.wire import Fields, PastFound, Problem, Rows, RuleHits, SqlRows, Stats, Tally

Answer = Rows | Tally | RuleHits | SqlRows | Fields | PastFound | Stats

MOST_WAITING: Final = 64 << 20
"""Bytes of all that wait together, as they are counted here."""
CUT: Final = "detect.search_cut_slow"
_ROW: Final = 400
"""What a row holds beside its event."""


class Waiting:
    """The parts of one answer that have come, in their order. Read by one thread."""

    def __init__(self, all_: AllWaiting) -> None:
        self._all = all_
        self._parts: SimpleQueue[tuple[Answer | None, int]] = SimpleQueue()
        self.size = 0
        """Guarded by the lock of all."""
        self.is_cut = False
        self._kind: type[Answer] = Rows

    def get(self, timeout: float) -> Answer | None:
        """The next part; None when the worker has gone. Raises ``queue.Empty``."""
        part, size = self._parts.get(timeout=timeout)
        self._all.taken(self, size)
        return part

    def put(self, part: Answer | None, size: int) -> None:
        if part is not None:
            self._kind = type(part)
        self.size += size
        self._parts.put((part, size))

    def drop(self) -> None:
        """Let go of what waits."""
        with suppress(Empty):
            while True:
                self._parts.get_nowait()  # whoever reads may have been quicker
        self.size = 0

    def cut(self, request: int) -> None:
        """Let go of what waits, and say so in its place."""
        self.drop()
        self.is_cut = True
        problem = Problem("", CUT, {})
        if self._kind is RuleHits:
            self.put(RuleHits(request, True, problem=problem), 0)
        elif self._kind is SqlRows:
            self.put(SqlRows(request, True, problem=problem), 0)
        else:  # nothing else is of any size
            self.put(Rows(request, [], True, problem), 0)


class AllWaiting:
    """The answers that are waited for, by their requests. From any thread."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[int, Waiting] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def open(self, request: int, most: int) -> Waiting | None:
        """A place for the answer to ``request``; None where there are ``most`` already."""
        with self._lock:
            if len(self._waiting) >= most:
                return None
            made = self._waiting[request] = Waiting(self)
            return made

    def put(self, part: Answer) -> int | None:
        """A part for whoever waits for it still; the request whose answer had to be cut for it, if any."""
        size = _size_of(part)
        with self._lock:
            mine = self._waiting.get(part.request)
            if mine is None or mine.is_cut:
                return None
            mine.put(part, size)
            self._size += size
            if self._size <= self._most:
                return None
            request, most = max(self._waiting.items(), key=lambda one: one[1].size)
            self._size -= most.size
            most.cut(request)
            return request

    def taken(self, waiting: Waiting, size: int) -> None:
        """A part was read."""
        with self._lock:
            if waiting.size >= size:  # else it was let go of meanwhile
                waiting.size -= size
                self._size -= size

    def end(self) -> None:
        """Nothing further comes: everybody is told so."""
        with self._lock:
            for waiting in self._waiting.values():
                waiting.put(None, 0)

    def close(self, request: int) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            gone = self._waiting.pop(request, None)
            if gone is not None:
                self._size -= gone.size
                gone.drop()


def _size_of(part: Answer) -> int:
    match part:
        case Rows(rows=rows):
            return sum(_ROW + len(row.raw) for row in rows)
        case RuleHits(matches=matches):
            return sum(_ROW + len(one.raw) for one in matches)
        case SqlRows(rows=rows):
            return sum(_ROW + len(row) for row in rows)
    return _ROW
