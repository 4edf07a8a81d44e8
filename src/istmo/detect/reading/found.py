"""What reading gives: events as they came, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass

from istmo.errors import IstmoError


@dataclass(frozen=True)
class Line:
    """One event as it came. ``place`` is the file, with ``!member`` where it came out of an archive."""

    place: str
    number: int
    raw: bytes


@dataclass(frozen=True)
class FileProblem:
    """What could not be read; the rest is. ``line`` counts from 1; 0 means the whole place."""

    place: str
    line: int
    error: IstmoError


Found = Line | FileProblem
