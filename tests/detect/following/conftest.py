"""A follower, the files that it follows, and an intake that remembers names as a node does."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import ManualClock
from istmo.detect.following import BookmarkFile, Follower
from istmo.detect.following.tails import QUIET
from istmo.detect.reading import FileProblem, Found, Line
from istmo.errors import Unavailable
from istmo.settings import Limits

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Intake:
    """Stores what has a new name; ``fails`` says what happens to the next ones."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, int], Line] = {}
        self.problems: list[FileProblem] = []
        self.fails: list[str] = []

    def __call__(self, found: Sequence[Found], key: str) -> None:
        fault = self.fails.pop() if self.fails else ""
        if fault == "before":
            raise Unavailable("detect.ingest_no_answer", url="http://x", accepted=0)
        lines = [one for one in found if isinstance(one, Line)]
        for number, line in enumerate(lines):
            self.stored.setdefault((key, number), line)
        if fault:
            raise Unavailable("detect.ingest_no_answer", url="http://x", accepted=0)
        self.problems += [one for one in found if isinstance(one, FileProblem)]

    @property
    def texts(self) -> list[str]:
        return [line.raw.decode() for line in self.stored.values()]

    @property
    def data(self) -> list[Any]:
        return [line.data for line in self.stored.values()]


class Bench:
    """A folder that is followed from one bookmark file, by one follower after another."""

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        self.bookmarks = folder / "bookmarks.json"
        self.intake = Intake()
        self.wanted: list[Path] = [self.logs]
        self.form = ""
        self.limits = Limits()
        self.is_unanswered = False
        """What was sent last may be stored or not."""
        self._follower: Follower | None = None

    @property
    def follower(self) -> Follower:
        if self._follower is None:
            kept = BookmarkFile(self.bookmarks)
            clock = ManualClock(NOW)
            self._follower = Follower(self.wanted, kept, self.intake, self.limits, clock, self.form)
        return self._follower

    def kill(self) -> None:
        """All that was not on disk is gone."""
        if self._follower is not None:
            self._follower.close()
        self._follower = None

    def round(self) -> bool:
        """A round; whether the node took all of it."""
        try:
            self.follower.round()
        except Unavailable:
            self.is_unanswered = True
            return False
        self.is_unanswered = False
        return True

    def settle(self) -> list[str]:
        """Rounds until nothing can come any more."""
        calm = 0
        while calm <= 2 * QUIET + 2:
            before = len(self.intake.stored)
            is_good = self.round()
            calm = calm + 1 if is_good and len(self.intake.stored) == before else 0
        return self.intake.texts

    def write(self, name: str, data: bytes | str) -> Path:
        path = self.logs / name
        with path.open("ab") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        return path

    def rotate(self, name: str, most: int = 3) -> None:
        """As logrotate does by default."""
        for number in range(most, 0, -1):
            before = self.logs / (f"{name}.{number - 1}" if number > 1 else name)
            for packed in ("", ".gz"):
                old = before.with_name(before.name + packed)
                if old.exists():
                    old.replace(self.logs / f"{name}.{number}{packed}")

    def pack(self, name: str) -> None:
        path = self.logs / name
        (self.logs / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
