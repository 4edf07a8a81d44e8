"""The readers by the name of their format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Protocol

from istmo.detect.normalise.lines.audit import AuditReader, is_audit
from istmo.detect.normalise.lines.pairs import PairsReader, is_pairs
from istmo.detect.normalise.lines.syslog import SyslogReader, is_syslog
from istmo.detect.normalise.lines.tables import W3cReader, ZeekReader, is_w3c, is_zeek
from istmo.detect.normalise.lines.web import (
    ErrorLogReader,
    RequestReader,
    SquidReader,
    is_error_log,
    is_request,
    is_squid,
)

LONGEST = 65_536
"""Bytes of a line that are read."""


class LineReader(Protocol):
    """Reads the lines of one source in order."""

    def read(self, line: str) -> dict[str, Any] | None:
        """The event that is complete with this line; None for a header, a comment or a part of one.

        A line of another form gives an event of nothing but ``message``.
        """
        ...

    def finish(self) -> dict[str, Any] | None:
        """The event that was still open at the end, if any."""
        ...


class BytesReader:
    """A reader fed with bytes as they came."""

    def __init__(self, reader: LineReader) -> None:
        self._reader = reader

    def read(self, line: bytes) -> dict[str, Any] | None:
        text = line[:LONGEST].decode("utf-8", "replace").rstrip("\r\n")
        return self._reader.read(text) if text.strip() else None

    def finish(self) -> dict[str, Any] | None:
        return self._reader.finish()


FORMATS: dict[str, Callable[[datetime], LineReader]] = {
    "zeek": lambda received: ZeekReader(),
    "w3c": lambda received: W3cReader(),
    "auditd": lambda received: AuditReader(),
    "pairs": lambda received: PairsReader(),
    "squid": lambda received: SquidReader(),
    "combined": lambda received: RequestReader(),
    "weberror": lambda received: ErrorLogReader(),
    "syslog": SyslogReader,
}
_SIGNS = {
    "zeek": is_zeek,
    "w3c": is_w3c,
    "auditd": is_audit,
    "pairs": is_pairs,
    "squid": is_squid,
    "combined": is_request,
    "weberror": is_error_log,
    "syslog": is_syslog,
}


def line_reader(name: str, received: datetime) -> BytesReader:
    """A reader of this format. ``received`` settles the year of lines that name none.

    Raises KeyError for a format that is not among FORMATS.
    """
    return BytesReader(FORMATS[name](received))


def guess_format(lines: Iterable[bytes]) -> str:
    """The format of a source from its first lines; ``""`` where none of them tells."""
    for line in lines:
        text = line[:LONGEST].decode("utf-8", "replace").rstrip("\r\n")
        found = next((name for name, is_it in _SIGNS.items() if is_it(text)), "")
        if found:
            return found
    return ""
