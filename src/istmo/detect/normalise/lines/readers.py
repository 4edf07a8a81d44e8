"""The readers by the name of their format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from istmo.detect.normalise.lines.arcsight import CefReader, LeefReader, is_cef, is_leef
from istmo.detect.normalise.lines.audit import AuditReader, is_audit
from istmo.detect.normalise.lines.pairs import PairsReader, is_pairs
from istmo.detect.normalise.lines.proxifier import ProxifierReader, is_proxifier
from istmo.detect.normalise.lines.separated import SeparatedReader, is_separated
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
        return self._reader.read(text) if text.strip() or self.is_open else None

    def finish(self) -> dict[str, Any] | None:
        return self._reader.finish()

    @property
    def is_open(self) -> bool:
        """Whether a record of a format in SPREAD goes on in the next line."""
        return isinstance(self._reader, SeparatedReader) and self._reader.is_open


class TextReader:
    """Lines of no known form: searched for indicators, and by rules that name no field."""

    def read(self, text: str) -> dict[str, Any] | None:
        return {"message": text}

    def finish(self) -> dict[str, Any] | None:
        return None


FORMATS: dict[str, Callable[[datetime], LineReader]] = {
    "zeek": lambda received: ZeekReader(),
    "w3c": lambda received: W3cReader(),
    "csv": lambda received: SeparatedReader(),
    "auditd": lambda received: AuditReader(),
    "cef": lambda received: CefReader(),
    "leef": lambda received: LeefReader(),
    "pairs": lambda received: PairsReader(),
    "squid": lambda received: SquidReader(),
    "combined": lambda received: RequestReader(),
    "weberror": lambda received: ErrorLogReader(),
    "proxifier": ProxifierReader,
    "syslog": SyslogReader,
    "text": lambda received: TextReader(),
}
JOINED = frozenset({"auditd"})
"""Formats of which several lines are one event, which is complete with the first line of the next."""
SPREAD = frozenset({"csv"})
"""Formats of which one event may stand on several lines, and is complete with the last of them."""
HEADED = frozenset({"zeek", "w3c", "csv"})
"""Formats whose first lines say what the others mean."""
_SIGNS = {
    "zeek": is_zeek,
    "w3c": is_w3c,
    "auditd": is_audit,
    "cef": is_cef,
    "leef": is_leef,
    "pairs": is_pairs,
    "squid": is_squid,
    "combined": is_request,
    "weberror": is_error_log,
    "proxifier": is_proxifier,
    "syslog": is_syslog,
}
_HEADED = frozenset({"zeek", "w3c"})
"""One header line says more than any number of rows."""


def line_reader(name: str, received: datetime) -> BytesReader:
    """A reader of this format. ``received`` settles the year of lines that name none.

    Raises KeyError for a format that is not among FORMATS.
    """
    return BytesReader(FORMATS[name](received))


def guess_format(lines: Iterable[bytes]) -> str:
    """The format of most of a source's first lines; ``""`` where none of them tells. Headers decide alone."""
    votes: dict[str, int] = {}
    texts = [line[:LONGEST].decode("utf-8", "replace").rstrip("\r\n") for line in lines]
    if texts and not any(is_it(texts[0]) for is_it in _SIGNS.values()) and is_separated(texts):
        return "csv"
    for text in texts:
        found = next((name for name, is_it in _SIGNS.items() if is_it(text)), "")
        if found in _HEADED:
            return found
        if found:
            votes[found] = votes.get(found, 0) + 1
    return max(votes, key=lambda name: votes[name], default="")


def is_of_other_form(name: str, event: Mapping[str, Any]) -> bool:
    """Whether an event of a reader is but the text of a line that the format does not know."""
    return name != "text" and len(event) == 1 and "message" in event
