"""One pass over stored lines before a place, each of them once: from the newest segments to the oldest, or
from the oldest on, in the order in which events came.

What looks at one event alone wants the newest first. What remembers events wants them in their order: it
lets go of the oldest to make room, and would let go at once of whatever came from further back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import place_of
from istmo.detect.eventstore.sealed_wal import DAMAGED
from istmo.detect.eventstore.sealing import SealedAway
from istmo.detect.search.stored import Unreadable, open_closed, open_one, read_ahead
from istmo.detect.wire import Position

Lines = tuple[int, list[bytes]]
"""A segment, and some of its lines."""


class Pass:
    """The lines before ``upto``; what could not be read is in ``unreadable`` once they have ended."""

    def __init__(
        self,
        folder: EventFolder,
        upto: Position,
        unreadable: Unreadable,
        *,
        may_hold: Callable[[bytes], bool],
        is_wanted: Callable[[Closed, FrameReader], bool] = lambda *_: True,
        first: int = 0,
    ) -> None:
        """``may_hold``: of a block of lines, whether it must be read at all. ``is_wanted``: the same of a
        closed segment. ``first``: the segment before which nothing is looked at."""
        self._folder, self._upto, self._unreadable = folder, upto, unreadable
        self._may_hold, self._is_wanted, self._first = may_hold, is_wanted, first

    def newest_first(self) -> Iterator[Lines]:
        """Segments from the newest on; within each, lines as they came."""
        already: set[int] = set()
        for segment in reversed(self._waiting()):
            if (yield from self._ahead(segment)):
                already.add(segment)
        for closed, reader in open_closed(self._folder, self._upto, self._unreadable):
            if closed.last >= self._first and (closed.generation or closed.first not in already):
                # Merged segments hold several: those that were read ahead are not told twice.
                yield from self._closed(closed, reader, without=already)

    def oldest_first(self) -> Iterator[Lines]:
        """Every line in the order in which events came."""
        waiting = self._waiting()  # listed before what is closed: in between one may become the other
        told: list[Closed] = []
        for closed in self._folder.closed():
            if closed.first > self._upto.segment or closed.last < self._first:
                continue
            told.append(closed)
            yield from self._opened(closed)
        for segment in waiting:
            if any(one.first <= segment <= one.last for one in told):
                continue
            if not (yield from self._ahead(segment)):
                since = self._folder.closed_with(segment)
                if since is not None:
                    others = set(range(since.first, since.last + 1)) - {segment}
                    yield from self._opened(since, without=others)

    def _waiting(self) -> list[int]:
        return [one for one in self._folder.wal_segments() if self._first <= one <= self._upto.segment]

    def _ahead(self, segment: int) -> Generator[Lines, None, bool]:
        """A segment's write-ahead file; False when it has been closed since it was listed."""
        try:
            for lines in read_ahead(self._folder, segment, self._upto):
                yield segment, [line for _, line in lines]
        except FileNotFoundError:
            return False
        except (OSError, SealedAway) as error:
            self._unreadable.add(segment, error)
        return True

    def _opened(self, closed: Closed, without: set[int] | None = None) -> Iterator[Lines]:
        reader = open_one(self._folder, closed, self._unreadable)
        if reader is not None:
            with reader:
                yield from self._closed(closed, reader, without or set())

    def _closed(self, closed: Closed, reader: FrameReader, without: set[int]) -> Iterator[Lines]:
        if not self._is_wanted(closed, reader):
            return
        is_mixed = bool(without) and bool(closed.generation)
        for number in range(len(reader.index.frames)):
            try:
                block = reader.block(number)
            except (ValueError, OSError) as error:
                self._unreadable.add(closed.first, error)
                continue
            if b"\0" in block and DAMAGED in block:  # the first alone is quick, and JSON has none
                self._unreadable.add(closed.first, f"frame {number}")
            if self._may_hold(block):
                lines = [line + b"\n" for line in block[:-1].split(b"\n")]
                if is_mixed:
                    lines = [one for one in lines if _segment(one) not in without]
                yield closed.first, lines


def _segment(line: bytes) -> int:
    place = place_of(line)
    return -1 if place is None else place.segment
