"""Between which instants the events of a write-ahead file lie, noted beside it a stretch at a time.

A closed segment says so in its index; of one that is still open whoever looks for the newest events would
have to read all. What stands here is a hint by whoever reads the events anyway: what it says nothing of
is read. Each record has a checksum, since none is synced.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.times import event_micros
from istmo.detect.wire import Position

log = structlog.get_logger(__name__)

STRETCH_LINES: Final = 2_048
"""So many lines at least have one record: as much is read at most to find that nothing of it counts."""
_FIELDS: Final = struct.Struct("<QQqq")
_RECORD: Final = struct.Struct("<QQqqI")


@dataclass(frozen=True, order=True)
class Stretch:
    """Lines of a write-ahead file from ``first`` up to, not including, ``end`` (None: all that follow)."""

    first: int
    end: int | None
    earliest: int | None = None
    """Microseconds since 1970; both None where it is not known."""
    latest: int | None = None

    @property
    def lines(self) -> int:
        return 0 if self.end is None else self.end - self.first


def stretches(path: Path, upto: int | None) -> list[Stretch]:
    """All lines of a write-ahead file before ``upto`` in stretches, by what is noted in ``path``."""
    found: list[Stretch] = []
    reached = 0
    for noted in sorted(_read(path)):
        assert noted.end is not None
        if noted.end <= reached or (upto is not None and noted.end > upto):
            continue
        if noted.first > reached:
            found.append(Stretch(reached, noted.first))
        found.append(Stretch(max(reached, noted.first), noted.end, noted.earliest, noted.latest))
        reached = noted.end
    if upto is None or reached < upto:
        found.append(Stretch(reached, upto))
    return found


def keep_upto(path: Path, lines: int) -> None:
    """Let go of what is noted of lines that a file does not have (an older one may have been put back)."""
    noted = _read(path)
    kept = [one for one in noted if one.end is not None and one.end <= lines]
    if not kept:
        path.unlink(missing_ok=True)
    elif len(kept) < len(noted) or path.stat().st_size != len(kept) * _RECORD.size:
        path.write_bytes(b"".join(map(_pack, kept)))


def _read(path: Path) -> list[Stretch]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("event_times_not_read", file=path.name, problem=str(error))
        return []  # a hint less: the lines are read
    whole = data[: len(data) // _RECORD.size * _RECORD.size]
    return [
        Stretch(first, end, earliest, latest)
        for first, end, earliest, latest, check in _RECORD.iter_unpack(whole)
        if first < end and check == zlib.crc32(_FIELDS.pack(first, end, earliest, latest))
    ]


def _pack(one: Stretch) -> bytes:
    assert one.end is not None and one.earliest is not None and one.latest is not None
    fields = _FIELDS.pack(one.first, one.end, one.earliest, one.latest)
    return fields + struct.pack("<I", zlib.crc32(fields))


class AheadTimes:
    """Notes the times of events that are shown to it in their order. For one thread."""

    def __init__(self, folder: EventFolder) -> None:
        self._folder = folder
        self._start = self._end = Position()
        self._earliest = self._latest = 0

    def note(self, start: Position, end: Position, events: Iterable[StoredEvent]) -> None:
        """All readable events from ``start`` up to ``end``, in one segment."""
        times = [_time_of(event) for event in events]
        if len(times) != end.line - start.line or not times:
            self._write()
            self._start = self._end = end
            return  # one that cannot be read may have any time: whoever searches has to come upon it
        if start != self._end or self._start == self._end:
            self._write()
            self._start, self._earliest, self._latest = start, min(times), max(times)
        else:
            self._earliest = min(self._earliest, *times)
            self._latest = max(self._latest, *times)
        self._end = end
        if end.line - self._start.line >= STRETCH_LINES:
            self._write()

    def _write(self) -> None:
        start, end = self._start, self._end
        self._start = end
        if start.segment != end.segment or start.line >= end.line:
            return
        record = _pack(Stretch(start.line, end.line, self._earliest, self._latest))
        try:
            if not self._folder.wal_path(start.segment).exists():
                return  # closed meanwhile: its index says it
            path = self._folder.times_path(start.segment)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, record)
            finally:
                os.close(descriptor)
        except OSError as error:
            log.warning("event_times_not_noted", segment=start.segment, problem=str(error))


def _time_of(event: StoredEvent) -> int:
    try:
        return event_micros(event.normal, event.received)
    except Exception:
        return event.received  # as whoever searches takes one that has no normal form
