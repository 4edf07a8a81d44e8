"""Proxifier's log: which program of a workstation asked for which host, and how that ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import re2  # type: ignore[import-untyped]

from istmo.detect.normalise.lines.syslog import YearFinder, matched

_CONNECTION = re2.compile(
    r"^\[(?:(\d{4})\.)?(\d\d)\.(\d\d) (\d\d:\d\d:\d\d)\] (.{1,260}?)(?: \*(?:32|64))? - "
    r"(\S{1,255}):(\d{1,5}) (open|close|error)\b[ ,:]*(.*)$"
)
_THROUGH = re2.compile(r"^through proxy (\S{1,255}):(\d{1,5}) (\S{1,20})")
_COUNTS = re2.compile(r"^(\d{1,20}) bytes.{0,30} sent, (\d{1,20}) bytes.{0,30} received, lifetime (.{1,20})$")


def is_proxifier(text: str) -> bool:
    return matched(_CONNECTION, text) is not None


class ProxifierReader:
    """One step of a connection a line. Times name no zone, and mostly no year."""

    def __init__(self, received: datetime) -> None:
        self._years = YearFinder(received)

    def read(self, text: str) -> dict[str, Any] | None:
        found = matched(_CONNECTION, text)
        if found is None:
            return {"message": text}
        year, month, day, clock, program, host, port, action, rest = found.groups()
        dated = f"{year}-{month}-{day} {clock}" if year else self._years.dated(int(month), int(day), clock)
        event = {
            "timestamp": dated,
            "program": program,
            "target_host": host,
            "target_port": int(port),
            "proxifier_action": action,
            "message": rest.strip(),
        }
        through = matched(_THROUGH, rest)
        if through is not None:
            event |= {"proxy_host": through[1], "proxy_port": int(through[2]), "proxy_kind": through[3]}
        counts = matched(_COUNTS, rest)
        if counts is not None:
            event |= {"sent": int(counts[1]), "received": int(counts[2]), "lifetime": counts[3]}
        return {name: value for name, value in event.items() if value not in (None, "")}

    def finish(self) -> dict[str, Any] | None:
        return None
