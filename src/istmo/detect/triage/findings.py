"""What was found, in memory that does not grow with it: a group a rule, counts, and some of the matches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from istmo.detect.sigma import LEVELS

SAMPLES: Final = 10
"""Matches that a group repeats whole."""
NAMED: Final = 1000
"""Hosts of one group, and of all groups together, that are counted by name."""
NAMED_FILES: Final = 10_000
LONGEST_VALUE: Final = 500
"""Characters of a field's value."""
MOST_FIELDS: Final = 30
MOST_CONTRIBUTIONS: Final = 200_000
"""Matches that are kept for correlations."""
UNNAMED: Final = "…"
"""Where what is past a bound is counted."""

Row = dict[str, Any]
"""One match: time (RFC 3339, empty where unknown), level, title, id, kind, techniques, host, channel,
event_id, record, file, number (of the event in its file), matched (field to text)."""


def rank(level: str) -> int:
    """The place of a level in their order; a rule that names none stands with the lowest."""
    return LEVELS.index(level) if level in LEVELS else 0


def count(into: dict[str, int], name: str, most: int, n: int = 1) -> None:
    """Count a name; past ``most`` of them the others are counted together."""
    if name not in into and len(into) >= most:
        name = UNNAMED
    into[name] = into.get(name, 0) + n


def text_of(value: Any) -> str:
    """A field's value as text, of bounded length."""
    if isinstance(value, (list, tuple)):
        value = ", ".join(text_of(one) for one in value[:MOST_FIELDS])
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


@dataclass
class Group:
    """All matches of one rule, or of one indicator."""

    kind: str
    """``rule``, ``correlation`` or ``indicator``."""
    id: str
    title: str
    level: str
    author: str = ""
    license: str = ""
    techniques: tuple[str, ...] = ()
    count: int = 0
    first: str = ""
    last: str = ""
    files: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)
    samples: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count one match."""
        self.count += 1
        self._span(row["time"], row["time"])
        count(self.files, row["file"], NAMED_FILES)
        count(self.hosts, row["host"], NAMED)
        if len(self.samples) < SAMPLES:
            self.samples.append(row)

    def merge(self, other: Group) -> None:
        """Add what another part of the work found for the same rule."""
        self.count += other.count
        self._span(other.first, other.last)
        for name, n in other.files.items():
            count(self.files, name, NAMED_FILES, n)
        for name, n in other.hosts.items():
            count(self.hosts, name, NAMED, n)
        self.samples += other.samples[: SAMPLES - len(self.samples)]

    def _span(self, first: str, last: str) -> None:
        if first:
            self.first = min(self.first or first, first)
        self.last = max(self.last, last)


@dataclass
class Form:
    """How much there was of one kind of log."""

    files: int = 0
    events: int = 0
    unreadable: int = 0

    def merge(self, other: Form) -> None:
        """Add another part of the work."""
        self.files += other.files
        self.events += other.events
        self.unreadable += other.unreadable


@dataclass
class Findings:
    """Groups by kind and id, and what the way there came to."""

    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    events: int = 0
    matches: int = 0
    places: int = 0
    """Files, and members of archives, that gave at least one event."""
    steps: dict[str, list[int]] = field(default_factory=dict)
    """Matches by hour and level: what the timeline of a report is drawn from."""
    problems: list[dict[str, Any]] = field(default_factory=list)
    problems_total: int = 0
    forms: dict[str, Form] = field(default_factory=dict)
    """By what files hold: ``evtx``, ``json``, or the format of a log's lines."""
    contributions: list[Any] = field(default_factory=list)
    """Matches that correlations are still to be asked about."""
    left_out: int = 0
    """Of those, what was past the bound; and what had no time:"""
    without_time: int = 0

    def add(self, group: Group, row: Row) -> None:
        """Count a match in its group; ``group`` is a new one for the case that there is none yet."""
        known = self.groups.setdefault((group.kind, group.id), group)
        known.add(row)
        self.matches += 1
        if row["time"] and (row["time"][:13] in self.steps or len(self.steps) < NAMED_FILES):
            self.steps.setdefault(row["time"][:13], [0] * len(LEVELS))[rank(row["level"])] += 1

    @property
    def unreadable(self) -> int:
        """Lines and events that do not have the form of their log."""
        return sum(one.unreadable for one in self.forms.values())

    def count_events(self, form: str, events: int, *, is_first: bool) -> None:
        """Count events of a file, or of a member of an archive; ``is_first``: of it none was counted yet."""
        known = self.forms.setdefault(form, Form())
        known.events += events
        self.events += events
        if is_first:
            known.files += 1
            self.places += 1

    def tell(self, place: str, line: int, told: dict[str, str], form: str = "") -> None:
        """Note what could not be read, by its first line for lines of one kind; past a bound only counted.

        ``form`` of the log whose line it was.
        """
        self.problems_total += 1
        if form:
            self.forms.setdefault(form, Form()).unreadable += 1
        last = self.problems[-1] if self.problems else None
        if last and (last["file"], last["code"]) == (place, told["code"]):
            last["count"] += 1
        elif len(self.problems) < NAMED:
            self.problems.append({"kind": "file", "file": place, "line": line, "count": 1, **told})

    def merge(self, other: Findings) -> None:
        """Add what another part of the work found."""
        for key, group in other.groups.items():
            if key in self.groups:
                self.groups[key].merge(group)
            else:
                self.groups[key] = group
        self.events += other.events
        self.matches += other.matches
        self.places += other.places
        for form, theirs in other.forms.items():
            self.forms.setdefault(form, Form()).merge(theirs)
        for hour, counts in other.steps.items():
            if hour in self.steps or len(self.steps) < NAMED_FILES:
                known = self.steps.setdefault(hour, [0] * len(LEVELS))
                self.steps[hour] = [one + more for one, more in zip(known, counts, strict=True)]
        room = MOST_CONTRIBUTIONS - len(self.contributions)
        self.contributions += other.contributions[:room]
        self.left_out += other.left_out + max(0, len(other.contributions) - room)
        self.without_time += other.without_time
        self.problems_total += other.problems_total
        self.problems += other.problems[: NAMED - len(self.problems)]

    def ordered(self) -> list[Group]:
        """The most severe first, then the most frequent."""
        return sorted(self.groups.values(), key=lambda one: (-rank(one.level), -one.count, one.title))

    def hosts(self) -> list[tuple[str, int, list[Group]]]:
        """By host: its name, how many matches, and the groups they are of; the most matches first."""
        counts: dict[str, int] = {}
        groups: dict[str, list[Group]] = {}
        for group in self.ordered():
            for host, n in group.hosts.items():
                count(counts, host, NAMED, n)
                groups.setdefault(host if host in counts else UNNAMED, []).append(group)
        return [(host, n, groups.get(host, [])) for host, n in _most(counts)]

    def techniques(self) -> list[tuple[str, int, list[Group]]]:
        """The same by ATT&CK technique; matches of rules that name none stand under ``""``."""
        counts: dict[str, int] = {}
        groups: dict[str, list[Group]] = {}
        for group in self.ordered():
            for technique in group.techniques or ("",):
                counts[technique] = counts.get(technique, 0) + group.count
                groups.setdefault(technique, []).append(group)
        return [(technique, n, groups[technique]) for technique, n in _most(counts)]


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))
