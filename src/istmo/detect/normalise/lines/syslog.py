"""Syslog: RFC 5424, RFC 3164, and what goes by their names: ISO times, Cisco's own, a priority alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import re2  # type: ignore[import-untyped]

from istmo.detect.normalise.lines.xml import read_event_xml

_RFC5424 = re.compile(r"<\d{1,3}>1 ")
_PARTS_5424 = 7
_LONGEST_5424 = (0, 64, 255, 48, 128, 32)
"""Characters of the head's parts (RFC 5424, section 6)."""
# These are our own, and no part of them can be read in two ways: ``re`` takes a third of RE2's time here.
_TIME = (
    r"(?s)^(?:<(\d{1,3})>)?(?:([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)(?:\.\d{1,9})?"
    r"|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,20})) (\S{1,255}) "
)
_RFC3164 = re.compile(_TIME + r"([^\s:\[]{1,128})(?:\[([^\]]{1,64})\])?: ?(.*)$", re.ASCII)
_WITHOUT_TAG = re.compile(_TIME + r" *(\S{1,128})() ?(.*)$", re.ASCII)
"""RFC 3164 does not insist on the colon: what stands first is the program."""
_CISCO = re2.compile(
    r"(?s)^<(\d{1,3})>(?:\d{1,10}: )?(?:([A-Za-z0-9][\w.\-]{0,254}): )?"
    r"(?:[*.]?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d:\d\d:\d\d)(?:\.\d{1,9})?"
    r"(?: ([A-Z]{3,5}))?(?: ([\w.\-]{1,255}))? ?: )?"
    r"(%([A-Z][\w\-]{0,60}?)-(?:\w{1,60}-)?[0-7]-\w{1,80}: ?.*)$"
)
"""IOS and ASA: a number, perhaps a host and a time, and ``%FACILITY-SEVERITY-MNEMONIC``."""
_PRIORITY = re.compile(r"(?s)^<(\d{1,3})>(.*)$", re.ASCII)
_SD_ID = re.compile(r'\[([^\s=\]"]{1,255})')
_SD_PARAM = re.compile(r'\s{1,4}([^\s=\]"]{1,255})="((?:[^"\\]|\\.)*)"')
_SD_END = re.compile(r"\s{0,4}\]")
_SD_ESCAPE = re.compile(r'\\(["\\\]])')
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HIGHEST_PRIORITY = 191
MOST_PARAMETERS = 200
"""Of the structured data of one message."""


def is_syslog(text: str) -> bool:
    return (
        _RFC3164.match(text) is not None or _parts_5424(text) is not None or matched(_CISCO, text) is not None
    )


def matched(pattern: Any, text: str) -> Any:
    """The pattern's match; None as well where the text cannot be UTF-8."""
    try:
        return pattern.match(text)
    except UnicodeEncodeError:
        return None


class YearFinder:
    """Dates without a year: each is the latest one not after ``received``, give or take a day."""

    def __init__(self, received: datetime) -> None:
        self._latest = received + timedelta(days=1)

    def dated(self, month: int, day: int, clock: str) -> str | None:
        """The date as ISO text without a zone, for the line names none; None where there is no such day."""
        for year in range(
            self._latest.year, self._latest.year - 9, -1
        ):  # the 29th of February needs up to eight
            text = f"{year:04}-{month:02}-{day:02} {clock}"
            try:
                if datetime.fromisoformat(text).replace(tzinfo=UTC) <= self._latest:
                    return text
            except ValueError:
                continue
        return None


class SyslogReader:
    """One message a line. A time without a year is the latest one not after ``received``.

    What stands in structured data is a field ``sd.ID.PARAMETER``.
    """

    def __init__(self, received: datetime) -> None:
        self._years = YearFinder(received)

    def read(self, text: str) -> dict[str, Any] | None:
        found = self._read(text)
        if found is None:
            return {"message": text}
        if "<Event" in found["message"][:100]:
            inner = read_event_xml(found["message"])
            if inner is not None:
                return inner
        priority = found.pop("priority", None)
        if priority is not None and int(priority) <= HIGHEST_PRIORITY:
            found["facility"], found["severity"] = int(priority) // 8, int(priority) % 8
        return {
            name: value for name, value in found.items() if name == "message" or value not in (None, "-", "")
        }

    def finish(self) -> dict[str, Any] | None:
        return None

    def _read(self, text: str) -> dict[str, Any] | None:
        if (parts := _parts_5424(text)) is not None:
            priority, time, host, program, pid, kind, rest = parts
            data, message = structured(rest)
            head = {"priority": priority, "timestamp": time, "hostname": host, "program": program}
            return head | {"pid": pid, "msgid": kind, "message": message} | data
        if (": %" in text[:400] or ">%" in text[:6]) and (found := matched(_CISCO, text)) is not None:
            return self._of_cisco(*found.groups())
        if (found := _RFC3164.match(text) or _WITHOUT_TAG.match(text)) is not None:
            priority, month, day, clock, time, host, program, pid, message = found.groups()
            if month is not None:
                time = self._dated(month, day, clock) or ""
            head = {"priority": priority, "timestamp": time, "hostname": host, "program": program}
            return head | {"pid": pid, "message": message}
        if (found := _PRIORITY.match(text)) is not None:
            return {"priority": found[1], "message": found[2].lstrip(" ")}
        return None

    def _of_cisco(
        self,
        priority: str,
        before: str | None,
        month: str | None,
        day: str | None,
        year: str | None,
        clock: str | None,
        zone: str | None,
        after: str | None,
        message: str,
        program: str,
    ) -> dict[str, Any]:
        time = None
        if month and day and clock:
            number = MONTHS.index(month) + 1 if month in MONTHS else 0
            time = f"{year}-{number:02}-{int(day):02} {clock}" if year else self._dated(month, day, clock)
            if time and zone in ("UTC", "GMT"):
                time += "Z"
        head = {"priority": priority, "timestamp": time, "hostname": after or before, "program": program}
        return head | {"message": message}

    def _dated(self, month: str, day: str, clock: str) -> str | None:
        number = MONTHS.index(month) + 1 if month in MONTHS else 0
        return self._years.dated(number, int(day), clock)


def _parts_5424(text: str) -> list[str] | None:
    """Priority, time, host, program, process, kind, and what follows; None where the head is another one."""
    if not _RFC5424.match(text):
        return None
    parts = text.split(" ", _PARTS_5424 - 1)
    if len(parts) < _PARTS_5424 or parts[-1][:1] not in ("-", "["):
        return None
    if any(not part or len(part) > most for part, most in zip(parts[1:], _LONGEST_5424[1:], strict=False)):
        return None
    return [parts[0][1 : parts[0].index(">")], *parts[1:]]


def structured(text: str) -> tuple[dict[str, str], str]:
    """Structured data (RFC 5424, section 6.3) as ``sd.ID.PARAMETER``, and the message behind it.

    What is no structured data after all belongs to the message.
    """
    fields: dict[str, str] = {}
    end = 1 if text.startswith("-") else 0
    while (element := _SD_ID.match(text, end)) is not None:
        at = element.end()
        while (parameter := _SD_PARAM.match(text, at)) is not None:
            at = parameter.end()
            if len(fields) < MOST_PARAMETERS:
                value = _SD_ESCAPE.sub(r"\1", parameter[2])
                fields.setdefault(f"sd.{element[1]}.{parameter[1]}", value)
        closed = _SD_END.match(text, at)
        if closed is None:
            break
        end = closed.end()
    return fields, text[end:].removeprefix(" ").removeprefix("\ufeff")
