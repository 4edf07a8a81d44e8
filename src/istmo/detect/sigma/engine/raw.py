"""Matches in JSON lines of which most are never parsed.

A block of lines is scanned once for what tells each line's class, and for what makes a line odd. The lines of
a class are then scanned together for its rules' witnesses, spelled as JSON spells them. Only lines in which
one is found are parsed, and only the rules that it stands for are asked. Odd lines, lines of other shapes,
and classes that fare better so go the way of the fields. What is skipped is not looked at any further:
whether it is JSON all through is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from operator import attrgetter
from typing import Final, NamedTuple

import orjson

from istmo.detect.sigma.engine.engine import Engine, Event, Key
from istmo.detect.sigma.engine.lines import ODD_SHAPE, ODD_TEXT
from istmo.detect.sigma.engine.raw_classes import RawClass
from istmo.detect.sigma.engine.scanners import PLAIN, SCANNER, make_scanner
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.rules import Rule

BLOCK: Final = 512 << 10
"""Bytes to be handed over at a time: with fewer a scan's own cost is felt, more leave the caches."""
_LONGEST: Final = 256
"""Bytes of a channel's name."""
_LONGEST_NUMBER: Final = 12
_MOST_KINDS: Final = 4096
"""Of what lines tell of themselves, in two generations: who invents ever new ones pushes out none in use."""
_MARKS: Final = (rb'"Channel":"', rb'"EventID":', rb"\n", *ODD_SHAPE, *ODD_TEXT)
_CHANNEL, _NUMBER, _BREAK = range(3)
"""Of the marks, those that tell a line's class and end; the others make it odd."""
_LEARN: Final = 500
"""Lines of a class that are looked at before it is decided how."""
_PROBE_ODD: Final = 4
"""Blocks after which, where most lines were odd, they are looked at again."""
_LEARN_AGAIN: Final = 8
"""Times as many lines after which a class whose lines have become others learns again."""
_SAMPLE_BYTES: Final = 2 << 20
"""Lines of a class that are remembered meanwhile, together."""
_MOST_REMEMBERED: Final = 64 << 20
"""Those of all classes."""
_WORTH: Final = 0.5
"""Share of a class's lines that may be parsed until parsing all of them is better."""
_DRIFT: Final = 0.1
"""By so much that share may grow before something better is looked for."""
_WEIGHED: Final = 200
"""Lines by which that share is told anew."""
_PROBE: Final = 16
"""Blocks after which classes that are parsed are looked at again."""

SourcesOf = Callable[[str, int], tuple[Logsource, ...] | None]
Read = Callable[[bytes, int], Event | None]
"""An event of a line, and where in its block this begins; None where it cannot be read."""


def can_scan_lines() -> bool:
    """Whether looking at lines first is worth it: not with the plain scanner."""
    return SCANNER != PLAIN


class Matched(NamedTuple):
    """A line in which a rule was found."""

    start: int
    """Where in the block it begins, and ends."""
    end: int
    event: Event
    rule: Rule


_START = attrgetter("start")


class _Kind:
    """Lines of one class."""

    def __init__(self, key: Key | None, raw: RawClass | None = None) -> None:
        self.key = key
        self.raw = raw
        """None where such lines have to be parsed."""
        self.share = 0.0
        """Of its lines, those that had to be parsed of late."""
        self.spans: list[tuple[int, int]] = []
        """Of the block in work."""
        self.sample: list[bytes] = []
        """Taken evenly of all its lines so far."""
        self.size = 0
        """Bytes of the sample."""
        self.seen = 0
        self.learns_at = _LEARN
        self._every = 1
        if raw is not None:
            self.use(raw)

    def use(self, raw: RawClass) -> None:
        """Look at its lines so."""
        self.raw = raw
        self.share = raw.share
        if raw.is_trained:
            self.learns_at = max(_LEARN, self.seen) * _LEARN_AGAIN
        self.forget()

    @property
    def is_to_learn(self) -> bool:
        """Whether it is not known, or not any more, what is seldom in its lines."""
        raw = self.raw
        if raw is None or not raw.can_scan or not raw.rules:
            return False
        return not raw.is_trained or self.share > raw.share + _DRIFT

    def note(self, block: bytes) -> None:
        """Remember some of the block's lines."""
        some = [block[start:end] for start, end in self.spans[-self.seen % self._every :: self._every]]
        self.seen += len(self.spans)
        self.sample += some
        self.size += sum(map(len, some))
        while self.sample and (len(self.sample) > 2 * _LEARN or self.size > _SAMPLE_BYTES):
            del self.sample[::2]
            self._every *= 2
            self.size = sum(map(len, self.sample))

    def forget(self) -> None:
        """Let go of the sample."""
        self.sample, self.size, self._every = [], 0, 1


class RawScan:
    """Blocks of JSON lines asked about an engine's rules. Not safe to share between threads."""

    def __init__(
        self, engine: Engine, read: Read, sources_of: SourcesOf, previous: RawScan | None = None
    ) -> None:
        """``read`` parses a line; whoever wants to know of those that cannot be read remembers them there.

        ``sources_of``: a channel's and event id's log sources, where their events' values are the line's
        own; else None. What ``previous`` has met is made ready at once, and what it has made for rules that
        are still the same is taken over.
        """
        self._engine = engine
        self._read = read
        self._sources_of = sources_of
        self._scanner = make_scanner((), marks=_MARKS)
        self._other = _Kind(None)
        self._kinds: dict[tuple[bytes, bytes], _Kind] = {}
        """By what lines tell of themselves; several may be of one class."""
        self._kinds_before: dict[tuple[bytes, bytes], _Kind] = {}
        self._by_class: dict[Key, _Kind] = {}
        self._blocks = 0
        self._is_mostly_odd = False
        """Most lines have to be parsed: looking at them first is in vain."""
        if previous is not None:
            self._take_over(previous)

    def find(self, block: bytes) -> list[Matched]:
        """Every match in whole lines, in their order and that of the rules."""
        found: list[Matched] = []
        self._blocks += 1
        if self._is_mostly_odd and self._blocks % _PROBE_ODD:
            return list(self._by_fields(block, _lines_of(block)))
        kinds = self._sort(block)
        lines = sum(len(kind.spans) for kind in kinds)
        self._is_mostly_odd = len(self._other.spans) > _WORTH * lines
        try:
            for kind in kinds:
                found += self._in(kind, block)
        finally:
            for kind in kinds:
                kind.spans = []
        found.sort(key=_START)
        return found

    def _take_over(self, previous: RawScan) -> None:
        engine = self._engine
        for key, kind in list(previous._by_class.items()):  # another thread may go on using it
            now = engine.key(*key)
            is_same = now == key and engine.has_same_rules(key[0], previous._engine)
            self._by_class[now] = _Kind(now, kind.raw if is_same else engine.raw_class(now))

    def _in(self, kind: _Kind, block: bytes) -> Iterable[Matched]:
        """Matches in the block's lines of one kind."""
        raw = kind.raw
        if raw is None:
            return self._by_fields(block, kind.spans)
        if not raw.rules:
            return ()
        if kind.is_to_learn:
            self._remember(kind, block)
        if raw.can_scan and (kind.share <= _WORTH or self._blocks % _PROBE == 0):
            return self._by_lines(kind, raw, block)
        return self._by_fields(block, kind.spans)

    def _remember(self, kind: _Kind, block: bytes) -> None:
        """Lines to choose by what is looked for; other hosts' lines may be unlike the first ones."""
        kind.note(block)
        if kind.seen >= kind.learns_at and kind.sample and kind.key is not None:
            kind.use(self._engine.make_raw(kind.key, kind.sample))
        elif sum(one.size for one in self._by_class.values()) > _MOST_REMEMBERED:
            for one in self._by_class.values():
                one.forget()

    def _by_lines(self, kind: _Kind, raw: RawClass, block: bytes) -> Iterator[Matched]:
        spans = kind.spans
        candidates = raw.scan([block[start:end] for start, end in spans])
        share = (len(candidates.asked) + len(candidates.odd)) / len(spans)
        weight = min(1.0, len(spans) / _WEIGHED)
        kind.share += (share - kind.share) * weight
        odd = candidates.odd
        if odd:
            yield from self._by_fields(block, [spans[place] for place in sorted(odd)])
        for place, slots in candidates.asked.items():
            start, end = spans[place]
            event = self._read(block[start:end], start)
            if event is None:
                continue
            view = EventView(event.fields)
            for slot in slots:
                if raw.questions[slot](view):
                    yield Matched(start, end, event, raw.rules[slot])

    def _by_fields(self, block: bytes, spans: Iterable[tuple[int, int]]) -> Iterator[Matched]:
        read = [(start, end, self._read(block[start:end], start)) for start, end in spans]
        events = [(start, end, event) for start, end, event in read if event is not None]
        for place, rule in self._engine.find([event for _, _, event in events], is_timed=False):
            yield Matched(*events[place], rule)

    def _sort(self, block: bytes) -> list[_Kind]:
        """The kinds that lines of the block have, each with its lines."""
        met: list[_Kind] = []
        start = channel = number = 0
        is_odd = False
        kinds = self._kinds
        found = self._scanner.scan(block)
        if not block.endswith(b"\n"):
            found.append((_BREAK, len(block) + 1))
        for mark, end in found:
            if mark == _CHANNEL:
                is_odd = is_odd or channel > 0
                channel = end
            elif mark == _NUMBER:
                is_odd = is_odd or number > 0
                number = end
            elif mark != _BREAK:
                is_odd = True
            else:
                kind = self._other
                if not is_odd and channel and number:
                    told = (
                        block[channel : block.find(b'"', channel, channel + _LONGEST) + 1],
                        block[number : max(number, block.find(b",", number, number + _LONGEST_NUMBER))],
                    )
                    known = kinds.get(told)
                    kind = known or self._kind(told)
                    if known is None:
                        kinds = self._kinds
                if end - 1 > start:
                    if not kind.spans:
                        met.append(kind)
                    kind.spans.append((start, end - 1))
                start = end
                channel = number = 0
                is_odd = False
        return met

    def _kind(self, told: tuple[bytes, bytes]) -> _Kind:
        known = self._kinds_before.get(told)
        if len(self._kinds) >= _MOST_KINDS // 2:
            self._kinds_before, self._kinds = self._kinds, {}
            in_use = {id(kind) for kind in self._kinds_before.values()}
            self._by_class = {key: kind for key, kind in self._by_class.items() if id(kind) in in_use}
        if known is not None:
            self._kinds[told] = known
            if known.key is not None:
                self._by_class.setdefault(known.key, known)
            return known
        kind = self._other
        with suppress(orjson.JSONDecodeError):
            channel, number = orjson.loads(b'"' + told[0]), orjson.loads(told[1])
            sources = self._sources_of(channel, number) if number.__class__ is int else None
            if sources is not None:
                key = self._engine.key(sources, number)
                found = self._by_class.get(key)
                if found is None:
                    found = self._by_class[key] = _Kind(key, self._engine.raw_class(key))
                kind = found
        self._kinds[told] = kind
        return kind


def _lines_of(block: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(block):
        end = block.find(b"\n", start)
        if end < 0:
            end = len(block)
        if end > start:
            yield start, end
        start = end + 1
