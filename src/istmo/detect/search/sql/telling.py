"""DuckDB's own words about a statement, made fit to be shown."""

from __future__ import annotations

import re
from typing import Final

_LONGEST: Final = 300
_KIND: Final = re.compile(r"^[A-Z][A-Za-z]*( [A-Z][A-Za-z-]*)? Error: ")
_SHOWN: Final = re.compile(r"\n\s*\nLINE \d+:.*", re.DOTALL)
"""The statement once more, as it was written anew."""
_PATH: Final = re.compile(r"(/[^\s'\"/]+){2,}/?")


def told_of(message: str) -> str:
    """A message in one line, without what it says of files and of the statement as it was written anew."""
    text = _SHOWN.sub("", _KIND.sub("", message.strip()))
    text = " ".join(_PATH.sub("…", text).split())
    return "".join(one if one.isprintable() else "\ufffd" for one in text)[:_LONGEST]
