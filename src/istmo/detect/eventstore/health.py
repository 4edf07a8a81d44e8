"""Whether what rests in the event store can be read: a look at the ends of each file, or at every event."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from istmo.detect.eventstore.columns import ColumnsUnreadable, connect, count_rows
from istmo.detect.eventstore.disk import digest_of
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.sealed_columns import ColumnsToAsk
from istmo.detect.eventstore.sealed_wal import is_sealed, survey
from istmo.detect.eventstore.sealing import NO_KEYS, PLAIN, Keys, SealedAway


@dataclass(frozen=True)
class Health:
    """What was looked at. The two lists name files, in the order of their segments."""

    segments: int
    """Closed segments; those still in the write-ahead are looked at by the worker that opens them."""
    lost: list[str]
    """Files of lines that cannot be read: their events are gone but for a backup."""
    slow: list[str]
    """Files of columns that cannot be read: their events are all there, and a search reads every one."""
    shut: list[str] = field(default_factory=list)
    """Files that are sealed with a key that is not there: whole, as far as can be told."""


def look_at(root: Path, keys: Keys = NO_KEYS, *, every_event: bool = False) -> Health:
    """Look at the index behind the frames and at the footer of the columns of every closed segment.

    Cheap: a few kilobytes a segment (of sealed columns, their size alone). With ``every_event`` each frame is
    unpacked against its checksum too, and the columns are read against theirs, which reads the whole store. A
    store that nobody has begun is whole. Raises OSError where the folder itself cannot be listed.
    """
    folder = EventFolder(root, keys)
    if not folder.wal.exists() and not folder.segments.exists():
        return Health(0, [], [])
    lost: list[str] = []
    slow: list[str] = []
    shut = [path.name for path in map(folder.wal_path, folder.wal_segments()) if _is_shut(path, keys)]
    segments = folder.closed()
    if segments:
        asked = ColumnsToAsk(folder)
        connection = connect(folder.segments, files=asked.files)
        try:
            for closed in segments:
                raw = folder.raw_path(closed)
                try:
                    with FrameReader(raw, keys) as reader:
                        index, is_plain = reader.index, reader.key_id == PLAIN
                        if every_event:
                            for number in range(len(reader.index.frames)):
                                reader.block(number)
                except SealedAway:
                    shut.append(raw.name)
                    continue
                except (OSError, ValueError):
                    lost.append(raw.name)
                    continue
                columns = folder.columns_path(closed)
                try:
                    is_whole = columns.stat().st_size == index.columns_bytes
                    if is_whole and (is_plain or every_event):
                        is_whole = count_rows(connection, asked.path_of(closed)) == index.lines
                    if is_whole and every_event:
                        is_whole = digest_of(columns) == index.columns_digest
                except (OSError, ColumnsUnreadable):
                    is_whole = False
                if not is_whole:
                    slow.append(columns.name)
        finally:
            connection.close()
            asked.close()
    return Health(len(segments), lost, slow, shut)


def _is_shut(path: Path, keys: Keys) -> bool:
    """Whether some of a write-ahead file is sealed with a key that is not there."""
    try:
        with path.open("rb") as file:
            return is_sealed(file.fileno()) and any(key not in keys for key in survey(file.fileno()).keys)
    except FileNotFoundError:
        return False  # closed since it was listed
