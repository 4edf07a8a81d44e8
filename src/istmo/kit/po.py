"""Reading gettext ``.po`` files, fast: the command line reads them at every start.

Only what the project's own catalogues use is understood (no contexts, no domains); the tests
compare every file with Babel's reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_LINE = re.compile(r'^(?:(msgid_plural|msgid|msgstr(?:\[(\d)\])?)\s+)?"((?:[^"\\]|\\.)*)"$')


@dataclass(frozen=True)
class Message:
    """One entry: its key, and one text, or two where the key has a plural (one, other)."""

    key: str
    texts: tuple[str, ...]


def read_po(path: Path) -> list[Message]:
    """Every entry of a file but its header. Raises ValueError naming file and line."""
    messages: list[Message] = []
    key: list[str] | None = None
    texts: list[list[str]] = []
    part: list[str] = []

    def close() -> None:
        if key is not None and "".join(key):
            messages.append(Message("".join(key), tuple("".join(one) for one in texts)))

    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.match(line)
        if not found:
            raise ValueError(f"{path}:{number}: not a line of a catalogue: {line!r}")
        word, _, quoted = found.groups()
        text = _ESCAPE.sub(_unescape, quoted) if "\\" in quoted else quoted
        if word is None:
            part.append(text)
            continue
        part = [text]
        if word == "msgid":
            close()
            key, texts = part, []
        elif word.startswith("msgstr"):
            texts.append(part)
    close()
    return messages


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[1])
