"""Events that are read line by line for a statement: those not in columns yet, or not told by them.

They become one Parquet file without a name, which is gone with the process that has it open. Where events are
sealed it is in memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import orjson

from istmo.detect.eventstore.columns import CLOSING_MEMORY, LONGEST_ROW, SEPARATOR, connect, write_columns
from istmo.detect.eventstore.disk import has_room
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.lines import place_of_id
from istmo.detect.eventstore.texts import texts_of
from istmo.detect.eventstore.times import CLOCK, clock_trouble, event_micros
from istmo.detect.eventstore.writing import understand

_LOOK_BYTES: Final = 8 << 20
"""After so many it is asked again whether there is room: whoever asks takes none that events need."""
EVENT: Final = "event"
"""The column of the whole event, as it came."""


class TooLarge(Exception):
    """More than may be read line by line."""


class LineRows:
    """Gathers events; ``finish`` makes a file of them."""

    def __init__(self, folder: EventFolder, names: frozenset[str], *, is_all: bool, most_bytes: int) -> None:
        """``names``: the columns that are wanted, in lower case; ``is_all``: every field as well."""
        self._folder, self._names, self._is_all = folder, names, is_all
        self._rows, self._file = _unnamed(folder), _unnamed(folder)
        self._most = most_bytes
        self._numbers: dict[str, int] = {}
        self.fields: dict[str, str] = {}
        """Fields that were met, by their names in lower case."""
        self.count = self._bytes = self._unsure = 0

    def add(self, line: bytes, start: int | None, end: int | None) -> bool:
        """Take a stored line, where its event happened in that time; False where it cannot be read.

        Raises TooLarge, also where the disk has no room for it.
        """
        event, normal = understand(line)
        if event is None:
            return False
        when = event.received if normal is None else event_micros(normal, event.received)
        if (start is not None and when < start) or (end is not None and when >= end):
            return True
        row: dict[str, Any] = {"line": 0, "frame": 0, "odd": False, "time": when}
        row |= {"received": event.received, "source": event.source}
        try:
            place = place_of_id(event.id)
        except ValueError:
            return False
        row |= {"segment": place.segment, "place": place.line}
        if normal is not None:
            row["host"] = normal.host
            trouble = clock_trouble(normal, event.received)
            self._take(normal.fields | {CLOCK: trouble} if trouble else normal.fields, row)
        if EVENT in self._names:
            row[self._key(EVENT)] = event.raw.decode("utf-8", "replace")
        whole = orjson.dumps(row) + b"\n"
        if len(whole) >= LONGEST_ROW:
            return False
        self._bytes += len(whole)
        if self._bytes > self._most:
            raise TooLarge
        self._unsure += len(whole)
        if self._unsure > _LOOK_BYTES:
            self._unsure = 0
            if not has_room(self._folder.segments, 2 * _LOOK_BYTES):
                raise TooLarge
        self._rows.write(whole)
        self.count += 1
        return True

    def _take(self, fields: Mapping[str, Any], row: dict[str, Any]) -> None:
        for name, value in fields.items():
            low = name.lower()
            if low == EVENT or not (self._is_all or low in self._names):
                continue
            if texts := texts_of(value):
                self.fields.setdefault(low, name)
                key = self._key(low)
                row[key] = SEPARATOR.join([row[key], *texts] if key in row else texts)

    def _key(self, name: str) -> str:
        return str(self._numbers.setdefault(name, len(self._numbers)))

    def finish(self) -> tuple[Path, dict[str, str]]:
        """The file of the events, and the column of each name in it."""
        self._rows.flush()
        rows, path = _path_of(self._rows.fileno()), _path_of(self._file.fileno())
        columns = {number: f"f{number}" for number in self._numbers.values()}
        connection = connect(self._folder.segments, CLOSING_MEMORY, [rows, path])
        try:
            write_columns(connection, rows, columns, path)
        finally:
            connection.close()
        self._rows.close()
        return path, {name: columns[number] for name, number in self._numbers.items()}

    def close(self) -> None:
        """Let go of the files."""
        self._rows.close()
        self._file.close()


def _unnamed(folder: EventFolder) -> IO[bytes]:
    if folder.keys:
        return os.fdopen(os.memfd_create("lines"), "w+b")
    return tempfile.TemporaryFile(dir=folder.segments)


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}")
