"""Lengths of time as people write them: ``90s``, ``15m``, ``2h``, ``1d``."""

from __future__ import annotations

import re
from typing import Final

UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_WRITTEN: Final = re.compile(r"(\d{1,9})\s*([smhd])", re.ASCII)


def parse(text: str) -> int | None:
    """Seconds; None where it is no length of time."""
    found = _WRITTEN.fullmatch(text.strip().lower())
    return int(found[1]) * UNITS[found[2]] if found else None


def format(seconds: int) -> str:
    """In the largest unit that holds it whole; what ``parse`` reads back."""
    unit, size = next(one for one in UNITS.items() if seconds % one[1] == 0 and (seconds or one[1] == 1))
    return f"{seconds // size}{unit}"
