"""CEF and LEEF: a product's own words in a head between bars, then ``name=value``.

CEF is ArcSight's (Common Event Format, implementation standard, version 26), LEEF QRadar's (Log Event
Extended Format 2). Both may stand behind the head of a syslog message.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import re2  # type: ignore[import-untyped]

from istmo.detect.normalise.lines.syslog import MONTHS, matched

PAIRS: Final = 500
"""Of one line."""
_CEF: Final = re2.compile(r"(?s)^.{0,400}?CEF: ?(\d{1,2}(?:\.\d{1,2})?)\|(.*)$")
_LEEF: Final = re2.compile(r"(?s)^.{0,400}?LEEF: ?([12](?:\.\d{1,2})?)\|(.*)$")
_BAR: Final = re.compile(r"(?<!\\)((?:\\\\)*)\|")
_NAME: Final = re.compile(r"(?:^|\s)([A-Za-z0-9_][\w.\-\[\]]{0,100})=")
_ESCAPES: Final = {"n": "\n", "r": "\r", "=": "=", "\\": "\\", "|": "|"}
_ESCAPE: Final = re.compile(r"\\([nr=\\|])")
_CEF_HEAD: Final = (
    "deviceVendor",
    "deviceProduct",
    "deviceVersion",
    "deviceEventClassId",
    "name",
    "severity",
)
_LEEF_HEAD: Final = ("vendor", "product", "version", "eventId")
_DATE: Final = re2.compile(
    r"^([A-Z][a-z]{2}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d:\d\d:\d\d)(\.\d{1,6})?"
    r"(?: (UTC|GMT|Z|[+-]\d\d:?\d\d))?$"
)
_TIMES: Final = ("rt", "end", "start", "deviceReceiptTime", "devTime")
_LONGEST_DELIMITER: Final = 6


def is_cef(text: str) -> bool:
    return "CEF:" in text[:400] and matched(_CEF, text) is not None


def is_leef(text: str) -> bool:
    return "LEEF:" in text[:400] and matched(_LEEF, text) is not None


class _OneLine:
    def finish(self) -> dict[str, Any] | None:
        return None


class CefReader(_OneLine):
    """One event a line, by CEF's own keys; the head's parts by the names that ArcSight gives them."""

    def read(self, text: str) -> dict[str, Any] | None:
        found = matched(_CEF, text)
        if found is None:
            return {"message": text}
        parts = _parts(found[2], len(_CEF_HEAD))
        if len(parts) <= len(_CEF_HEAD):
            return {"message": text}
        event: dict[str, Any] = {"cefVersion": found[1]}
        event |= dict(zip(_CEF_HEAD, parts, strict=False))
        for name, value in _spaced(parts[-1]):
            event.setdefault(name, value)
        return _timed(event)


class LeefReader(_OneLine):
    """One event a line, by LEEF's own keys."""

    def read(self, text: str) -> dict[str, Any] | None:
        found = matched(_LEEF, text)
        if found is None:
            return {"message": text}
        is_second = found[1].startswith("2")
        parts = _parts(found[2], len(_LEEF_HEAD) + is_second)
        if len(parts) <= len(_LEEF_HEAD):
            return {"message": text}
        event: dict[str, Any] = {"leefVersion": found[1]}
        event |= dict(zip(_LEEF_HEAD, parts, strict=False))
        delimiter, attributes = "\t", "|".join(parts[len(_LEEF_HEAD) :])
        if len(parts) == len(_LEEF_HEAD) + 2 and len(parts[-2]) <= _LONGEST_DELIMITER:
            delimiter, attributes = _delimiter(parts[-2]), parts[-1]
        for piece in attributes.split(delimiter, PAIRS)[:PAIRS]:
            name, equals, value = piece.partition("=")
            if equals and name.strip():
                event.setdefault(name.strip()[:100], value.strip())
        return _timed(event)


def _parts(text: str, most: int) -> list[str]:
    """Cut at the first bars that are not escaped."""
    parts: list[str] = []
    while len(parts) < most and (bar := _BAR.search(text)) is not None:
        parts.append(_plain(text[: bar.end() - 1]).strip())
        text = text[bar.end() :]
    return [*parts, text]


def _spaced(text: str) -> list[tuple[str, str]]:
    """CEF's extension: a value goes on, blanks and all, until the next name."""
    names = list(_NAME.finditer(text))[:PAIRS]
    ends = [one.start() for one in names[1:]] + [len(text)]
    return [(one[1], _plain(text[one.end() : end].strip())) for one, end in zip(names, ends, strict=False)]


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES[found[1]], text) if "\\" in text else text


def _delimiter(text: str) -> str:
    """LEEF 2's own: one character, or its code as ``x09``, ``0x09``."""
    code = text.lower().removeprefix("0").removeprefix("x")
    if len(text) > 1 and len(text) <= _LONGEST_DELIMITER:
        try:
            return chr(int(code, 16))
        except (ValueError, OverflowError):
            return "\t"
    return text if len(text) == 1 else "\t"


def _timed(event: dict[str, Any]) -> dict[str, Any]:
    """With ``timestamp`` in ISO where the product's time is one that both formats allow beside an epoch."""
    for name in _TIMES:
        if (text := event.get(name)) and (time := _iso(text)):
            event.setdefault("timestamp", time)
            break
    return event


def _iso(text: str) -> str | None:
    found = matched(_DATE, text)
    if found is None or found[1] not in MONTHS or not found[3]:
        return None
    month, day, year, clock, fraction, zone = found.groups()
    time = f"{year}-{MONTHS.index(month) + 1:02}-{int(day):02} {clock}{fraction or ''}"
    try:
        datetime.fromisoformat(time)
    except ValueError:
        return None
    return time + ("Z" if zone in ("UTC", "GMT") else zone or "")
