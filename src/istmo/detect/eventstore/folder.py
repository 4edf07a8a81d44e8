"""Where the event store keeps what: names of files, and which segments there are."""

from __future__ import annotations

import os
import re
from pathlib import Path

from istmo.detect.eventstore.disk import make_folder

_WAL = re.compile(r"(\d{8})\.ndjson")
_RAW = re.compile(r"(\d{8})\.raw\.zst")
_COLUMNS = re.compile(r"(\d{8})\.parquet")


class EventFolder:
    """``wal/N.ndjson`` while a segment is open or waits to be closed; then two files in ``segments/``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wal = root / "wal"
        self.segments = root / "segments"

    def create(self) -> None:
        """Make the folders, durably."""
        for folder in (self.root, self.wal, self.segments):
            make_folder(folder)

    def wal_path(self, segment: int) -> Path:
        return self.wal / f"{segment:08d}.ndjson"

    def raw_path(self, segment: int) -> Path:
        """The lines: independent zstd frames of about 512 KB, and their index in a skippable frame."""
        return self.segments / f"{segment:08d}.raw.zst"

    def columns_path(self, segment: int) -> Path:
        """The columns: Parquet, one row a line."""
        return self.segments / f"{segment:08d}.parquet"

    def half_path(self, segment: int, part: str) -> Path:
        """A file that this process has not finished."""
        return self.segments / f"{segment:08d}.{part}.{os.getpid()}.half"

    def tidy(self) -> None:
        """Remove what a crash left unfinished. A process that is still at it fails, and changes nothing."""
        for path in self.segments.glob("*.half"):
            path.unlink(missing_ok=True)

    def wal_segments(self) -> list[int]:
        """Segments that have a write-ahead file, in order."""
        return _numbers(self.wal, _WAL)

    def closed_segments(self) -> list[int]:
        """Segments that rest in their two files alone, in order.

        One that has lost a file is among them: whoever reads it finds out, and can say so.
        """
        waiting = set(self.wal_segments())
        return sorted({*_numbers(self.segments, _RAW), *_numbers(self.segments, _COLUMNS)} - waiting)

    def all_segments(self) -> list[int]:
        """Every segment, in order. The write-ahead is listed first: a closing between loses none."""
        waiting = self.wal_segments()
        return sorted({*waiting, *_numbers(self.segments, _RAW)})


def _numbers(folder: Path, pattern: re.Pattern[str]) -> list[int]:
    found = (pattern.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)
