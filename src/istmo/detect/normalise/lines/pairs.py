"""Lines of ``name=value``, values with blanks in double quotes, as firewalls write them."""

from __future__ import annotations

from typing import Any

import re2  # type: ignore[import-untyped]

PAIRS = 500
"""Of one line."""
_PAIR = re2.compile(r'([A-Za-z_][A-Za-z0-9_.\-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)')


def is_pairs(text: str) -> bool:
    return "logid=" in text[:300] and len(read_pairs(text)) > 3


def read_pairs(text: str) -> dict[str, str]:
    """The line's pairs, each name once."""
    try:
        found = _PAIR.findall(text)
    except UnicodeEncodeError:
        return {}
    pairs: dict[str, str] = {}
    for name, value in found[:PAIRS]:
        pairs.setdefault(name, value[1:-1].replace('\\"', '"') if value[:1] == '"' else value)
    return pairs


class PairsReader:
    """One event a line, whatever stands before its first pair."""

    def read(self, text: str) -> dict[str, Any] | None:
        return read_pairs(text) or {"message": text}

    def finish(self) -> dict[str, Any] | None:
        return None
