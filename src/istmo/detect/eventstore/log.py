"""The event log: one writer, group commit, and followers that read on from any position.

Everybody who appends at the same time shares one ``fdatasync``; nobody is answered before it.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from istmo.clock import Clock
from istmo.detect.eventstore.ahead_times import keep_upto
from istmo.detect.eventstore.disk import DiskFull, has_room, is_full
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.known_keys import KnownKeys, recall
from istmo.detect.eventstore.lines import StoredEvent, compose
from istmo.detect.eventstore.resting import Shelf
from istmo.detect.eventstore.rewriting import tidy
from istmo.detect.eventstore.sealing import NO_KEYS, Keys
from istmo.detect.eventstore.times import to_micros
from istmo.detect.eventstore.wal import Repair, WriteAhead, count_lines
from istmo.detect.wire import Position
from istmo.errors import Conflict, IstmoError, RateLimited, Unavailable

log = structlog.get_logger(__name__)

SEGMENT_BYTES: Final = 64 << 20
SEGMENT_SECONDS: Final = 3600.0
GROUP_BYTES: Final = 2 << 20
"""As much goes into one write and one sync at most."""
WAITING_BYTES: Final = 48 << 20
"""Past this, whoever comes is asked to come back."""
RECENT_BYTES: Final = 1 << 20
"""Raw bytes of events kept in memory, parsed, for the stages that follow closely."""

Answer = Callable[[IstmoError | None], None]


@dataclass
class Batch:
    """Events of one source that are accepted together; ``answer`` is called from the writer's thread."""

    source: str
    events: list[tuple[bytes, dict[str, Any] | None]]
    """Validated bytes, and what they hold if it is worth keeping."""
    answer: Answer
    size: int = 0
    keys: Sequence[bytes] = ()
    """By event, the name that its sender gave it (empty: none); shorter where the last ones have none."""
    doubled: list[int] = field(default_factory=list)
    """Once it is answered: the places of events that had been stored before, by their names."""

    def __post_init__(self) -> None:
        self.size = sum(len(raw) for raw, _ in self.events) + 96 * len(self.events)


@dataclass(frozen=True)
class Block:
    """Consecutive events of one segment: from ``start`` up to, not including, ``end``."""

    start: Position
    end: Position
    events: list[StoredEvent]
    """Readable ones; a damaged line has its place in the log and no event here."""
    size: int = 0


@dataclass(frozen=True)
class Head:
    """Up to where the log is on disk: the position, and the open file's length there."""

    position: Position
    offset: int
    events: int
    """In all segments together."""


@dataclass
class _Recent:
    blocks: deque[Block] = field(default_factory=deque)
    size: int = 0

    def add(self, block: Block) -> None:
        self.blocks.append(block)
        self.size += block.size
        while self.size > RECENT_BYTES and len(self.blocks) > 1:
            self.size -= self.blocks.popleft().size

    def find(self, position: Position) -> Block | None:
        for block in reversed(self.blocks):
            if block.start == position:
                return block
            if block.start < position:
                return None
        return None


class EventLog:
    """Opens (and mends) the store in a folder and appends to it. One process at a time."""

    def __init__(
        self,
        root: Path,
        clock: Clock,
        keys: Keys = NO_KEYS,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
    ) -> None:
        """Raises Conflict when another process has the store. ``keys`` seal what is appended."""
        self.folder = EventFolder(root, keys)
        self.folder.create()
        self._lock_file = _lock(root)
        tidy(self.folder)
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self.repairs: list[Repair] = []
        self._wal = self._open()
        self._opened_at = clock.monotonic()
        self._recent = _Recent()
        self._changed = threading.Condition()
        self.shelf = Shelf(self.folder)
        self._older = self._count_older()
        self._head = Head(
            Position(self._segment, self._wal.lines),
            self._wal.size,
            sum(self._older.values()) + self._wal.lines,
        )
        self._waiting: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._listeners: list[Callable[[], object]] = []
        self._known = KnownKeys()
        recall(self._known, self.folder)
        self._rotate_asked = False
        self._least = 0
        """The first segment that may take events."""
        self.is_full = False
        """The last append found no room."""
        self._writer = threading.Thread(target=self._write_all, name="event-writer", daemon=True)
        self._writer.start()

    @property
    def head(self) -> Head:
        """Everything before it is on disk."""
        return self._head

    def on_append(self, listener: Callable[[], object]) -> None:
        """Call ``listener`` (from the writer's thread) after each commit."""
        self._listeners.append(listener)

    def append(self, batch: Batch) -> None:
        """Queue events; ``batch.answer(None)`` once they are on disk, or with the error.

        Raises RateLimited at once when too much waits already.
        """
        with self._changed:
            if self._waiting_bytes + batch.size > WAITING_BYTES and self._waiting_bytes:
                raise RateLimited("detect.intake_busy", retry_after=1)
            self._waiting_bytes += batch.size
        self._waiting.put(batch)

    def ask_rotation(self) -> None:
        """End the open segment before the next event (a test, or a node that shuts for good)."""
        self._rotate_asked = True

    def begin_past(self, position: Position) -> None:
        """Never again give a place before ``position``: events of a store that was lost had them, and whoever
        remembers those would take new ones for them, or wait until the new store is as long.
        """
        if position > self._head.position:
            log.error("event_log_shorter", reached=self._head.position.segment, known=position.segment)
            self._least = position.segment + 1

    def wait_past(self, position: Position, seconds: float) -> bool:
        """Wait until the log reaches past ``position``; False when it did not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._head.position > position, seconds)

    def recent(self, position: Position) -> Block | None:
        """The block that starts at ``position``, if it is still in memory."""
        with self._changed:
            return self._recent.find(position)

    def behind(self, position: Position) -> int:
        """How many events the log holds past a position."""
        head = self._head.position
        if position.segment >= head.segment:
            return max(0, head.line - position.line) if position.segment == head.segment else 0
        later = sum(count for segment, count in list(self._older.items()) if segment > position.segment)
        return max(0, self._older.get(position.segment, 0) - position.line) + later + head.line

    def segments_to_close(self) -> list[int]:
        """Write-ahead files that take no more lines, oldest first."""
        return [one for one in self.folder.wal_segments() if one < self._segment]

    def close(self) -> None:
        """Write what waits, and let go."""
        self._waiting.put(None)
        self._writer.join()
        self._wal.close()
        os.close(self._lock_file)

    def _open(self) -> WriteAhead:
        segments = self.folder.wal_segments()
        self._segment = max([0, *self.folder.all_segments()])
        for segment in segments:
            if segment != self._segment:
                older = self._write_ahead(segment)
                self._note(older)
                older.close()
        if self._segment not in segments:
            self._segment += 1
        wal = self._write_ahead(self._segment)
        self._note(wal)
        if not wal.is_as_wanted:
            # Sealed from now on, or no more, or with another key: what is there stays as it is.
            wal.close()
            self._segment += 1
            wal = self._write_ahead(self._segment)
        return wal

    def _write_ahead(self, segment: int) -> WriteAhead:
        wal = WriteAhead(self.folder.wal_path(segment), self.folder.keys)
        keep_upto(self.folder.times_path(segment), wal.lines)
        return wal

    def _note(self, wal: WriteAhead) -> None:
        if wal.repaired:
            self.repairs.append(wal.repaired)
            log.warning(
                "event_log_repaired",
                file=wal.path.name,
                offset=wal.repaired.offset,
                cut=wal.repaired.cut,
            )

    def recount(self) -> None:
        """See which closed segments have come or gone, and count what is there."""
        self.shelf.refresh()
        resting = {one.closed.last: one.lines for one in self.shelf.all()}
        with self._changed:
            waiting = {one: self._older.get(one, 0) for one in self.segments_to_close()}
            self._older = resting | waiting
            older = sum(self._older.values())
            self._head = Head(self._head.position, self._head.offset, older + self._head.position.line)

    def _count_older(self) -> dict[int, int]:
        """Lines by segment; of several that rest as one, all of them by the last."""
        counts = {one.closed.last: one.lines for one in self.shelf.all()}
        for segment in self.segments_to_close():
            with self.folder.wal_path(segment).open("rb") as file:
                counts[segment] = count_lines(file.fileno())
        return counts

    def _write_all(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, size, is_last = [first], first.size, False
            while size < GROUP_BYTES:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    is_last = True
                    break
                group.append(more)
                size += more.size
            self._commit(group, size)
            if is_last:
                return

    def _commit(self, group: list[Batch], size: int) -> None:
        problem: IstmoError | None = None
        try:
            self._rotate_if_due()
            if not has_room(self.folder.wal, size):
                raise DiskFull(self.folder.root)
            self._append(group)
            self.is_full = False
        except IstmoError as error:
            problem = error
            self.is_full = isinstance(error, DiskFull)
        except OSError as error:
            problem = DiskFull(self.folder.root) if is_full(error) else Unavailable("detect.store_failed")
            self.is_full = is_full(error)
            log.error("event_append_failed", problem=str(error))
        except Exception:
            # Memory that ran out, say: whoever sent these sends them again, and the next are written.
            problem = Unavailable("detect.store_failed")
            log.exception("event_append_failed")
        with self._changed:
            self._waiting_bytes -= size
        for batch in group:
            batch.answer(problem)
        if problem is None:
            for listener in self._listeners:
                listener()

    def _append(self, group: list[Batch]) -> None:
        received = to_micros(self._clock.now())
        line = first = self._wal.lines
        lines: list[bytes] = []
        events: list[StoredEvent] = []
        named: set[int] = set()
        for batch in group:
            source = orjson.dumps(batch.source)
            batch.doubled.clear()
            keys = iter(batch.keys)
            for place, (raw, data) in enumerate(batch.events):
                if key := next(keys, b""):
                    key = orjson.dumps(key.decode("utf-8", "replace"))
                    digest = self._known.digest(source, key)
                    if digest in self._known or digest in named:
                        batch.doubled.append(place)
                        continue
                    named.add(digest)
                lines.append(compose(self._segment, line, received, source, raw, key))
                events.append(StoredEvent(f"{self._segment}-{line}", received, batch.source, raw, data))
                line += 1
        block = b"".join(lines)
        if not lines:
            return
        self._wal.append(block, line - first)
        self._known.add(named)
        start, end = Position(self._segment, first), Position(self._segment, line)
        with self._changed:
            self._recent.add(Block(start, end, events, len(block)))
            self._head = Head(end, self._wal.size, self._head.events + line - first)
            self._changed.notify_all()

    def _rotate_if_due(self) -> None:
        old_enough = self._clock.monotonic() - self._opened_at >= self._segment_seconds
        is_behind = self._segment < self._least
        is_due = self._rotate_asked or old_enough or self._wal.size >= self._segment_bytes
        if not is_behind and not (self._wal.lines and is_due):
            return
        segment = max(self._segment + 1, self._least)
        following = self._write_ahead(segment)
        if not self._wal.lines:
            self._wal.path.unlink(missing_ok=True)
        self._wal.close()
        self._wal = following
        self._rotate_asked = False
        with self._changed:
            if self._head.position.line:
                self._older[self._segment] = self._head.position.line
            self._segment = segment
            self._opened_at = self._clock.monotonic()
            self._head = Head(Position(self._segment, 0), 0, self._head.events)


def _lock(root: Path) -> int:
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Conflict("detect.store_in_use", folder=str(root)) from None
    return descriptor
