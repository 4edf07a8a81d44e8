"""Closing a segment: a full write-ahead file becomes frames of lines and columns.

Safe at any point: both files are written under other names, synced, renamed, their folder synced,
and only then the write-ahead file goes. Whatever a crash leaves is done again from the start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import structlog

from istmo.detect.eventstore.columns import (
    CLOSING_MEMORY,
    FEWER_COLUMNS,
    LONGEST_ROW,
    MOST_COLUMNS,
    SEPARATOR,
    TooWide,
    connect,
    write_columns,
)
from istmo.detect.eventstore.disk import sync_file, sync_folder
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameWriter, Index
from istmo.detect.eventstore.lines import StoredEvent, parse
from istmo.detect.eventstore.texts import texts_of
from istmo.detect.eventstore.times import event_micros
from istmo.detect.eventstore.wal import WriteAheadReader
from istmo.detect.normalise import NormalEvent, normalise

log = structlog.get_logger(__name__)


class SegmentColumns:
    """Gathers rows for the columns, and what the index says of them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._seen: Counter[int] = Counter()
        self._lists: set[int] = set()
        self._times: tuple[int, int] | None = None
        self.odd = 0

    def row(self, line: int, frame: int, event: StoredEvent | None, normal: NormalEvent | None) -> bytes:
        """One row as JSON; no event means a line that cannot be read, no normal one an odd event."""
        row: dict[str, Any] = {"line": line, "frame": frame, "odd": normal is None}
        row["time"] = row["received"] = 0
        if event is not None:
            row["received"], row["source"] = event.received, event.source
            row["time"] = event.received if normal is None else event_micros(normal, event.received)
            first, last = self._times or (row["time"], row["time"])
            self._times = min(first, row["time"]), max(last, row["time"])
        if normal is None:
            self.odd += 1
            return orjson.dumps(row)
        found = {self._number(name, texts): SEPARATOR.join(texts) for name, texts in _texts(normal)}
        row["host"] = normal.host
        whole = orjson.dumps(row | found)
        if len(whole) < LONGEST_ROW:
            return whole
        self.odd += 1
        return orjson.dumps(row | {"odd": True})

    def _number(self, name: str, texts: list[str]) -> str:
        number = self._numbers.setdefault(name, len(self._numbers))
        self._seen[number] += 1
        if len(texts) > 1:
            self._lists.add(number)
        return str(number)

    def chosen(self, most: int) -> list[int]:
        """The fields that get a column: the most frequent."""
        return sorted(number for number, _ in self._seen.most_common(most))

    def names(self, numbers: list[int]) -> list[str]:
        by_number = {number: name for name, number in self._numbers.items()}
        return [by_number[number] for number in numbers]

    def index(self, frames: FrameWriter, chosen: list[int]) -> Index:
        """What a reader needs to know before reading. ``chosen`` fields have a column."""
        first, last = self._times or (0, 0)
        others = sorted(set(self._numbers.values()) - set(chosen))
        return Index(
            frames=frames.frames,
            lines=frames.lines,
            first=first,
            last=last,
            columns=self.names(chosen),
            others=self.names(others),
            lists=self.names(sorted(self._lists)),
            odd=self.odd,
        )


def _texts(normal: NormalEvent) -> Iterator[tuple[str, list[str]]]:
    for name, value in normal.fields.items():
        if texts := texts_of(value):
            yield name, texts


def close_segment(folder: EventFolder, segment: int) -> Index:
    """Close one segment whose write-ahead file takes no more lines.

    Raises OSError when there is no room: what was half written is removed, the write-ahead file stays.
    """
    raw, columns = folder.raw_path(segment), folder.columns_path(segment)
    # Names of our own: a process left over from a worker that was killed may be at the same segment.
    half_raw, half_columns, rows = (folder.half_path(segment, part) for part in ("raw", "columns", "rows"))
    try:
        index = _write(folder, segment, half_raw, half_columns, rows)
        for half, whole in ((half_columns, columns), (half_raw, raw)):
            sync_file(half)
            half.rename(whole)
        sync_folder(folder.segments)
        folder.wal_path(segment).unlink(missing_ok=True)
        sync_folder(folder.wal)
        return index
    finally:
        for leftover in (half_raw, half_columns, rows):
            leftover.unlink(missing_ok=True)


def _write(folder: EventFolder, segment: int, raw: Path, columns: Path, rows: Path) -> Index:
    gathered = SegmentColumns()
    reader = WriteAheadReader(folder.wal_path(segment))
    try:
        with raw.open("wb") as raw_file, rows.open("wb") as rows_file:
            frames = FrameWriter(raw_file)
            while lines := reader.read():
                for line in lines:
                    event, normal = _understand(line)
                    row = gathered.row(frames.lines, len(frames.frames), event, normal)
                    frames.add(line)
                    rows_file.write(row + b"\n")
            frames.flush()
            rows_file.flush()
            chosen = _write_columns(folder, segment, gathered, rows, columns, frames.lines)
            index = gathered.index(frames, chosen)
            frames.finish(index)
    finally:
        reader.close()
    return index


def _write_columns(
    folder: EventFolder, segment: int, gathered: SegmentColumns, rows: Path, target: Path, lines: int
) -> list[int]:
    """Write the Parquet file; the fields that have a column in it."""
    connection = connect(folder.segments, CLOSING_MEMORY)
    try:
        for most in (MOST_COLUMNS, FEWER_COLUMNS, 0):
            chosen = gathered.chosen(most)
            try:
                written = write_columns(connection, rows, chosen, target, is_odd=not most)
                break
            except TooWide:
                if not most:
                    raise
                # Values past all measure: what has no column is found by reading lines.
                log.warning("segment_with_fewer_columns", segment=segment, columns=len(chosen))
    finally:
        connection.close()
    if written != lines:
        raise ValueError(f"segment {segment}: {written} rows for {lines} lines")
    return chosen


def _understand(line: bytes) -> tuple[StoredEvent | None, NormalEvent | None]:
    """One bad event never stops the others: it rests as a line, and the columns call it odd."""
    try:
        event = parse(line)
    except ValueError:
        log.warning("event_line_damaged", bytes=len(line))
        return None, None
    try:
        return event, normalise(event.data)
    except Exception:
        log.exception("event_not_normalised", event=event.id)
        return event, None
