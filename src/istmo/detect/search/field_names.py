"""Which fields stored events have: read off the segments' indices, and off lines that are not closed."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.sealing import SealedAway
from istmo.detect.eventstore.writing import understand
from istmo.detect.search.stored import Unreadable, open_closed, read_ahead
from istmo.detect.wire import Fields, Position

MOST_FIELDS: Final = 2_000
MOST_LINES: Final = 2_000
"""Of each open segment: most events of a source are alike."""
LONGEST_NAME: Final = 200


def field_names(folder: EventFolder, upto: Position, seconds: float) -> Fields:
    """Names of fields, those of most segments first; what cannot be read, or comes late, has none."""
    end = time.monotonic() + seconds
    written: dict[str, str] = {}
    counts: Counter[str] = Counter()
    segments, is_whole = 0, True

    def meet(names: set[str]) -> None:
        for name in names:
            low = name.lower()
            if len(name) <= LONGEST_NAME and (low in counts or len(counts) < MOST_FIELDS):
                written.setdefault(low, name)
                counts[low] += 1

    for segment in reversed([one for one in folder.wal_segments() if one <= upto.segment]):
        segments += 1
        meet(_open_names(folder, segment, upto))
    for _, reader in open_closed(folder, upto, Unreadable()):
        if time.monotonic() > end:
            is_whole = False
            break
        segments += 1
        meet({*reader.index.columns, *reader.index.others})
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return Fields(0, True, [(written[low], count) for low, count in ordered], segments, is_whole)


def _open_names(folder: EventFolder, segment: int, upto: Position) -> set[str]:
    found: dict[str, str] = {}
    looked = 0
    try:
        for lines in read_ahead(folder, segment, upto):
            for _, line in lines[: MOST_LINES - looked]:
                _, normal = understand(line)
                if normal is not None:
                    for name, value in normal.fields.items():
                        if value is not None:
                            found.setdefault(name.lower(), name)
            looked += len(lines)
            if looked >= MOST_LINES:
                break
    except (OSError, ValueError, SealedAway):
        return set(found.values())
    return set(found.values())
