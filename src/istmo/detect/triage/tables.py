"""Matches as CSV: for a spreadsheet, and in the columns that Timesketch reads."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from istmo.detect.triage.findings import Row
from istmo.kit.visible import guarded

COLUMNS = ("time", "level", "title", "id", "kind", "techniques", "host", "channel", "event_id", "record")
COLUMNS_OF_PLACE = ("file", "number", "matched")


def write_csv(rows: Iterable[Row], into: TextIO) -> None:
    """One line a match, with a head."""
    writer = csv.writer(into)
    writer.writerow((*COLUMNS, *COLUMNS_OF_PLACE))
    for row in rows:
        writer.writerow([cell(row, name) for name in (*COLUMNS, *COLUMNS_OF_PLACE)])


def write_timesketch(rows: Iterable[Row], into: TextIO, described: str) -> None:
    """The three columns that Timesketch wants (``message``, ``datetime``, ``timestamp_desc``), then ours.

    A match without a time is left out: it has no place on a timeline.
    """
    writer = csv.writer(into)
    columns = (*COLUMNS[1:], *COLUMNS_OF_PLACE)
    writer.writerow(("message", "datetime", "timestamp_desc", *columns))
    for row in rows:
        if row["time"]:
            message = guarded(f"{row['title']}: {told(row)}" if row["matched"] else row["title"])
            writer.writerow((message, row["time"], described, *(cell(row, name) for name in columns)))


def told(row: Row) -> str:
    """The fields that matched, with their values."""
    return "; ".join(f"{name}={value}" for name, value in row["matched"].items())


def cell(row: Row, name: str) -> str:
    """One cell."""
    if name == "matched":
        return guarded(told(row))
    found = row[name]
    return guarded(" ".join(found) if isinstance(found, list) else str(found))
