"""Writing closed segments anew: neighbours into one, without what is kept no longer, sealed as is wanted now.

Safe at any point: the new files are whole and named before the old ones count for nothing, and of two
that hold the same segments the folder always tells which one counts. Ids stay: an event's place is in
its own line. What cannot be read whole is never written anew, so damage costs nothing more.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog

from istmo.detect.eventstore.disk import DiskFull, has_room, sync_folder
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader, Index
from istmo.detect.eventstore.lines import parse
from istmo.detect.eventstore.writing import Placed, write_segment
from istmo.errors import Conflict

log = structlog.get_logger(__name__)

Without = Mapping[Closed, frozenset[str]]
"""By segment, the sources whose events in it are kept no longer."""


def rewrite(folder: EventFolder, olds: Sequence[Closed], without: Without) -> Index:
    """Write neighbours, in order, as one, less what is not to be kept. The old files stay, superseded.

    Raises ValueError where something of them cannot be read, DiskFull or OSError where there is no room,
    Conflict where another process is at it: the old ones count as before.
    """
    with _alone(folder):
        within = range(olds[0].first, olds[-1].last + 1)
        waiting = [one for one in folder.wal_segments() if one in within]
        if waiting or [one for one in folder.closed() if one.first in within] != list(olds):
            # Something else rests between them, or they are no more what they were.
            raise Conflict("detect.store_in_use", folder=str(folder.segments))
        if not has_room(folder.segments, sum(folder.raw_path(one).stat().st_size for one in olds) * 2):
            raise DiskFull(folder.root)
        generation = 1 + max(one.generation for one in olds)
        target = Closed(olds[0].first, olds[-1].last, generation)
        return write_segment(folder, target, _kept(folder, olds, without))


def tidy(folder: EventFolder) -> None:
    """Remove what a crash left half done, and what was written anew, unless a process is still at it."""
    try:
        with _alone(folder):
            folder.tidy()
            remove_superseded(folder, folder.superseded())
    except Conflict:
        return


def remove_superseded(folder: EventFolder, olds: Sequence[Closed]) -> None:
    """Remove what was written anew, where what stands in its place is there and says what it holds."""
    gone = [one for one in olds if _is_replaced(folder, one)]
    if gone:
        sync_folder(folder.segments)  # the new names first, before the old ones go
        folder.remove(gone)


def _is_replaced(folder: EventFolder, old: Closed) -> bool:
    instead = folder.closed_with(old.first)
    if instead is None or instead == old:
        return False
    try:
        FrameReader(folder.raw_path(instead), folder.keys).close()
    except (ValueError, OSError) as error:
        log.error("event_segment_unreadable", segment=instead.first, problem=str(error))
        return False
    return True


def _kept(folder: EventFolder, olds: Sequence[Closed], without: Without) -> Iterator[Placed]:
    for old in olds:
        sources = without.get(old, frozenset())
        with FrameReader(folder.raw_path(old), folder.keys) as reader:
            expected = reader.index.lines - sum(
                part.lines for source, part in reader.index.sources.items() if source in sources
            )
            for number in range(len(reader.index.frames)):
                for placed in reader.placed(number):
                    if sources and _source_of(placed[1]) in sources:
                        continue
                    expected -= 1
                    yield placed
        if expected:
            raise ValueError(f"{old.name}: the index does not fit the lines")


def _source_of(line: bytes) -> str:
    """Whose event it is; nobody's where the line cannot be read: nothing says that it may go."""
    try:
        return parse(line).source
    except ValueError:
        return ""


@contextmanager
def _alone(folder: EventFolder) -> Iterator[None]:
    """One process at a time: a worker that was killed may have left one behind."""
    descriptor = os.open(folder.root / "rewriting", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict("detect.store_in_use", folder=str(folder.root)) from None
        yield
    finally:
        os.close(descriptor)
