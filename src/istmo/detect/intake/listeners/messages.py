"""Messages as events: syslog whose text may be of another format again, and GELF."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from istmo.detect.eventstore.lines import read_event
from istmo.detect.intake.arrivals import Arrivals, decoded
from istmo.detect.intake.doors.gelf import add_message
from istmo.detect.intake.texts import text_event
from istmo.detect.normalise import ZONE
from istmo.detect.normalise.lines import FORMATS, LONGEST, guess_format, is_of_other_form
from istmo.detect.reading import JSON
from istmo.detect.wire import WireSource
from istmo.errors import InvalidInput, TooLarge
from istmo.settings import Limits

SYSLOG: Final = "syslog"
TEXT: Final = "text"
_COOKIE: Final = "@cee:"
"""Before JSON in the text of a message (CEE's "lumberjack" convention; rsyslog and syslog-ng write it)."""
_HAS_ZONE: Final = re.compile(r"(?:Z|UTC|[+-]\d\d:?\d\d)$")
_PAIRS: Final = re.compile(r'[A-Za-z_][\w.\-]{0,60}=(?:"|[^\s"=]*\s+[A-Za-z_][\w.\-]{0,60}=)')
_WEB_SERVERS: Final = frozenset(
    {"nginx", "httpd", "apache", "apache2", "haproxy", "lighttpd", "caddy", "squid"}
)
PAIRS: Final = "pairs"
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Sent:
    """Who sent a message, and when it came."""

    source: WireSource
    address: str
    at: datetime


class Messages(Protocol):
    """Reads the messages of one protocol."""

    def take(self, arrivals: Arrivals, message: bytes, sent: Sent) -> None:
        """Add the event of one message. Raises TooLarge past the limits of size."""


class SyslogMessages:
    """Syslog of any kind. The head's fields stand beside those of the text, which win."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def take(self, arrivals: Arrivals, message: bytes, sent: Sent) -> None:
        source = sent.source
        message = message.removeprefix(_BOM)
        form = source.form if source.form in FORMATS or source.form == JSON else ""
        if form in ("", JSON) and message[:1] == b"{":
            arrivals.add(message)
            return
        event = text_event(self.read(message, form, sent.at), message)
        # RFC 3164, section 4.3: where a message names no host, it is the one that it came from.
        event.setdefault("hostname", sent.address)
        if source.zone and not _HAS_ZONE.search(str(event.get("timestamp", ""))):
            event[ZONE] = source.zone
        arrivals.add_made(event)

    def read(self, message: bytes, form: str, received: datetime) -> dict[str, Any]:
        """What a message says; ``form`` where it is known what the text of its source's messages is."""
        head = FORMATS[SYSLOG](received).read(decoded(message[:LONGEST])[0])
        if head is None or not isinstance(text := head.get("message"), str) or form in (SYSLOG, TEXT):
            return head or {"message": ""}
        if form:
            found = self._read_as(form, text, received)
        else:
            found = self._look_inside(text, str(head.get("program", "")), received)
        if found is None:
            return head
        del head["message"]
        return head | found

    def _look_inside(self, text: str, program: str, received: datetime) -> dict[str, Any] | None:
        """The event of a text that is of another format; None where it is mere text."""
        text = text.lstrip()
        if text.startswith(("{", _COOKIE)):
            return self._read_json(text.removeprefix(_COOKIE).lstrip())
        has_sign = "CEF:" in text[:400] or "LEEF:" in text[:400] or "type=" in text[:60]
        if has_sign or program in _WEB_SERVERS:
            form = guess_format([text.encode("utf-8", "replace")])
            return self._read_as(form, text, received) if form not in ("", SYSLOG) else None
        if _PAIRS.match(text) and (pairs := self._read_as(PAIRS, text, received)):
            # Rules that search in a message's text go on doing so: not all of it need be in pairs.
            return {"message": text} | pairs
        return None

    def _read_as(self, form: str, text: str, received: datetime) -> dict[str, Any] | None:
        if form == JSON:
            return self._read_json(text)
        reader = FORMATS[form](received)
        # A record of several lines comes as several messages, among others: each is an event.
        event = reader.read(text) or reader.finish()
        return None if event is None or is_of_other_form(form, event) else event

    def _read_json(self, text: str) -> dict[str, Any] | None:
        try:
            return read_event(text.encode("utf-8", "replace"), self._limits)[1]
        except (InvalidInput, TooLarge):
            return None


class GelfMessages:
    """GELF, read as over HTTP."""

    def take(self, arrivals: Arrivals, message: bytes, sent: Sent) -> None:
        add_message(message, arrivals)
