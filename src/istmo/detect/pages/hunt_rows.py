"""Found events as rows of a table: the columns that say most, and each value ready to be asked about."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from istmo.detect.eventstore.texts import texts_of
from istmo.detect.normalise import normalise
from istmo.detect.stories import from_micros
from istmo.detect.wire import WireRow

LONGEST_VALUE: Final = 400
"""Characters of a value that an address carries; a longer one is asked about on its event's page."""
SHOWN: Final = 160
"""Characters of a value in its row."""
SHOWN_PATH: Final = 48
"""The same of a path, of which the end tells most."""
SHOWN_BYTES: Final = 64 << 10
"""Of an event on its own page."""
LONGEST_CELL: Final = 1_000
"""Characters of a value of SQL."""
USUAL_COLUMNS: Final = 4
PREFERRED: Final = (
    "EventID",
    "Image",
    "CommandLine",
    "ParentImage",
    "TargetUserName",
    "User",
    "SourceIp",
    "IpAddress",
    "src_ip",
    "id.orig_h",
    "DestinationIp",
    "dest_ip",
    "id.resp_h",
    "DestinationPort",
    "DestinationHostname",
    "QueryName",
    "query",
    "TargetFilename",
    "TargetObject",
    "ScriptBlockText",
    "cs-uri-query",
    "c-uri",
    "program",
    "type",
    "message",
    "Message",
    "Channel",
)
"""What tells most of an event, in the order in which it is read."""
_PATH: Final = re.compile(r"(?:[A-Za-z]:|HK[A-Z_]+)?[\\/](?:(?! [-/])[^\"'<>|?])+")
"""A file, or a key of the registry; no program with its arguments."""
_TIMES: Final = ("time", "date", "timestamp", "systemtime")


@dataclass(frozen=True)
class Value:
    """One value in its row; ``full`` where an address can carry it, else empty."""

    name: str
    text: str
    full: str


@dataclass(frozen=True)
class EventRow:
    """A found event; ``cells`` by the columns of the table."""

    id: str
    micros: int
    time: datetime
    received: datetime
    source: str
    source_name: str
    host: str
    cells: tuple[tuple[str, tuple[Value, ...]], ...]


def fields_of(raw: bytes) -> dict[str, list[str]]:
    """An event's fields by the names that the search language knows; none where it cannot be read."""
    try:
        data = orjson.loads(raw)
        found = normalise(data).fields if isinstance(data, dict) else {}
    except Exception:  # what one event makes of the reader costs that event's fields, and no page
        return {}
    return {name: texts for name, value in found.items() if (texts := texts_of(value))}


def columns_for(events: Iterable[Mapping[str, Sequence[str]]]) -> tuple[str, ...]:
    """The columns that tell most of these events."""
    found = list(events)
    counts: Counter[str] = Counter()
    values: dict[str, set[str]] = {}
    for one in found:
        for name, texts in one.items():
            counts[name] += 1
            values.setdefault(name, set()).add(texts[0][:80])
    enough = max(1, len(found) // 5)
    chosen = [name for name in PREFERRED if counts[name] >= enough]
    if len(chosen) < 2:
        # Of an unknown kind: what most events have and what is not alike in all, times left out.
        others = sorted(counts, key=lambda name: (-counts[name], -len(values[name]), name))
        chosen += [one for one in others if one not in chosen and not one.lower().endswith(_TIMES)]
    return tuple(chosen[:USUAL_COLUMNS])


def row_of(
    row: WireRow, fields: Mapping[str, Sequence[str]], columns: Sequence[str], names: Mapping[str, str]
) -> EventRow:
    """One row. ``names``: what sources are called."""
    low: dict[str, list[str]] = {}
    for name, texts in fields.items():
        low.setdefault(name.lower(), []).extend(texts)
    return EventRow(
        row.event_id,
        row.time,
        from_micros(row.time),
        from_micros(row.received),
        row.source,
        names.get(row.source, row.source),
        row.host,
        tuple(
            (column, tuple(value_of(column, text) for text in low.get(column.lower(), ())[:4]))
            for column in columns
        ),
    )


def value_of(name: str, text: str) -> Value:
    """A value as its row shows it: on one line, cut at a bound; of a path the end stays."""
    line = " ".join(text.split())
    if len(line) > SHOWN_PATH and _PATH.fullmatch(line):
        shown = _end_of(line)
    else:
        shown = line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"
    return Value(name, shown, text if len(text) <= LONGEST_VALUE else "")


def _end_of(path: str) -> str:
    """The last parts of a path, whole where they fit: its file is told apart by its name, not by its disk."""
    end = path[1 - SHOWN_PATH :]
    first = min((at for one in "\\/" if (at := end.find(one, 0, -1)) >= 0), default=0)
    return f"…{end[first:]}"


def cell_of(value: object) -> str:
    """A value of a row of SQL as text, cut at a bound; nothing is empty."""
    text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def raw_text(raw: bytes, most: int = SHOWN_BYTES) -> str:
    """The event as its sender wrote it, indented when it is JSON, cut at ``most`` bytes."""
    text = raw[:most].decode("utf-8", "replace")
    if len(raw) > most:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
