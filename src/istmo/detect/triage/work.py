"""One part of the work: a file, or some members of an archive, read, normalised and matched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, cast

from istmo.detect.eventstore.lines import read_event
from istmo.detect.indicators import Matcher
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.reading import FileProblem, Found, Line, LineLogs, open_events, open_stream
from istmo.detect.sigma import Rule
from istmo.detect.triage.correlated import Gatherer
from istmo.detect.triage.finder import Finder
from istmo.detect.triage.findings import MOST_FIELDS, Findings, Group, Row, techniques_of, text_of
from istmo.detect.triage.parts import STDIN, Part
from istmo.detect.triage.stopping import Stop
from istmo.errors import IstmoError
from istmo.model import instants

if TYPE_CHECKING:
    from istmo.detect.triage.hunting import Hunt

BATCH_EVENTS: Final = 2000
BATCH_BYTES: Final = 4 << 20
STEP: Final = 200
"""Events between two looks at whether somebody wants it to end."""
INDICATOR_LEVEL: Final = "high"
Heard = Callable[[int], object]


class Work:
    """Reading and matching in one process."""

    def __init__(self, hunt: Hunt, stop: Stop, heard: Heard) -> None:
        """``heard`` is told of the bytes that were dealt with; all parts together come to their sizes."""
        self._hunt = hunt
        self._stop = stop
        self._heard = heard
        self._logs = LineLogs(hunt.received or datetime.now(UTC), hunt.form)
        self._finder = Finder(hunt.ruleset)
        self._gatherer = Gatherer(hunt.ruleset)
        self._matcher = Matcher(hunt.now)
        self._titles = {one.id: one.title for one in hunt.indicators}
        for one in hunt.indicators:
            self._matcher.put(one.id, one.terms)

    def look(self, part: Part, into: Findings, keep: Callable[[Row], None]) -> None:
        """Everything of one part, or what was read of it when somebody ended the hunt.

        Never raises for what a part holds.
        """
        batch: list[tuple[Line, NormalEvent]] = []
        left, size = part.size, 0

        def heard(n: int) -> None:
            nonlocal left
            n = min(n, left)
            left -= n
            self._heard(n)

        try:
            for one in self._events(self._open(part, heard), into):
                batch.append(one)
                size += len(one[0].raw)
                if len(batch) >= BATCH_EVENTS or size >= BATCH_BYTES:
                    self._match(batch, into, keep)
                    batch, size = [], 0
        except KeyboardInterrupt:
            if not self._stop.is_set:  # the second time, somebody wants it to be over at once
                raise
        self._match(batch, into, keep)
        self._heard(left)  # what nobody had to read, such as the directory of an archive

    def _events(self, found: Iterator[Found], into: Findings) -> Iterator[tuple[Line, NormalEvent]]:
        """The events that count; all that was read, and all that was not, is in the figures."""
        place = ""
        for number, one in enumerate(found):
            if not number % STEP and self._stop.is_set:
                return
            if isinstance(one, FileProblem):
                into.tell(one.place, one.line, self._hunt.words(one.error), one.form)
                continue
            try:
                data = one.data if one.data is not None else read_event(one.raw, self._hunt.limits)[1]
                event = normalise(data)
            except IstmoError as error:
                into.tell(one.place, one.number, self._hunt.words(error), one.form)
                continue
            into.count_event(one.form, is_first=one.place != place)
            place = one.place
            if self._hunt.wanted.holds(event):
                yield one, event

    def _open(self, part: Part, heard: Heard) -> Iterator[Found]:
        limits = self._hunt.limits
        if part.path is None:
            assert self._hunt.input is not None
            input_ = cast(IO[bytes], self._stop.waited_for(self._hunt.input))
            return open_stream(input_, STDIN, limits, None, self._logs)
        return open_events(part.path, limits, part.members, self._logs, heard)

    def _match(
        self, batch: list[tuple[Line, NormalEvent]], into: Findings, keep: Callable[[Row], None]
    ) -> None:
        keeps, gatherer = self._hunt.keeps_rows, self._gatherer
        for at, rule, matched in self._finder.find([event for _, event in batch]):
            line, event = batch[at]
            if not gatherer.is_idle:
                gatherer.gather(rule.id, event, (line.place, line.number, event.host[:256]), into)
                if gatherer.is_silent(rule.id):
                    continue
            group = _group(rule)
            row = _row(group, line, event, matched)
            into.add(group, row)
            if keeps:
                keep(row)
        if not self._titles:
            return
        for line, event in batch:
            for hit in self._matcher.match(event.fields):
                group = Group("indicator", hit.id, self._titles[hit.id], INDICATOR_LEVEL)
                row = _row(group, line, event, {hit.field: hit.value})
                into.add(group, row)
                if keeps:
                    keep(row)


def _group(rule: Rule) -> Group:
    return Group("rule", rule.id, rule.title, rule.level, rule.author, rule.license, techniques_of(rule.tags))


def _row(group: Group, line: Line, event: NormalEvent, matched: dict[str, object]) -> Row:
    fields = event.fields
    return {
        "time": instants.format(event.time) if event.time else "",
        "level": group.level,
        "title": group.title,
        "id": group.id,
        "kind": group.kind,
        "techniques": list(group.techniques),
        "host": event.host[:256],
        "channel": text_of(fields.get("Channel")),
        "event_id": text_of(fields.get("EventID")),
        "record": text_of(fields.get("EventRecordID", fields.get("RecordNumber"))),
        "file": line.place,
        "number": line.number,
        "matched": {name[:256]: text_of(value) for name, value in list(matched.items())[:MOST_FIELDS]},
    }
