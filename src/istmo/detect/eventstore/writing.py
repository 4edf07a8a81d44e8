"""Writing a segment's two files from its lines, whoever brings them: a closing, or what rewrites.

Columns are always made from the lines: they say what the lines say, and never more. Both are sealed where the
folder has a key that seals; then nothing of an event touches the disk in clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
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
    column_name,
    connect,
    write_columns,
)
from istmo.detect.eventstore.disk import digest_of, sync_file, sync_folder
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameWriter, Index, Part
from istmo.detect.eventstore.lines import StoredEvent, parse, place_of_id
from istmo.detect.eventstore.sealed_columns import Draft
from istmo.detect.eventstore.texts import texts_of
from istmo.detect.eventstore.times import CLOCK, clock_trouble, event_micros
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.wire import Position

log = structlog.get_logger(__name__)

Placed = tuple[Position, bytes]
"""(place in the log, stored line)"""


class SegmentColumns:
    """Gathers rows for the columns, and what the index says of them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._keys: list[str] = []
        """The numbers as text, as they stand in a row."""
        self._seen: list[int] = []
        """How many rows have each field, by its number."""
        self._lists: set[int] = set()
        self._times: tuple[int, int] | None = None
        self._parts: dict[str, list[int]] = {}
        self.odd = 0

    def row(
        self, line: int, frame: int, event: StoredEvent | None, normal: NormalEvent | None, size: int
    ) -> bytes:
        """One row as JSON; no event means a line that cannot be read, no normal one an odd event.

        ``size`` is the stored line's.
        """
        row: dict[str, Any] = {"line": line, "frame": frame, "odd": normal is None}
        row["time"] = row["received"] = 0
        if event is not None:
            row["received"], row["source"] = event.received, event.source
            with suppress(ValueError):  # a damaged line may still be one event
                place = place_of_id(event.id)
                row["segment"], row["place"] = place.segment, place.line
            self._count(event, size)
            row["time"] = event.received if normal is None else event_micros(normal, event.received)
            first, last = self._times or (row["time"], row["time"])
            self._times = min(first, row["time"]), max(last, row["time"])
        if normal is None:
            self.odd += 1
            return orjson.dumps(row)
        row["host"] = normal.host
        trouble = clock_trouble(normal, event.received) if event is not None else ""
        whole = orjson.dumps(
            row | self._fields(normal.fields | {CLOCK: trouble} if trouble else normal.fields)
        )
        if len(whole) < LONGEST_ROW:
            return whole
        self.odd += 1
        return orjson.dumps(row | {"odd": True})

    def _count(self, event: StoredEvent, size: int) -> None:
        received = event.received
        part = self._parts.get(event.source)
        if part is None:
            self._parts[event.source] = [1, size, received, received]
            return
        part[0] += 1
        part[1] += size
        part[2] = min(part[2], received)
        part[3] = max(part[3], received)

    def _fields(self, fields: Mapping[str, Any]) -> dict[str, str]:
        # Plain texts first and without a call: this runs for each field of each event.
        numbers, keys, seen = self._numbers, self._keys, self._seen
        found: dict[str, str] = {}
        for name, value in fields.items():
            if isinstance(value, str):
                text, is_list = value, False
            elif texts := texts_of(value):
                text, is_list = SEPARATOR.join(texts), len(texts) > 1
            else:
                continue
            number = numbers.get(name)
            if number is None:
                number = numbers[name] = len(numbers)
                keys.append(str(number))
                seen.append(0)
            seen[number] += 1
            if is_list:
                self._lists.add(number)
            found[keys[number]] = text
        return found

    def chosen(self, most: int) -> list[int]:
        """The fields that get a column: the most frequent, and one of those that would have the same."""
        by_count = sorted(range(len(self._seen)), key=lambda number: -self._seen[number])
        taken: dict[str, int] = {}
        for number, column in self.columns(by_count[:most]).items():
            taken.setdefault(column, number)
        return sorted(taken.values())

    def columns(self, numbers: Iterable[int]) -> dict[int, str]:
        """What fields have for columns."""
        names = list(self._numbers)
        return {number: column_name(names[number]) for number in numbers}

    def names(self, numbers: list[int]) -> list[str]:
        by_number = {number: name for name, number in self._numbers.items()}
        return [by_number[number] for number in numbers]

    def index(self, frames: FrameWriter, chosen: list[int], columns: Path) -> Index:
        """What a reader needs to know before reading. ``chosen`` fields have a column in the file."""
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
            sources={source: Part(*part) for source, part in self._parts.items()},
            columns_bytes=columns.stat().st_size,
            columns_digest=digest_of(columns),
        )


def write_segment(folder: EventFolder, target: Closed, lines: Iterable[Placed]) -> Index:
    """Write lines, in the order of the log, as ``target``; its two files are on disk when it returns.

    Columns get their name first: the lines under theirs are what says that the segment is there. Raises
    OSError when there is no room, and what reading ``lines`` raises: then nothing of it stays.
    """
    # Names of our own: a process left over from a worker that was killed may be at the same segment.
    half_raw = folder.half_path(target, "raw")
    draft = Draft(folder, target)
    try:
        gathered = SegmentColumns()
        with half_raw.open("wb") as raw_file:
            frames = FrameWriter(raw_file, folder.keys.sealer(folder.raw_path(target).name))
            with draft.writing() as rows_file:
                for place, line in lines:
                    event, normal = understand(line)
                    row = gathered.row(frames.lines, len(frames.frames), event, normal, len(line))
                    frames.add(line, place)
                    rows_file.write(row + b"\n")
            frames.flush()
            chosen = _write_columns(folder, target, gathered, draft, frames.lines)
            half_columns = draft.finish()
            index = gathered.index(frames, chosen, half_columns)
            frames.finish(index)
        for half, whole in (
            (half_columns, folder.columns_path(target)),
            (half_raw, folder.raw_path(target)),
        ):
            sync_file(half)
            half.rename(whole)
        sync_folder(folder.segments)
        return index
    finally:
        half_raw.unlink(missing_ok=True)
        draft.close()


def _write_columns(
    folder: EventFolder, closed: Closed, gathered: SegmentColumns, draft: Draft, lines: int
) -> list[int]:
    """Write the Parquet file; the fields that have a column in it."""
    connection = connect(folder.segments, CLOSING_MEMORY, draft.files)
    try:
        for most in (MOST_COLUMNS, FEWER_COLUMNS, 0):
            chosen = gathered.chosen(most)
            try:
                written = write_columns(
                    connection,
                    draft.rows,
                    gathered.columns(chosen),
                    draft.columns,
                    is_odd=not most,
                    is_packed=draft.is_packed,
                )
                break
            except TooWide:
                if not most:
                    raise
                # Values past all measure: what has no column is found by reading lines.
                log.warning("segment_with_fewer_columns", segment=closed.first, columns=len(chosen))
    finally:
        connection.close()
    if written != lines:
        raise ValueError(f"{closed.name}: {written} rows for {lines} lines")
    return chosen


def understand(line: bytes) -> tuple[StoredEvent | None, NormalEvent | None]:
    """A stored line as an event, and the event by Sigma's names; None for what cannot be made of it.

    One bad event never stops the others: it rests as a line, and the columns call it odd."""
    try:
        event = parse(line)
    except ValueError:
        log.warning("event_line_damaged", bytes=len(line))
        return None, None
    try:
        return event, normalise(event.data)
    except Exception:
        log.exception("event_not_normalised", place=event.id)
        return event, None
