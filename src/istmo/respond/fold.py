"""Entries in, case out: pure, and the same for the same entries in whatever order and number they came.

Nothing here looks at a clock to decide. What follows what is the only order there is; where two
entries know nothing of each other, a fixed rule picks what is shown until somebody says otherwise:

* status: the most open (a case closed by mistake would hide an incident),
* severity: the worst,
* owner and title: the one whose entry has the smallest id (arbitrary, but alike everywhere).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from istmo.model.markings import strictest
from istmo.respond.objects import (
    Author,
    Case,
    CaseEntry,
    Claim,
    Opening,
    OwnerChange,
    Participant,
    Register,
    Severity,
    SeverityChange,
    Share,
    Status,
    StatusChange,
    Task,
    TaskDone,
    TaskState,
    TitleChange,
)

_STATUSES, _SEVERITIES = list(Status), list(Severity)


def merge(first: CaseEntry, second: CaseEntry) -> CaseEntry:
    """Two copies of one entry: all that either names, all that either reached."""
    kept = first if first.body is not None else second
    return replace(
        kept,
        follows=first.follows | second.follows,
        readers=first.readers | second.readers,
        tlp=strictest(first.tlp, second.tlp),
    )


def fold(case: str, entries: Iterable[CaseEntry]) -> Case:
    """The case that these entries make."""
    return Folded(case, entries).case()


@dataclass
class _Applied:
    """An entry that counts: its place, and the places of all that it stands on, as bits."""

    entry: CaseEntry
    place: int
    ancestors: int


class Folded:
    """The entries of a case in order, with what stands on what."""

    def __init__(self, case: str, entries: Iterable[CaseEntry]) -> None:
        self.id = case
        self.all: dict[str, CaseEntry] = {}
        for one in entries:
            known = self.all.get(one.id)
            self.all[one.id] = merge(known, one) if known else one
        self.applied: dict[str, _Applied] = {}
        self.order: list[CaseEntry] = []
        self.opening = next((one for one in self.all.values() if isinstance(one.body, Opening)), None)
        self.members: set[str] = set()
        self.strangers: dict[str, list[CaseEntry]] = {}
        if self.opening:
            self._apply_all(self.opening)

    def _apply_all(self, opening: CaseEntry) -> None:
        """Take entries once all they follow has been taken; among those that can be, the order is fixed."""
        self.members.add(opening.author.node)
        lacking = {one.id: set(one.follows) for one in self.all.values() if one is not opening}
        waiting: dict[str, list[CaseEntry]] = {}
        for one in self.all.values():
            for followed in lacking.get(one.id, ()):
                waiting.setdefault(followed, []).append(one)
        ready = [_Turn(one) for one in self.all.values() if one is not opening and not one.follows]
        heapq.heapify(ready)
        self._take(opening)
        freed = waiting.get(opening.id, [])
        while True:
            for one in freed:
                followed = self.order[-1].id
                lacking[one.id].discard(followed)
                if not lacking[one.id]:
                    heapq.heappush(ready, _Turn(one))
            if not ready:
                return
            entry = heapq.heappop(ready).entry
            freed = []
            if entry.author.node not in self.members:
                self.strangers.setdefault(entry.author.node, []).append(entry)
                continue
            self._take(entry)
            if isinstance(entry.body, Share) and entry.body.member not in self.members:
                self.members.add(entry.body.member)
                for one in self.strangers.pop(entry.body.member, []):
                    heapq.heappush(ready, _Turn(one))
            freed = waiting.get(entry.id, [])

    def _take(self, entry: CaseEntry) -> None:
        ancestors = 1 if self.order else 0  # everything stands on the opening
        for followed in entry.follows:
            known = self.applied.get(followed)
            if known:
                ancestors |= known.ancestors | 1 << known.place
        self.applied[entry.id] = _Applied(entry, len(self.order), ancestors)
        self.order.append(entry)

    # What stands on what

    def heads(self, wanted: Callable[[CaseEntry], bool], below: str | None = None) -> list[CaseEntry]:
        """Of the wanted entries (below one entry, where given) those on which no other wanted one stands."""
        chosen = [self.applied[one.id] for one in self.order if wanted(one)]
        if below is not None:
            under = self.applied[below].ancestors
            chosen = [one for one in chosen if under >> one.place & 1]
        covered = 0
        for one in chosen:
            covered |= one.ancestors
        return [one.entry for one in chosen if not covered >> one.place & 1]

    # The case

    def title(self, is_seen: Callable[[CaseEntry], bool] = lambda _: True) -> str:
        """What the case is called, as far as those entries say that are seen."""
        heads = self.heads(lambda one: isinstance(one.body, TitleChange) and is_seen(one))
        if self.opening and is_seen(self.opening):
            heads = heads or [self.opening]
        for one in sorted(heads, key=lambda one: one.id):
            if isinstance(one.body, (Opening, TitleChange)):
                return one.body.title
        return ""

    def case(self) -> Case:
        """What it all comes to."""
        opening = self.opening
        body = opening.body if opening and isinstance(opening.body, Opening) else None
        pending = [one for one in self.all.values() if one.id not in self.applied]
        strangers = {one.id for found in self.strangers.values() for one in found}
        return Case(
            id=self.id,
            opener=opening.author.node if opening else "",
            title=self.title(),
            tlp=strictest(*(one.tlp for one in self.all.values())),
            status=self._register(StatusChange, lambda one: str(one.status), Status.OPEN, _most_open),
            severity=self._register(
                SeverityChange,
                lambda one: str(one.severity),
                str(body.severity) if body else Severity.MEDIUM,
                _worst,
            ),
            owner=self._register(OwnerChange, lambda one: _owner(one.owner), "", _smallest),
            participants=self._participants(),
            tasks=self._tasks(),
            timeline=tuple(self.order),
            pending=tuple(sorted((one for one in pending if one.id not in strangers), key=_turn)),
            strangers=tuple(sorted((one for one in pending if one.id in strangers), key=_turn)),
            missing=frozenset(
                followed for one in pending for followed in one.follows if followed not in self.all
            ),
        )

    def _register(
        self,
        kind: type,
        value: Callable[..., str],
        at_first: str,
        pick: Callable[[list[Claim]], Claim],
    ) -> Register:
        heads = [
            Claim(value(one.body), one.id, one.author)
            for one in self.heads(lambda entry: isinstance(entry.body, kind))
        ]
        heads.sort(key=lambda claim: claim.entry)
        return Register(pick(heads).value if heads else str(at_first), tuple(heads))

    def _participants(self) -> tuple[Participant, ...]:
        if not self.opening:
            return ()
        admitted: dict[str, set[str]] = {one: {one} for one in self.members}
        for one in sorted(self.members):
            for member in admitted_by(self, one) & self.members:
                admitted[member].add(one)
        return tuple(Participant(one, frozenset(admitted[one])) for one in sorted(admitted))

    def _tasks(self) -> tuple[TaskState, ...]:
        done: dict[str, list[CaseEntry]] = {}
        for one in self.order:
            if isinstance(one.body, TaskDone):
                done.setdefault(one.body.task, []).append(one)
        return tuple(
            TaskState(one, one.body.text, tuple(done.get(one.id, ())))
            for one in self.order
            if isinstance(one.body, Task)
        )


def admitted_by(folded: Folded, member: str) -> frozenset[str]:
    """Whom ``member`` lets read what it writes: itself, those it has shared the case with, and those
    who were named to it as being on the case when it was let in."""
    found = {member}
    if folded.opening:
        found.add(folded.opening.author.node)
    for one in folded.order:
        if isinstance(one.body, Share):
            if one.author.node == member:
                found.add(one.body.member)
            elif one.body.member == member:
                found.update(one.body.members)
                found.add(one.author.node)
    return frozenset(found)


@dataclass(order=True)
class _Turn:
    key: tuple[str, str] = field(init=False)
    entry: CaseEntry = field(compare=False)

    def __post_init__(self) -> None:
        self.key = _turn(self.entry)


def _turn(entry: CaseEntry) -> tuple[str, str]:
    return entry.created.isoformat(), entry.id


def _owner(owner: Author | None) -> str:
    if owner is None:
        return ""
    return f"{owner.node}/{owner.name}" if owner.name else owner.node


def _most_open(heads: list[Claim]) -> Claim:
    return min(heads, key=lambda claim: (_STATUSES.index(Status(claim.value)), claim.entry))


def _worst(heads: list[Claim]) -> Claim:
    return min(heads, key=lambda claim: (-_SEVERITIES.index(Severity(claim.value)), claim.entry))


def _smallest(heads: list[Claim]) -> Claim:
    return min(heads, key=lambda claim: claim.entry)
