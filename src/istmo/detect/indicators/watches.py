"""Indicators whose pattern says more than "one of these values": found by an anchor, then judged whole.

Each observation of a pattern has anchors, of which one is in every event that it holds for: a value
in the matcher's tables, a value of a property, or a comparison that has to be asked. So an event costs
something only where one of them is.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from istmo.detect.indicators.comparisons import (
    MOST_NODES,
    Anchor,
    Comparison,
    Event,
    Found,
    Stands,
    Told,
    make_comparison,
)
from istmo.detect.indicators.moments import Moment, Tracker, is_timeless, make_tracker
from istmo.detect.indicators.properties import PROPERTIES, Value, read_property
from istmo.detect.sigma.expressions import search

MOST_ASKED: Final = 256
"""Patterns that must be asked of every event which carries the property, as no value anchors them."""
MOST_MOMENTS: Final = 50_000
"""Events remembered for all patterns together; past it the pattern that waited longest forgets its own."""
MOST_TOLD_FIELDS: Final = 4
LONGEST_REMEMBERED: Final = 120
MOST_VALUES_KEPT: Final = 20_000
LONGEST_PLAN: Final = 1 << 20

_Present = tuple[str, tuple[str, ...], bool]
"""A property, the fields of an event that carry it, and whether it may lie deeper in it."""


class Watch:
    """One pattern. Raises ValueError for a plan that cannot be used."""

    def __init__(self, plan: str) -> None:
        if len(plan) > LONGEST_PLAN:
            raise ValueError("too long")
        try:
            read = json.loads(plan)
        except RecursionError:
            raise ValueError("too deep") from None
        if not isinstance(read, dict) or not isinstance(read.get("seen"), list) or not read["seen"]:
            raise ValueError("not a plan")
        if plan.count("[") > MOST_NODES:
            raise ValueError("too many parts")
        self.plan = plan
        self.observations: tuple[Comparison, ...] = tuple(make_comparison(one) for one in read["seen"])
        whole = read.get("whole")
        if not isinstance(whole, list) or not whole:
            raise ValueError("not a plan")
        self.tracker: Tracker | None = None
        if not is_timeless(whole):
            self.tracker = make_tracker(whole, len(self.observations))
        self.terms = tuple(dict.fromkeys(_terms(read["seen"])))

    def anchors(self) -> frozenset[Anchor]:
        """Of these one is in every event for which some observation holds."""
        return frozenset().union(*(one.anchors() for one in self.observations))

    def judge(self, event: Event, found: Found, at: int, id: str) -> Told | None:
        """Whether this event makes the pattern true: the fields by which, earlier ones named."""
        told: Told = {}
        if self.tracker is None:
            held = [one.holds(event, found, told) for one in self.observations]
            return told if any(held) else None
        moments: dict[int, Moment] = {}
        for number, one in enumerate(self.observations):
            here: Told = {}
            if one.holds(event, found, here):
                moments[number] = Moment(at, id, _short(here))
                told.update(here)
        if not moments:
            return None
        bound = self.tracker.feed(moments)
        return None if bound is None else told | _of_others(bound, id)


def told_of(bound: Iterable[Moment], id: str) -> Told:
    """The fields by which events make a pattern true, as the one with this id tells them."""
    bound = list(bound)
    return {field: value for one in bound if one.event == id for field, value in one.told} | _of_others(
        bound, id
    )


def _of_others(bound: Iterable[Moment], id: str) -> Told:
    return {f"{field} @ {one.event}": value for one in bound if one.event != id for field, value in one.told}


def _short(told: Told) -> tuple[tuple[str, str], ...]:
    return tuple(
        (field, value[:LONGEST_REMEMBERED]) for field, value in list(told.items())[:MOST_TOLD_FIELDS]
    )


def _terms(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list) and node:
        if node[0] == "t":
            yield node[1], node[2]
        else:
            for one in node:
                yield from _terms(one)


def anchor_terms(plan: str) -> list[tuple[str, str]] | None:
    """Values of which one is in every event that a plan looks at; None where it looks at others too."""
    anchors = Watch(plan).anchors()
    return [(kind, value) for sort, kind, value in anchors] if all(one[0] == "t" for one in anchors) else None


def is_over_time(plan: str | None) -> bool:
    """Whether a plan looks at when things happened, so that one event alone does not decide."""
    try:
        return plan is not None and Watch(plan).tracker is not None
    except ValueError:
        return False


class Watches:
    """The patterns that are in, by row, and how an event comes to one of them."""

    def __init__(self) -> None:
        self.by_row: dict[int, Watch] = {}
        self._equal: dict[str, dict[Value, set[int]]] = {}
        self._asked: dict[str, dict[int, list[Stands]]] = {}
        self._filters: dict[str, _Filter] = {}
        self._always: set[int] = set()
        self._asked_rows: set[int] = set()
        self._present: dict[tuple[str, ...], tuple[_Present, ...]] = {}
        self._came_to: dict[tuple[str, str], tuple[int, ...]] = {}
        self._remembering: OrderedDict[int, int] = OrderedDict()
        self._moments = 0
        self._in_time: dict[int, Tracker] = {}
        """Patterns that look at when things happened."""
        self._counts = {"displaced": 0, "forgotten": 0, "given_up": 0}
        self.resting: set[int] | None = None
        """While events are shown again that were seen before: patterns that were not there then."""
        self.changes = 0
        """Grows whenever what is remembered may have changed otherwise than by events …"""
        self.fed = 0
        """… and by them."""

    def __contains__(self, row: int) -> bool:
        return row in self.by_row

    def get(self, row: int) -> Watch | None:
        return self.by_row.get(row)

    @property
    def has_moments(self) -> bool:
        """Whether some pattern looks at when things happened."""
        return bool(self._in_time)

    def in_time(self) -> Iterator[tuple[int, Watch]]:
        """The patterns that look at when things happened, by row."""
        return ((row, self.by_row[row]) for row in self._in_time)

    def remembering(self) -> Iterator[tuple[int, Tracker]]:
        """Those that remember something now, the one that waited longest first."""
        return ((row, self._in_time[row]) for row in self._remembering)

    def recall(self, row: int, kept: list[list[Moment]]) -> None:
        """Let one remember these events again."""
        if self._in_time[row].recall(kept):
            self._note_held(row, self._in_time[row])

    def precede(self, row: int, earlier: list[list[Moment]]) -> list[Moment]:
        """Let one remember events of before it was there as well (``Tracker.precede``)."""
        tracker = self._in_time[row]
        since = tracker.precede(earlier)
        self.changes += 1
        self._note_held(row, tracker)
        return since

    @property
    def counts(self) -> dict[str, int]:
        """What patterns remember, and what they had to let go of; empty where none looks at time."""
        if not self._in_time:
            return {}
        sizes = {"patterns": len(self._in_time), "remembered": self._moments}
        trackers = self._in_time.values()
        return sizes | {
            "displaced": self._counts["displaced"] + sum(one.displaced for one in trackers),
            "forgotten": self._counts["forgotten"],
            "given_up": self._counts["given_up"] + sum(one.given_up for one in trackers),
        }

    def check_room(self, watch: Watch) -> None:
        """Raises ValueError where one more pattern of this sort would make every event too dear."""
        if len(self._asked_rows) >= MOST_ASKED and any(one[0] == "?" for one in watch.anchors()):
            raise ValueError("too many patterns without a value to look up")

    def add(self, row: int, watch: Watch) -> None:
        """A pattern of its own row."""
        self.by_row[row] = watch
        if watch.tracker is not None:
            self._in_time[row] = watch.tracker
            self.changes += 1
            if self.resting is not None:
                self.resting.add(row)
        for kind, name, value in watch.anchors():
            if kind == "=":
                self._equal.setdefault(name, {}).setdefault(value, set()).add(row)
            elif kind == "?":
                self._asked_rows.add(row)
                if name:
                    self._filters.pop(name, None)
                    self._asked.setdefault(name, {}).setdefault(row, []).append(value)
                else:
                    self._always.add(row)
        self._changed()

    def remove(self, row: int) -> None:
        """The pattern of a row, with all that it remembers."""
        watch = self.by_row.pop(row, None)
        if watch is None:
            return
        if self._in_time.pop(row, None) is not None and watch.tracker is not None:
            self.changes += 1
            self._counts["displaced"] += watch.tracker.displaced
            self._counts["given_up"] += watch.tracker.given_up
            if self.resting is not None:
                self.resting.discard(row)
        self._moments -= self._remembering.pop(row, 0)
        for kind, name, value in watch.anchors():
            if kind == "=":
                rows = self._equal[name][value]
                rows.discard(row)
                if not rows:
                    del self._equal[name][value]
                    if not self._equal[name]:
                        del self._equal[name]
            elif kind == "?" and name and row in self._asked.get(name, {}):
                self._filters.pop(name, None)
                del self._asked[name][row]
                if not self._asked[name]:
                    del self._asked[name]
        self._always.discard(row)
        self._asked_rows.discard(row)
        self._changed()

    def _changed(self) -> None:
        self._present.clear()
        self._came_to.clear()

    def candidates(self, event: Event, names: tuple[str, ...]) -> set[int]:
        """The rows that some property of the event comes to, besides those that the tables found."""
        found = set(self._always)
        present = self._present.get(names)
        if present is None:
            present = self._note(names)
        for property, flat, is_nested in present:
            if is_nested:
                for _, value in event.values(property):
                    found.update(self._look(property, value))
                continue
            for name in flat:
                text = event.fields[name]
                rows = self._came_to.get((property, text)) if type(text) is str else None
                found.update(self._read(property, name, text) if rows is None else rows)
        return found

    def _note(self, names: tuple[str, ...]) -> tuple[_Present, ...]:
        there = frozenset(names)
        present: list[_Present] = []
        for one in dict.fromkeys((*self._equal, *self._asked)):
            fields = PROPERTIES[one].fields
            flat = tuple(field for field in fields if field in there)
            is_nested = any("." in field and field.partition(".")[0] in there for field in fields)
            if flat or is_nested:
                present.append((one, flat, is_nested))
        if len(self._present) >= 512:  # whoever sends events chooses the names
            self._present.clear()
        if sum(map(len, names)) <= 8192:
            self._present[names] = tuple(present)
        return tuple(present)

    def _read(self, property: str, name: str, held: Any) -> tuple[int, ...]:
        """The rows that one field comes to as this property: remembered by its text."""
        values = read_property(property, {name: held})
        rows = tuple({row for _, value in values for row in self._look(property, value)})
        if type(held) is str and len(held) <= 1024:
            if len(self._came_to) >= MOST_VALUES_KEPT:
                self._came_to.clear()
            self._came_to[property, held] = rows
        return rows

    def _look(self, property: str, value: Value) -> tuple[int, ...]:
        rows = set(self._equal.get(property, {}).get(value, ()))
        if property in self._asked:
            found = self._filters.get(property)
            if found is None:
                found = self._filters[property] = _Filter(self._asked[property])
            rows.update(found.rows(value))
        return tuple(rows)

    def judge(self, row: int, event: Event, found: Found, at: int, id: str) -> Told | None:
        """Ask one pattern."""
        watch = self.by_row[row]
        if self.resting is not None and row in self.resting:
            return None
        told = watch.judge(event, found, at, id)
        if watch.tracker is not None:
            self.fed += 1
            self._note_held(row, watch.tracker)
        return told

    def _note_held(self, row: int, tracker: Tracker) -> None:
        held = len(tracker)
        self._moments += held - self._remembering.pop(row, 0)
        if held:
            self._remembering[row] = held
        while self._moments > MOST_MOMENTS and len(self._remembering) > 1:
            self.forget_one()

    def forget_one(self) -> None:
        """Let the pattern that waited longest forget its events, to make room."""
        row, held = self._remembering.popitem(last=False)
        self._in_time[row].clear()
        self._moments -= held
        self._counts["forgotten"] += held


class _Filter:
    """Comparisons of one property that have to be asked: most values are told by one look that none holds."""

    def __init__(self, asked: Mapping[int, list[Stands]]) -> None:
        self._texts = [(row, one) for row, some in asked.items() for one in some if one.expression]
        self._others = [(row, one) for row, some in asked.items() for one in some if not one.expression]
        expressions = dict.fromkeys(one.expression for _, one in self._texts if one.expression)
        self._may_hold = search(list(expressions)) if len(expressions) > 1 else None

    def rows(self, value: Value) -> Iterator[int]:
        """The patterns of which some comparison holds for this value."""
        for row, one in self._others:
            if one.is_true_of(value):
                yield row
        if self._may_hold is None or (isinstance(value, str) and self._may_hold(value)):
            for row, one in self._texts:
                if one.is_true_of(value):
                    yield row


NOTHING_FOUND: Final[Mapping[tuple[str, str], list[tuple[str, str]]]] = {}
