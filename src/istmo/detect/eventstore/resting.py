"""What is known of the closed segments without reading them: how large, how old, whose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.frames import FrameReader, Part
from istmo.detect.eventstore.sealing import PLAIN, SealedAway

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Resting:
    """One closed segment, or several in one."""

    closed: Closed
    lines: int
    size: int
    """Bytes of its two files."""
    unpacked: int
    """Bytes of its lines."""
    parts: Mapping[str, Part]
    """By source."""
    key: bytes = PLAIN
    """The id of the key that it is sealed with; ``PLAIN`` where it is not."""

    @property
    def first(self) -> int:
        """When the first of its events came in, µs since 1970; 0 where none can be read."""
        return min((part.first for part in self.parts.values()), default=0)

    @property
    def last(self) -> int:
        """When the last one came in."""
        return max((part.last for part in self.parts.values()), default=0)

    def share(self, source: str) -> int:
        """Bytes on disk that a source's events take, by their part of the lines."""
        part = self.parts.get(source)
        return 0 if part is None else self.size * part.bytes // max(1, self.unpacked)


def look(folder: EventFolder, closed: Closed) -> Resting:
    """Read a segment's index. Raises OSError, or ValueError where it is damaged."""
    with FrameReader(folder.raw_path(closed), folder.keys) as reader:
        index, key = reader.index, reader.key_id
    size = folder.raw_path(closed).stat().st_size + index.columns_bytes
    unpacked = sum(frame.size for frame in index.frames)
    return Resting(closed, index.lines, size, unpacked, index.sources, key)


class Shelf:
    """All closed segments of a store that can be read, in order; each index is read once."""

    def __init__(self, folder: EventFolder) -> None:
        self._folder = folder
        self._known: dict[Closed, Resting] = {}
        self._unreadable: set[Closed] = set()
        self._shut: set[Closed] = set()
        self.refresh()

    def refresh(self) -> None:
        """See what has come and what has gone."""
        found: dict[Closed, Resting] = {}
        listed = self._folder.closed()
        for closed in listed:
            known = self._known.get(closed)
            try:
                found[closed] = known or look(self._folder, closed)
                self._unreadable.discard(closed)
                self._shut.discard(closed)
            except (ValueError, OSError) as error:
                if closed not in self._unreadable:
                    log.error("event_segment_unreadable", segment=closed.first, problem=str(error))
                    self._unreadable.add(closed)
                if isinstance(error, SealedAway):
                    self._shut.add(closed)
        self._known = found
        self._unreadable &= set(listed)
        self._shut &= self._unreadable

    def all(self) -> list[Resting]:
        """What is there, oldest first."""
        return list(self._known.values())

    def unreadable(self) -> list[Closed]:
        """What is there and cannot be read."""
        return sorted(self._unreadable)

    def shut(self) -> list[Closed]:
        """What of it is sealed with a key that is not there."""
        return sorted(self._shut)
