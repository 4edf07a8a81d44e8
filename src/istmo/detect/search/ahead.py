"""The write-ahead files during one look through the store, held open: closing one takes nothing away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from istmo.detect.eventstore.ahead_times import Stretch, stretches
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.wal import WriteAheadReader
from istmo.detect.search.stored import Line, Unreadable
from istmo.detect.wire import Position

_HELD: Final = 64
"""So many of the newest are held open; where more wait to be closed, they are read at once, one by one."""


@dataclass(frozen=True)
class Part:
    """Some lines of one segment, and between which instants they lie where that is known."""

    segment: int
    stretch: Stretch

    @property
    def latest(self) -> int | None:
        return self.stretch.latest

    def is_outside(self, start: int | None, end: int | None) -> bool:
        """Whether no event of it can lie in that time."""
        earliest, latest = self.stretch.earliest, self.stretch.latest
        if earliest is None or latest is None:
            return False
        return (start is not None and latest < start) or (end is not None and earliest >= end)

    def holds(self, place: Position) -> bool:
        end = self.stretch.end
        is_in = self.stretch.first <= place.line and (end is None or place.line < end)
        return place.segment == self.segment and is_in


class Ahead:
    """What is not closed before ``upto``."""

    def __init__(self, folder: EventFolder, upto: Position, unreadable: Unreadable, first: int = 0) -> None:
        """``first``: the first segment that is asked for. What cannot be opened goes to ``unreadable``."""
        self._folder, self._upto, self._unreadable = folder, upto, unreadable
        self._readers: dict[int, WriteAheadReader] = {}
        self.segments: set[int] = set()
        """Those that are, or were, looked at here."""
        self._waiting = [one for one in folder.wal_segments() if first <= one <= upto.segment]

    def parts(self) -> Iterator[Part]:
        """All parts, the newest segment's first. What is past the newest few segments says no times, and is
        to be read when it comes up."""
        for number, segment in enumerate(reversed(self._waiting)):
            try:
                reader = WriteAheadReader(self._folder.wal_path(segment), keys=self._folder.keys)
            except FileNotFoundError:
                continue  # closed since it was listed
            except OSError as error:
                self._unreadable.add(segment, error)
                continue
            self._readers[segment] = reader
            self.segments.add(segment)
            upto = self._upto.line if segment == self._upto.segment else None
            if number < _HELD:
                for stretch in stretches(self._folder.times_path(segment), upto):
                    yield Part(segment, stretch)
                continue
            yield Part(segment, Stretch(0, upto))
            self._readers.pop(segment).close()

    def read(self, part: Part) -> Iterator[list[Line]]:
        """Its lines, in blocks. Raises SealedAway or OSError."""
        reader, end = self._readers[part.segment], part.stretch.end
        reader.go_to(part.stretch.first)
        while (end is None or reader.line < end) and (lines := reader.read()):
            first = reader.line - len(lines)
            numbered = list(enumerate(lines, first))
            yield numbered if end is None else numbered[: end - first]

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
