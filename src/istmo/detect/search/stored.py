"""What is stored up to a position, for a process that only reads."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import StoredEvent, parse
from istmo.detect.eventstore.wal import WriteAheadReader
from istmo.detect.normalise import normalise
from istmo.detect.search.asking import Seen
from istmo.detect.wire import Position

log = structlog.get_logger(__name__)

Line = tuple[int, bytes]
"""(number, stored line)"""


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
        log.exception("event_not_normalised", event=event.id)
        return Seen(event, None)


def open_closed(folder: EventFolder, upto: Position) -> Iterator[tuple[int, FrameReader]]:
    """Closed segments before ``upto``, newest first. One that cannot be read is logged and left out."""
    for segment in reversed(folder.closed_segments()):
        if segment > upto.segment:
            continue
        try:
            reader = FrameReader(folder.raw_path(segment))
        except (OSError, ValueError) as error:
            log.error("event_segment_unreadable", segment=segment, problem=str(error))
            continue
        with reader:
            yield segment, reader


def read_ahead(folder: EventFolder, segment: int, upto: Position) -> Iterator[list[Line]]:
    """The write-ahead lines of a segment before ``upto``, in blocks. Nothing when it has been closed."""
    try:
        reader = WriteAheadReader(folder.wal_path(segment))
    except FileNotFoundError:
        return
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
