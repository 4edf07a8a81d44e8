"""Text from outside as a page or a terminal may show it.

Titles, names, hosts and notes are written by other nations, by machines, and sometimes by an attacker.
A character that steers the display instead of being text is marked, never obeyed: an escape sequence
would rewrite what a terminal has shown, and a mark that turns the direction of writing makes "exe.gpj"
read "jpg.exe". The marks that right-to-left scripts need to be written at all are left alone.
"""

from __future__ import annotations

import re
from typing import Any, Final

MARK: Final = "\ufffd"

# controls but for tab and line ends, and the marks that turn the direction of writing
_STEERING: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# a terminal obeys a lone carriage return too; a surrogate (a file name that is no UTF-8) cannot be written
_STEERING_TERMINAL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
"""With what a spreadsheet begins to calculate: in East Asia with the wide signs too."""

_BREAKING: Final = re.compile("[\t\n\u2028\u2029]")


def visible(value: Any) -> Any:
    """A value as a page may show it: characters that steer the display, and show nothing, are marked."""
    if not isinstance(value, str) or _STEERING.search(value) is None:
        return value
    return type(value)(_STEERING.sub(MARK, value))


def printable(text: str) -> str:
    """A text as a terminal may show it, of one line or several."""
    return _STEERING_TERMINAL.sub(MARK, text.replace("\r\n", "\n"))


def printable_line(text: str) -> str:
    """The same for what must stay within its line: a line of its own could pass for one of ours."""
    return _BREAKING.sub(MARK, printable(text))


def guarded(text: str) -> str:
    """A cell that no spreadsheet takes for a formula, and that steers no display."""
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def printable_json(text: str) -> str:
    """A JSON document with such characters written as escapes: it means the same and steers nothing."""
    return _STEERING_TERMINAL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
