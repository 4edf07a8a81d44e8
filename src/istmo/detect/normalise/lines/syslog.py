"""Syslog: RFC 5424, RFC 3164, and the same with an ISO time as rsyslog and journald write files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import re2  # type: ignore[import-untyped]

from istmo.detect.normalise.lines.xml import read_event_xml

_RFC5424 = re2.compile(
    r"^<(\d{1,3})>1 (\S{1,64}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (-|\[.*?\]) ?(.*)$"
)
_RFC3164 = re2.compile(
    r"^(?:<(\d{1,3})>)?(?:([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)(?:\.\d{1,9})?"
    r"|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,20})) (\S{1,255}) "
    r"([^\s:\[]{1,128})(?:\[([^\]]{1,64})\])?: ?(.*)$"
)
_WITHOUT_TAG = re2.compile(
    r"^(?:<(\d{1,3})>)?(?:([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)(?:\.\d{1,9})?"
    r"|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,20})) (\S{1,255}) +(\S{1,128})() ?(.*)$"
)
"""RFC 3164 does not insist on the colon: what stands first is the program."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def is_syslog(text: str) -> bool:
    return matched(_RFC3164, text) is not None or matched(_RFC5424, text) is not None


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
    """One message a line. A time without a year is the latest one not after ``received``."""

    def __init__(self, received: datetime) -> None:
        self._years = YearFinder(received)

    def read(self, text: str) -> dict[str, Any] | None:
        found = matched(_RFC5424, text)
        if found is not None:
            priority, time, host, program, pid, _, _, message = found.groups()
        else:
            found = matched(_RFC3164, text) or matched(_WITHOUT_TAG, text)
            if found is None:
                return {"message": text}
            priority, month, day, clock, time, host, program, pid, message = found.groups()
            if month is not None:
                number = MONTHS.index(month) + 1 if month in MONTHS else 0
                time = self._years.dated(number, int(day), clock)
        if "<Event" in message[:100]:
            inner = read_event_xml(message)
            if inner is not None:
                return inner
        event = {"timestamp": time, "hostname": host, "program": program, "pid": pid, "message": message}
        if priority is not None:
            event["facility"], event["severity"] = int(priority) // 8, int(priority) % 8
        return {
            name: value for name, value in event.items() if name == "message" or value not in (None, "-", "")
        }

    def finish(self) -> dict[str, Any] | None:
        return None
