"""What reading gives: events as they came, and what could not be read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from istmo.errors import IstmoError

JSON: Final = "json"
EVTX: Final = "evtx"


class Line(msgspec.Struct, frozen=True):
    """One event as it came. ``place`` is the file, with ``!member`` where it came out of an archive."""

    place: str
    number: int
    """Of its first line, from 1; of a Windows event log, of the record."""
    raw: bytes
    form: str = JSON
    """``json``, ``evtx``, or the format of the log's lines."""
    data: dict[str, Any] | None = None
    """What the line says, where it is no JSON."""


@dataclass(frozen=True)
class FileProblem:
    """What could not be read; the rest is. ``line`` counts from 1; 0 means the whole place."""

    place: str
    line: int
    error: IstmoError
    form: str = ""
    """Of a line that could not be read as what its log holds: the log's format."""


Found = Line | FileProblem


def name_of(path: Path) -> str:
    """A file's name as text, whatever bytes it is made of: what is no UTF-8 is shown as U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")
