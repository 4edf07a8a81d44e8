"""Lines that are no JSON, as events to be stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final

from istmo.detect.eventstore.lines import read_event
from istmo.detect.intake.arrivals import ENCODING, UNREADABLE, Arrivals, decoded
from istmo.detect.intake.splitting import Splitter
from istmo.detect.normalise import ORIGINAL
from istmo.detect.normalise.lines import JOINED, SPREAD, line_reader
from istmo.detect.normalise.lines.xml import read_event_xml
from istmo.detect.reading import JSON, FileProblem, LogEvents, form_of
from istmo.errors import InvalidInput, TooLarge
from istmo.model import instants
from istmo.settings import Limits

_LOOKED_AT: Final = 50
_HEAD: Final = 64 << 10


def text_event(data: Mapping[str, Any], line: bytes) -> dict[str, Any]:
    """The event that a reader made of a line, with the line itself beside it where it says more."""
    text, encoding = decoded(line)
    event = dict(data)
    if event.get("message") != text:
        event[ORIGINAL] = text
    if encoding:
        event[ENCODING] = encoding
    return event


def written_time(seconds: Any) -> Any:
    """Seconds since 1970, a number or text of one, as RFC 3339; what is none comes back as it is."""
    try:
        instant = datetime.fromtimestamp(float(seconds), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return seconds
    return instants.format(instant)


class TextReader:
    """Reads texts of one source that came together: each may be JSON, XML, or a line of the log's form.

    ``form`` is what the source's lines are (one of ``detect.reading.FORMS``); ``""`` to look at the texts.
    """

    def __init__(self, form: str, received: datetime, sample: Iterable[bytes], limits: Limits) -> None:
        self._limits = limits
        form = form or form_of(b"\n".join(islice(sample, _LOOKED_AT))) or "text"
        # What is one event over several lines comes as one text here, or cannot be put together.
        self.form = "text" if form == JSON or form in JOINED | SPREAD else form
        self._reader = line_reader(self.form, received)

    def read(self, text: bytes) -> dict[str, Any]:
        """The event of a text; of one that says nothing to its reader, the text alone."""
        stripped = text.strip()
        if stripped[:1] == b"{":
            try:
                return read_event(stripped, self._limits)[1]
            except (InvalidInput, TooLarge):
                pass  # text that looks like JSON is text
        if b"<Event" in stripped[:200] and (event := read_event_xml(decoded(stripped)[0])) is not None:
            return text_event(event, text)
        event = self._reader.read(text) or {"message": decoded(text)[0]}
        return text_event(event, text)


def add_lines(body: bytes, form: str, received: datetime, arrived: Arrivals) -> None:
    """Every line of a body that is a log of some form."""
    form = form or form_of(body[:_HEAD]) or "text"
    if form == JSON:
        splitter = Splitter(arrived.limits.line_bytes)
        for _, piece in [*splitter.feed(body), *splitter.finish()]:
            if piece is None:
                arrived.refuse(TooLarge("detect.line_too_long", limit=arrived.limits.line_bytes))
            else:
                arrived.add(piece)
        return
    events = LogEvents("", form, received, arrived.limits.line_bytes)
    strange = 0
    for one in chain(events.feed(body), events.finish()):
        if isinstance(one, FileProblem):
            if one.error.code == "detect.line_other_form":
                strange = one.line
            elif one.error.code == "detect.line_too_long":
                arrived.refuse(one.error)
            continue
        event = text_event(one.data or {}, one.raw)
        if strange == one.number:
            event[UNREADABLE] = "line_other_form"
            arrived.unreadable["detect.line_other_form"] += 1
            strange = 0
        arrived.add_made(event)
