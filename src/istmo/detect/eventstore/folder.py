"""Where the event store keeps what: names of files, and which segments there are."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from istmo.detect.eventstore.disk import make_folder, sync_folder
from istmo.detect.eventstore.sealing import NO_KEYS, Keys, keys_of
from istmo.settings import Settings

_WAL = re.compile(r"(\d{8})\.ndjson")
_CLOSED = r"(\d{8})(?:-(\d{8})\.(\d+))?"
_RAW = re.compile(_CLOSED + r"\.raw\.zst")
_COLUMNS = re.compile(_CLOSED + r"\.parquet")


@dataclass(frozen=True, order=True)
class Closed:
    """Two files that hold the segments from ``first`` to ``last``, or what is kept of them.

    A segment as it was closed has generation 0; what was written anew out of it, or out of it and its
    neighbours, a later one. Of two that hold the same segments the later generation counts.
    """

    first: int
    last: int
    generation: int = 0

    @property
    def name(self) -> str:
        """How its files begin."""
        if self.generation == 0:
            return f"{self.first:08d}"
        return f"{self.first:08d}-{self.last:08d}.{self.generation}"


class EventFolder:
    """``wal/N.ndjson`` while a segment is open or waits to be closed; then two files in ``segments/``."""

    def __init__(self, root: Path, keys: Keys = NO_KEYS) -> None:
        """``keys`` seal what is written and open what is sealed."""
        self.root = root
        self.keys = keys
        self.wal = root / "wal"
        self.segments = root / "segments"

    def create(self) -> None:
        """Make the folders, durably."""
        for folder in (self.root, self.wal, self.segments):
            make_folder(folder)

    def wal_path(self, segment: int) -> Path:
        return self.wal / f"{segment:08d}.ndjson"

    def times_path(self, segment: int) -> Path:
        """Beside a write-ahead file: between which instants its events lie, as far as that is noted."""
        return self.wal / f"{segment:08d}.times"

    def raw_path(self, closed: Closed) -> Path:
        """The lines: independent zstd frames of about 512 KB, and their index in a skippable frame."""
        return self.segments / f"{closed.name}.raw.zst"

    def columns_path(self, closed: Closed) -> Path:
        """The columns: Parquet, one row a line."""
        return self.segments / f"{closed.name}.parquet"

    def half_path(self, closed: Closed, part: str) -> Path:
        """A file that this process has not finished."""
        return self.segments / f"{closed.name}.{part}.{os.getpid()}.half"

    def tidy(self) -> None:
        """Remove what a crash left unfinished. A process that is still at it fails, and changes nothing."""
        for path in self.segments.glob("*.half"):
            path.unlink(missing_ok=True)
        for path in self.wal.glob("*.times"):
            if not path.with_suffix(".ndjson").exists():
                path.unlink(missing_ok=True)

    def wal_segments(self) -> list[int]:
        """Segments that have a write-ahead file, in order."""
        return sorted(int(found[1]) for found in _matches(self.wal, _WAL))

    def closed(self) -> list[Closed]:
        """What holds the segments that rest in their two files alone, in order.

        One that has lost a file is among them: whoever reads it finds out, and can say so. What was
        written anew and is still there is not.
        """
        waiting = set(self.wal_segments())
        return [one for one in self._list()[0] if one.generation or one.first not in waiting]

    def superseded(self) -> list[Closed]:
        """What has been written anew, and nobody needs any more who has not begun to read it."""
        return self._list()[1]

    def closed_with(self, segment: int) -> Closed | None:
        """What holds a segment that was closed; None where there is none any more."""
        found = self._list()[0]
        place = bisect_right(found, segment, key=lambda one: one.first) - 1
        return found[place] if place >= 0 and found[place].last >= segment else None

    def all_segments(self) -> list[int]:
        """Every segment, in order. The write-ahead is listed first: a closing between loses none."""
        waiting = self.wal_segments()
        resting = (range(one.first, one.last + 1) for one in self._list()[0])
        return sorted({*waiting, *(segment for some in resting for segment in some)})

    def remove(self, closed: Iterable[Closed]) -> None:
        """Let go of segments for good, or of what was written anew.

        The lines go last: a crash between leaves what can be read whole and is removed again.
        """
        gone = list(closed)
        for path_of in (self.columns_path, self.raw_path):
            for one in gone:
                path_of(one).unlink(missing_ok=True)
            sync_folder(self.segments)

    def _list(self) -> tuple[list[Closed], list[Closed]]:
        """(what counts, what was superseded), each in order."""
        raws, columns = set(), set()
        for path in self.segments.iterdir():
            if found := _RAW.fullmatch(path.name):
                raws.add(_closed(found))
            elif found := _COLUMNS.fullmatch(path.name):
                columns.add(_closed(found))
        current = _outermost(raws)
        firsts = [one.first for one in current]
        for one in _outermost(columns - raws):
            # Columns alone: the lines were lost, unless the lines of these segments are elsewhere.
            place = bisect_right(firsts, one.last) - 1
            if place < 0 or current[place].last < one.first:
                current.append(one)
        return sorted(current), sorted((raws | columns) - set(current))


def folder_of(settings: Settings) -> EventFolder:
    """A node's store. Raises Unavailable or InvalidInput where its key file cannot be used."""
    return EventFolder(settings.events, keys_of(settings))


def _outermost(found: Iterable[Closed]) -> list[Closed]:
    """Those that no other one stands for: of nested ranges the widest, of equal ones the latest."""
    kept: list[Closed] = []
    for one in sorted(found, key=lambda one: (one.first, -one.last, -one.generation)):
        if not kept or one.last > kept[-1].last:
            kept.append(one)
    return kept


def _matches(folder: Path, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    return [match for path in folder.iterdir() if (match := pattern.fullmatch(path.name))]


def _closed(found: re.Match[str]) -> Closed:
    first = int(found[1])
    return Closed(first, int(found[2] or first), int(found[3] or 0))
