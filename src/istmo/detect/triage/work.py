"""One part of the work: a file, or some members of an archive, read, normalised and matched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Final, cast

from istmo.detect.attack import techniques_of
from istmo.detect.eventstore.lines import read_event
from istmo.detect.eventstore.times import to_micros
from istmo.detect.indicators import PATTERN, Hit, Matcher
from istmo.detect.intake.arrivals import decoded
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.reading import JSON, FileProblem, Found, Line, LineLogs, open_events, open_stream
from istmo.detect.sigma import Rule
from istmo.detect.sigma.engine import BLOCK
from istmo.detect.triage.correlated import Gatherer
from istmo.detect.triage.finder import Finder, FoundRule
from istmo.detect.triage.findings import MOST_FIELDS, Findings, Group, Row, text_of
from istmo.detect.triage.parts import STDIN, Part
from istmo.detect.triage.stopping import Stop
from istmo.errors import IstmoError
from istmo.model import instants

if TYPE_CHECKING:
    from istmo.detect.triage.hunting import Hunt

BATCH_EVENTS: Final = 400
BATCH_BYTES: Final = 4 << 20
STEP: Final = 200
"""Events between two looks at whether somebody wants it to end."""
Heard = Callable[[int], object]
_PLACE: Final = attrgetter("place", "form")


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
        self._finds_in_lines = not hunt.indicators and self._finder.can_find_in_lines
        self._places: set[str] = set()
        """Of the part in work, those of which some line was counted."""
        self._titles = {one.id: (one.title, str(one.level)) for one in hunt.indicators}
        for one in hunt.indicators:
            with suppress(ValueError):  # too many that no value anchors: the others are looked for
                self._matcher.put(one.id, one.terms, None, one.plan)

    def look(self, part: Part, into: Findings, keep: Callable[[Row], None]) -> None:
        """Everything of one part, or what was read of it when somebody ended the hunt.

        Never raises for what a part holds.
        """
        batch, left = Batch(), part.size
        self._places = set()

        def heard(n: int) -> None:
            nonlocal left
            n = min(n, left)
            left -= n
            self._heard(n)

        try:
            for one in self._lines(self._open(part, heard), into):
                batch.add(one, self._may_stay_unread(one))
                if batch.is_full:
                    self._match(batch, into, keep)
                    batch = Batch()
        except KeyboardInterrupt:
            if not self._stop.is_set:  # the second time, somebody wants it to be over at once
                raise
        self._match(batch, into, keep)
        self._heard(left)  # what nobody had to read, such as the directory of an archive

    def _lines(self, found: Iterator[Found], into: Findings) -> Iterator[Line]:
        """All lines; what could not be told apart as lines is in the figures."""
        for number, one in enumerate(found):
            if not number % STEP and self._stop.is_set:
                return
            if isinstance(one, FileProblem):
                into.tell(one.place, one.line, self._hunt.words(one.error), one.form)
                continue
            yield one

    def _may_stay_unread(self, one: Line) -> bool:
        """Whether it is enough to read a line where a rule may match it."""
        return (
            self._finds_in_lines
            and one.form == JSON
            and one.raw[:1] == b"{"
            and one.raw[-1:] == b"}"
            and b"\n" not in one.raw
        )

    def _read(self, one: Line, into: Findings) -> NormalEvent:
        """The event of a line; of one that cannot be read, which is in the figures then, its mere text."""
        try:
            data = one.data if one.data is not None else read_event(one.raw, self._hunt.limits)[1]
            return normalise(data, None if one.data is not None else one.raw)
        except IstmoError as error:
            into.tell(one.place, one.number, self._hunt.words(error), one.form)
            return MereText({"message": decoded(one.raw)[0]}, ())

    def _open(self, part: Part, heard: Heard) -> Iterator[Found]:
        limits = self._hunt.limits
        if part.path is None:
            assert self._hunt.input is not None
            input_ = cast(IO[bytes], self._stop.waited_for(self._hunt.input))
            return open_stream(input_, STDIN, limits, None, self._logs)
        return open_events(part.path, limits, part.members, self._logs, heard)

    def _match(self, batch: Batch, into: Findings, keep: Callable[[Row], None]) -> None:
        self._match_unread(batch.unread, into, keep)
        read = [(line, self._read(line, into)) for line in batch.lines]
        self._count((line for line, event in read if not isinstance(event, MereText)), into)
        asked = [(line, event) for line, event in read if self._hunt.wanted.holds(event)]
        for found in self._finder.find([event for _, event in asked]):
            self._tell_rule(asked[found.at][0], found, into, keep)
        if self._titles:
            self._match_indicators(asked, into, keep)

    def _match_unread(self, lines: list[Line], into: Findings, keep: Callable[[Row], None]) -> None:
        failed: set[int] = set()

        def read(at: int) -> NormalEvent:
            event = self._read(lines[at], into)
            if isinstance(event, MereText):
                failed.add(at)
            return event

        if lines:
            for found in self._finder.find_in_lines([line.raw for line in lines], read):
                if self._hunt.wanted.holds(found.event):
                    self._tell_rule(lines[found.at], found, into, keep)
        self._count((line for at, line in enumerate(lines) if at not in failed), into)

    def _count(self, lines: Iterable[Line], into: Findings) -> None:
        for (place, form), some in groupby(lines, _PLACE):
            into.count_events(form, sum(1 for _ in some), is_first=place not in self._places)
            self._places.add(place)

    def _tell_rule(self, line: Line, found: FoundRule, into: Findings, keep: Callable[[Row], None]) -> None:
        gatherer, rule, event = self._gatherer, found.rule, found.event
        if not gatherer.is_idle:
            gatherer.gather(rule.id, event, (line.place, line.number, event.host[:256]), into)
            if gatherer.is_silent(rule.id):
                return
        group = _group(rule)
        row = _row(group, line, event, found.matched)
        into.add(group, row)
        if self._hunt.keeps_rows:
            keep(row)

    def _match_indicators(
        self, asked: list[tuple[Line, NormalEvent]], into: Findings, keep: Callable[[Row], None]
    ) -> None:
        for line, event in asked:
            at = 0 if event.time is None else to_micros(event.time)
            hits = self._matcher.match(event.fields, at, f"{line.place}:{line.number}")
            for id_, matched in _by_indicator(hits):
                group = Group("indicator", id_, *self._titles[id_])
                row = _row(group, line, event, matched)
                into.add(group, row)
                if self._hunt.keeps_rows:
                    keep(row)


def _by_indicator(hits: list[Hit]) -> Iterator[tuple[str, dict[str, object]]]:
    """A value in each field that carries it is a finding; of a pattern all fields together are one."""
    patterns: dict[str, dict[str, object]] = {}
    for hit in hits:
        if hit.kind == PATTERN:
            patterns.setdefault(hit.id, {})[hit.field] = hit.value
        else:
            yield hit.id, {hit.field: hit.value}
    yield from patterns.items()


class MereText(NormalEvent):
    """A line that could not be read: it is searched, and not counted among the events."""


class Batch:
    """Lines that are looked at together."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        """To be read, all of them."""
        self.unread: list[Line] = []
        """To be read where a rule may match."""
        self._size = 0
        self._unread_size = 0

    def add(self, line: Line, may_stay_unread: bool) -> None:
        if may_stay_unread:
            self.unread.append(line)
            self._unread_size += len(line.raw)
        else:
            self.lines.append(line)
            self._size += len(line.raw)

    @property
    def is_full(self) -> bool:
        return len(self.lines) >= BATCH_EVENTS or self._size >= BATCH_BYTES or self._unread_size >= BLOCK


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
