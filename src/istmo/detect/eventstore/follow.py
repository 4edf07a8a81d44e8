"""Reading the log on from a position: from memory where it is recent, else from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import structlog

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import StoredEvent, parse
from istmo.detect.eventstore.log import Block, Head
from istmo.detect.eventstore.sealing import NO_KEYS, Keys, SealedAway
from istmo.detect.eventstore.wal import WriteAheadReader
from istmo.detect.wire import Position

log = structlog.get_logger(__name__)


class FollowedLog(Protocol):
    """As much of an event log as whoever follows it needs."""

    @property
    def folder(self) -> EventFolder: ...

    @property
    def head(self) -> Head:
        """Everything before it is on disk."""
        ...

    def recent(self, position: Position) -> Block | None:
        """The block that starts at ``position``, if it is still in memory."""
        ...


class SegmentReader(Protocol):
    """Lines of one segment, forward."""

    @property
    def line(self) -> int:
        """The number of the next line."""
        ...

    def read(self, upto: int | None = None) -> list[bytes]:
        """The next lines, none past byte ``upto`` of an open write-ahead file; empty at the end."""
        ...

    def close(self) -> None: ...


class ClosedReader:
    """One closed segment as a SegmentReader, also where it rests together with others."""

    def __init__(self, path: Path, segment: int, line: int = 0, keys: Keys = NO_KEYS) -> None:
        self._frames = FrameReader(path, keys)
        self._segment = segment
        self._next = self._frames.frame_at(Position(segment, line))
        self.line = line

    def read(self, upto: int | None = None) -> list[bytes]:
        """The rest of the frame that holds the next line. A frame that cannot be read is passed over."""
        frames = self._frames.index.frames
        while self._next < len(frames) and frames[self._next].start < Position(self._segment + 1):
            number = self._next
            self._next += 1
            try:
                placed = self._frames.placed(number)
            except ValueError as error:
                log.error("event_frame_unreadable", problem=str(error))
                self.line = max(self.line, self._end_of(number))
                continue
            mine = [one for one in placed if one[0].segment == self._segment and one[0].line >= self.line]
            if mine:
                self.line = mine[-1][0].line + 1
                return [line for _, line in mine]
        return []

    def _end_of(self, number: int) -> int:
        """Behind which line of the segment a frame ends that cannot be read, as far as it is known."""
        frames = self._frames.index.frames
        start = frames[number].start
        if number + 1 < len(frames) and frames[number + 1].start.segment == self._segment:
            return frames[number + 1].start.line
        return start.line + frames[number].lines if start.segment == self._segment else self.line

    def close(self) -> None:
        self._frames.close()


def open_segment(folder: EventFolder, segment: int, line: int = 0) -> SegmentReader:
    """A reader of a segment in whichever form it rests; raises FileNotFoundError when it has gone."""
    try:
        return WriteAheadReader(folder.wal_path(segment), line, folder.keys)
    except FileNotFoundError:
        closed = folder.closed_with(segment)
        if closed is None:
            raise
        return ClosedReader(folder.raw_path(closed), segment, line, folder.keys)


def read_lines(lines: list[bytes]) -> list[StoredEvent]:
    """Parse stored lines; one that is damaged is logged and left out."""
    events: list[StoredEvent] = []
    for line in lines:
        try:
            events.append(parse(line))
        except ValueError:
            log.warning("event_line_damaged", bytes=len(line))
    return events


def _next_lines(reader: SegmentReader, segment: int, upto: int | None) -> list[bytes]:
    try:
        return reader.read(upto)
    except SealedAway as error:
        log.error("event_segment_unreadable", segment=segment, problem=str(error))
        return []  # nothing of it can be read: what follows is


class Follower:
    """One stage's way through the log. Not thread-safe; each stage has its own."""

    def __init__(self, event_log: FollowedLog, position: Position) -> None:
        self._log = event_log
        self.position = position
        self._reader: SegmentReader | None = None
        self._reading = -1

    def next(self) -> Block | None:
        """The next block and ``position`` behind it; None when there is nothing more yet."""
        while True:
            head = self._log.head
            if self.position >= head.position:
                return None
            block = self._log.recent(self.position) or self._read(head.offset, head.position.segment)
            if block is not None:
                self.position = block.end
                return block

    def seek(self, position: Position) -> None:
        """Go on from another position."""
        self.close()
        self.position = position

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read(self, offset: int, open_segment_number: int) -> Block | None:
        segment = self.position.segment
        reader = self._reader_at(self.position)
        if reader is not None:
            lines = _next_lines(reader, segment, offset if segment == open_segment_number else None)
            if lines or reader.line > self.position.line:
                # reader.line, not a sum: a frame that cannot be read was passed over
                end = Position(segment, reader.line)
                return Block(self.position, end, read_lines(lines), sum(map(len, lines)))
        if segment < open_segment_number:
            later = [one for one in self._log.folder.all_segments() if one > segment]
            self.seek(Position(later[0] if later else open_segment_number, 0))
        else:
            self.seek(self._log.head.position)  # the log says more than the file holds: never go round
        return None

    def _reader_at(self, position: Position) -> SegmentReader | None:
        if self._reader is None or self._reading != position.segment or self._reader.line != position.line:
            self.close()
            try:
                self._reader = open_segment(self._log.folder, position.segment, position.line)
            except FileNotFoundError:
                return None
            except ValueError as error:
                log.error("event_segment_unreadable", segment=position.segment, problem=str(error))
                return None
            self._reading = position.segment
        return self._reader
