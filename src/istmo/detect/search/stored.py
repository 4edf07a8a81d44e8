"""What is stored up to a position, for a process that only reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import structlog

from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import StoredEvent, parse
from istmo.detect.eventstore.wal import WriteAheadReader
from istmo.detect.normalise import normalise
from istmo.detect.search.asking import Seen
from istmo.detect.wire import Position

log = structlog.get_logger(__name__)

Line = tuple[int, bytes]
"""(number, stored line)"""

_NAMED: Final = 5


class Unreadable:
    """Segments of which a look through the store could not read all. True when there are any.

    Whoever asked is told: an answer that passes over what it could not read in silence would say
    that there is nothing where nobody has looked.
    """

    def __init__(self) -> None:
        self._segments: set[int] = set()

    def add(self, segment: int, problem: object) -> None:
        """Something of this segment could not be read; the log has why, once a segment."""
        if segment not in self._segments:
            log.error("event_segment_unreadable", segment=segment, problem=str(problem))
        self._segments.add(segment)

    def __bool__(self) -> bool:
        return bool(self._segments)

    @property
    def params(self) -> dict[str, str | int]:
        """For a text: ``n`` segments, and the first few by number."""
        named = [str(one) for one in sorted(self._segments)]
        more = ["…"] if len(named) > _NAMED else []
        return {"n": len(named), "segments": ", ".join(named[:_NAMED] + more)}


def see(line: bytes) -> Seen | None:
    """A stored line, ready to be asked about; None when it is damaged."""
    try:
        event: StoredEvent = parse(line)
        data = event.data
    except ValueError:
        return None
    try:
        return Seen(event, normalise(data))
    except Exception:
        log.exception("event_not_normalised", place=event.id)
        return Seen(event, None)


def open_closed(
    folder: EventFolder, upto: Position, unreadable: Unreadable
) -> Iterator[tuple[Closed, FrameReader]]:
    """Closed segments before ``upto``, newest first. One that cannot be opened goes to ``unreadable``."""
    for closed in reversed(folder.closed()):
        if closed.first > upto.segment:
            continue
        reader = open_one(folder, closed, unreadable)
        if reader is not None:
            with reader:
                yield closed, reader


def open_one(folder: EventFolder, closed: Closed, unreadable: Unreadable) -> FrameReader | None:
    """A closed segment's lines. None where it is kept no longer, or unreadable and said to be so."""
    try:
        return FrameReader(folder.raw_path(closed), folder.keys)
    except FileNotFoundError as error:
        # Let go of since it was listed, or lost: what is let go of goes with its columns.
        if folder.columns_path(closed).exists():
            unreadable.add(closed.first, error)
    except (OSError, ValueError) as error:
        unreadable.add(closed.first, error)
    return None


def read_ahead(folder: EventFolder, segment: int, upto: Position) -> Iterator[list[Line]]:
    """The write-ahead lines of a segment before ``upto``, in blocks.

    Raises FileNotFoundError before the first block when the segment has been closed since it was listed.
    """
    reader = WriteAheadReader(folder.wal_path(segment), keys=folder.keys)
    try:
        most = upto.line if segment == upto.segment else None
        while lines := reader.read():
            first = reader.line - len(lines)
            numbered = list(enumerate(lines, first))
            if most is not None and reader.line >= most:
                yield numbered[: most - first]
                return
            yield numbered
    finally:
        reader.close()


def line_at(reader: FrameReader, cache: dict[int, list[bytes]], frame: int, line: int) -> bytes:
    """One line of a closed segment, by way of a few frames kept unpacked."""
    lines = cache.get(frame)
    if lines is None:
        while len(cache) >= 8:
            cache.pop(next(iter(cache)))
        lines = cache[frame] = reader.lines(frame)
    return lines[line - reader.index.frames[frame].line]
