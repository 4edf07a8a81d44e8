"""The matcher: indicators in and out while events go by.

Three things keep it quick. Fields are sorted into roles once for each set of field names. What a
value came to is remembered by role (events repeat themselves), and forgotten whenever an indicator
comes or goes. And what no table holds costs a few look-ups in a dict.

One thread at a time. Time is what the caller says: microseconds since 1970.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from istmo.detect.indicators.comparisons import Event
from istmo.detect.indicators.fields import Role, role_of
from istmo.detect.indicators.memory import pack_memory, take_up
from istmo.detect.indicators.moments import Moment
from istmo.detect.indicators.placed import placed_plan, placed_term
from istmo.detect.indicators.properties import carries
from istmo.detect.indicators.readers import READERS, Reader
from istmo.detect.indicators.roster import Roster
from istmo.detect.indicators.tables import KINDS, Key, Tables, Term, key_of, text_of
from istmo.detect.indicators.watches import NOTHING_FOUND, Watch, Watches, told_of

PATTERN: Final = "pattern"
FOREVER: Final = (1 << 63) - 1
DEEPEST: Final = 8
"""Levels of a nested event that are looked into."""
MOST_LISTED: Final = 1000
"""Elements of one list that are looked at."""
LONGEST_TOLD: Final = 512
"""Characters of a field that a hit repeats whole; of a longer one, the part that matched."""
LONGEST_KEPT: Final = 1024
"""Characters of a value that is worth remembering."""
MOST_KEPT: Final = 3 << 20
"""Bytes, about, of the values of one role that are remembered in each of two generations."""
MOST_TOLD: Final = 1000
"""Indicators told for one value: a flood of them for one address must not become a flood of hits."""
MOST_PLANS: Final = 512
LONGEST_PLAN: Final = 8192
"""Characters of the field names of an event whose sorting into roles is remembered."""
_OVERHEAD: Final = 150
_SEVERAL: Final = 255
_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}


class Hit(NamedTuple):
    """One indicator found in one field."""

    id: str
    kind: str
    """One of KINDS, or PATTERN."""
    term: str
    """The indicator's value in normal form; empty where a whole pattern holds."""
    field: str
    value: str
    """The field as it stood; of a long one, the part that matched."""


class _Found(NamedTuple):
    row: int
    kind: str
    key: Key
    piece: str


_Remembered = tuple[_Found, ...]
_NOTHING: Final[_Remembered] = ()


class _Memory:
    """What the values of one role came to. Two generations: what is used again survives."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.young: dict[str, _Remembered] = {}
        self._old: dict[str, _Remembered] = {}
        self._room = MOST_KEPT

    def look(self, tables: Tables, text: str) -> _Remembered:
        """What a value comes to; to be asked when ``young`` does not know it."""
        found = self._old.get(text)
        if found is None:
            found = _look(self.reader, tables, text)
        if len(text) <= LONGEST_KEPT:
            self._room -= len(text) + _OVERHEAD
            if self._room < 0:
                self._old, self.young, self._room = self.young, {}, MOST_KEPT
            self.young[text] = found
        return found

    def forget(self) -> None:
        if self.young or self._old:
            self.young, self._old, self._room = {}, {}, MOST_KEPT


def _look(reader: Reader, tables: Tables, text: str) -> _Remembered:
    found: dict[_Found, None] = {}
    for (kind, key), piece in reader(tables, text):
        owners = tables.owners(kind, key)
        for row in (owners,) if isinstance(owners, int) else sorted(owners)[:MOST_TOLD]:
            found[_Found(row, kind, key, piece)] = None
    return tuple(found) or _NOTHING


_Plan = tuple[tuple[str, _Memory], ...]


class Matcher:
    """Indicators by id, and the events that carry one of their values.

    ``now`` says the time, so that an indicator ends by itself at its ``until``.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._memories = {role: _Memory(reader) for role, reader in READERS.items()}
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self.clear()

    def clear(self) -> None:
        """Remove every indicator."""
        self._roster = Roster()
        self._kinds = bytearray()
        self._keys: list[Any] = []
        """By row: the key, or (where there are several) a tuple of (kind, key)."""
        self._until = array("q")
        self._tables = Tables()
        self._watches = Watches()
        self._places: dict[int, str] = {}
        """By row, of those whose values count in the fields of one property alone."""
        self.forget()

    def __len__(self) -> int:
        return len(self._roster)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._roster.row(id) is not None

    def __iter__(self) -> Iterator[str]:
        """The ids that are in, in no order."""
        return iter(self._roster)

    @property
    def has_moments(self) -> bool:
        """Whether some pattern looks at when events happened: then ``match`` must be told."""
        return self._watches.has_moments

    @property
    def watches(self) -> Watches:
        """The patterns that are in."""
        return self._watches

    def remember(self) -> bytes:
        """What patterns remember of events (``memory``)."""
        return pack_memory(self._watches, self._in_time())

    def recall(self, data: bytes) -> set[int]:
        """Take up what was remembered; the rows of patterns that were not there then.

        Raises MemoryUnreadable.
        """
        return take_up(self._watches, self._in_time(), data)

    def moments(self) -> dict[str, list[list[Moment]]]:
        """What each pattern over time remembers, by indicator and observation."""
        return {self._roster.id(row): tracker.kept for row, tracker in self._watches.remembering()}

    def precede(
        self, id: str, plan: str, earlier: list[list[Moment]]
    ) -> Iterator[tuple[str, dict[str, str]] | None]:
        """Let a pattern over time remember events of before it was in: those since that make it true together
        with them, each by its id, with the fields as ``match`` tells them.

        Each step may take as long as an event does, and most of them give None. Nothing is done where the
        indicator is out by now, or another.
        """
        row = self._roster.row(id)
        watch = None if row is None else self._watches.get(row)
        if row is None or watch is None or watch.plan != plan or watch.tracker is None:
            return
        since = self._watches.precede(row, earlier)
        known = {one.event for one in since}
        for one in since:
            bound = watch.tracker.completed_by(one)
            is_new = any(moment.event not in known for moment in bound)
            yield (one.event, told_of(bound, one.event)) if is_new else None

    def _in_time(self) -> dict[int, str]:
        return {row: self._roster.id(row) for row, _ in self._watches.in_time()}

    def put(
        self, id: str, terms: Iterable[tuple[str, str]], until: int | None = None, plan: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Add an indicator, or replace the one of this id. In force for the next event.

        ``terms`` are (kind, value) with kinds of KINDS; any one of them is a match. It ends before
        ``until``. Gives back the terms that cannot be served; the others are. With a ``plan`` that says
        what is a match, and its terms count; ValueError where it cannot be used: then the id is out.
        """
        held: dict[tuple[str, Key], None] = {}
        unusable: list[tuple[str, str]] = []
        watch, place = None, ""
        placed = None if plan is None else placed_term(plan)
        if placed is not None:
            place, terms = placed[0], (placed[1],)
        elif plan is not None:
            watch = self._watch(id, plan)
            terms = watch.terms
        for kind, value in terms:
            key = key_of(Term(kind, value)) if kind in KINDS else None
            if key is None:
                unusable.append((kind, value))
            else:
                held[kind, key] = None
        end = FOREVER if until is None else until
        row = self._roster.row(id)
        if row is not None and list(held) == list(self._held(row)) and plan == self.plan(id):
            self._until[row] = end  # a new version of the same: what was remembered still holds
            return tuple(unusable)
        if row is not None:
            self.drop(id)
        if held or watch is not None:
            self._settle(id, list(held), end, watch, place)
        return tuple(unusable)

    def _watch(self, id: str, plan: str) -> Watch:
        try:
            watch = Watch(plan)
            if plan != self.plan(id):
                self._watches.check_room(watch)
        except ValueError:
            self.drop(id)
            raise
        return watch

    def _settle(
        self, id: str, held: list[tuple[str, Key]], until: int, watch: Watch | None, place: str
    ) -> None:
        row = self._roster.add(id)
        if row == len(self._keys):
            self._keys.append(None)
            self._kinds.append(0)
            self._until.append(0)
        for kind, key in held:
            self._tables.add(kind, key, row)
        if len(held) == 1:
            self._kinds[row], self._keys[row] = _NUMBERS[held[0][0]], held[0][1]
        else:
            self._kinds[row], self._keys[row] = _SEVERAL, tuple(held)
        self._until[row] = until
        if watch is not None:
            self._watches.add(row, watch)
        if place:
            self._places[row] = place
        self.forget()

    def drop(self, id: str) -> bool:
        """Remove an indicator; False when it was not in. The next event no longer hits it."""
        row = self._roster.remove(id)
        if row is None:
            return False
        for kind, key in self._held(row):
            self._tables.remove(kind, key, row)
        self._keys[row] = None
        self._watches.remove(row)
        self._places.pop(row, None)
        self.forget()
        return True

    def plan(self, id: str) -> str | None:
        """The plan that an indicator is in with, if any."""
        row = self._roster.row(id)
        if row is None:
            return None
        if row in self._places:
            return placed_plan(self._places[row], self.terms(id))
        watch = self._watches.get(row)
        return None if watch is None else watch.plan

    def terms(self, id: str) -> tuple[Term, ...]:
        """What an indicator names, in normal form; empty when it is not in."""
        row = self._roster.row(id)
        if row is None:
            return ()
        return tuple(Term(kind, text_of(kind, key)) for kind, key in self._held(row))

    def drop_expired(self) -> int:
        """Let go of those whose time has passed; how many. They stopped matching already."""
        now = self._now()
        ended = [id for id in self._roster if self._until[self._roster.row(id) or 0] <= now]
        return sum(self.drop(id) for id in ended)

    def match(self, fields: Mapping[str, Any], at: int = 0, event: str = "") -> list[Hit]:
        """The indicators in one event: flat fields by their Sigma names (nested ones are read too).

        ``at`` is when it happened (µs since 1970) and ``event`` its id, where ``has_moments``.
        """
        names = tuple(fields)
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plan(names, "Channel" in fields)
        hits: dict[Hit, None] = {}
        for name, memory in plan:
            value = fields[name]
            if type(value) is str:
                found = memory.young.get(value)
                if found is _NOTHING:  # nearly always
                    continue
                if found is None:
                    found = memory.look(self._tables, value)
                if found:
                    self._tell(found, name, value, hits)
            elif value is not None and isinstance(value, (list, dict)):
                self._match_inside(name, memory, value, hits, 0)
        if self._watches.by_row:
            return self._judge(fields, names, at, event, hits)
        return list(hits)

    def _judge(
        self, fields: Mapping[str, Any], names: tuple[str, ...], at: int, event: str, hits: dict[Hit, None]
    ) -> list[Hit]:
        """What was found of patterns is only a reason to ask them."""
        found: dict[int, dict[tuple[str, str], list[tuple[str, str]]]] = {}
        told: list[Hit] = []
        for hit in hits:
            row = self._roster.row(hit.id)
            if row is not None and row in self._watches:
                found.setdefault(row, {}).setdefault((hit.kind, hit.term), []).append((hit.field, hit.value))
            else:
                told.append(hit)
        seen = Event(fields)
        rows = self._watches.candidates(seen, names)
        if not rows and not found:
            return told
        now = self._now()
        for row in sorted(rows.union(found)):
            if now >= self._until[row]:
                continue
            by = self._watches.judge(row, seen, found.get(row, NOTHING_FOUND), at, event)
            if by is not None:
                id = self._roster.id(row)
                told += [Hit(id, PATTERN, "", field, value[:LONGEST_TOLD]) for field, value in by.items()]
        return told

    def _plan(self, names: tuple[str, ...], is_windows: bool) -> _Plan:
        roles = ((name, role_of(name, is_windows)) for name in names)
        plan = tuple((name, self._memories[role]) for name, role in roles if role is not Role.NONE)
        if sum(map(len, names)) <= LONGEST_PLAN:
            if len(self._plans) >= MOST_PLANS:  # whoever sends events chooses the names
                self._plans.clear()
            self._plans[names] = plan
        return plan

    def _match_inside(
        self, name: str, memory: _Memory, value: list[Any] | dict[str, Any], hits: dict[Hit, None], depth: int
    ) -> None:
        """Lists keep the role of their field; the fields of a mapping have names of their own."""
        if depth >= DEEPEST:
            return
        if isinstance(value, dict):
            for inner, one in value.items():
                path = f"{name}.{inner}"
                role = role_of(path, is_windows=False)
                if role is not Role.NONE:
                    self._match_one(path, self._memories[role], one, hits, depth + 1)
            return
        for one in value[:MOST_LISTED]:
            self._match_one(name, memory, one, hits, depth + 1)

    def _match_one(self, name: str, memory: _Memory, value: Any, hits: dict[Hit, None], depth: int) -> None:
        if isinstance(value, str):
            found = memory.young.get(value)
            if found is None:
                found = memory.look(self._tables, value)
            if found:
                self._tell(found, name, value, hits)
        elif isinstance(value, (list, dict)):
            self._match_inside(name, memory, value, hits, depth)

    def _tell(self, found: _Remembered, field: str, value: str, hits: dict[Hit, None]) -> None:
        now = self._now()
        for row, kind, key, piece in found:
            if now < self._until[row] and (row not in self._places or carries(self._places[row], field)):
                told = value if len(value) <= LONGEST_TOLD else piece[:LONGEST_TOLD]
                hits[Hit(self._roster.id(row), kind, text_of(kind, key), field, told)] = None

    def _held(self, row: int) -> tuple[tuple[str, Key], ...]:
        if self._kinds[row] == _SEVERAL:
            several: tuple[tuple[str, Key], ...] = self._keys[row]
            return several
        return ((KINDS[self._kinds[row]], self._keys[row]),)

    def forget(self) -> None:
        """Let go of what values came to. Every change of the indicators does so by itself."""
        for memory in self._memories.values():
            memory.forget()
